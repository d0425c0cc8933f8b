"""What the functions of this package ask of a model: a mixture of state space models, and what says alpha."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import tensorflow as tf

from kvae.inference.kalman import Filtered, LinearGaussian, Smoothed

NetworkState = Any
"""What a network remembers from step to step: a structure of tensors [B, ...]."""


class Dynamics(NamedTuple):
    """The state space model at every step, mixed by alpha.

    Attributes:
        alpha: [B, T, K] mixture weights.
        model: the `LinearGaussian` of states [dim_z] and codes [dim_a] that they mix; where transitions
            have an offset, the last column of B is that.
        u: [B, T, dim_u] control inputs, with an offset a constant 1 after them.
    """

    alpha: tf.Tensor
    model: LinearGaussian
    u: tf.Tensor

    def map_sequences(self, function: Callable[[tf.Tensor], tf.Tensor]) -> "Dynamics":
        """Apply a function to what each sequence has of its own."""
        return Dynamics(function(self.alpha), self.model.map_sequences(function), function(self.u))


@runtime_checkable
class CodeNetwork(Protocol):
    """What says alpha at a step from the codes before it, over whole sequences or step by step alike."""

    def __call__(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Run over whole sequences.

        Args:
            codes: [B, T, dim_a], the codes that precede each step.

        Returns:
            alpha [B, T, K], each row with sum 1; and a control [B, T, dim_u] where the network says that
            too, else None.
        """

    def initial_state(self, batch: int | tf.Tensor) -> NetworkState:
        """Return the state before the first step, a structure of tensors [batch, ...]."""

    def step(self, code: tf.Tensor, state: NetworkState) -> tuple[tf.Tensor, tf.Tensor | None, NetworkState]:
        """Run one step.

        Args:
            code: [B, dim_a], the code that precedes the step.
            state: what `initial_state` or the last step returned.

        Returns:
            alpha [B, K], a control [B, dim_u] where the network says that too, else None, and the next state.
        """


@runtime_checkable
class Mixture(Protocol):
    """K linear-Gaussian state space models, mixed at every step by weights alpha.

    `kvae.models.lgssm.MixtureStateSpaceModel` is one, and says what it computes.

    Attributes:
        dim_a: dimension of a code, which is what is observed.
        dim_z: dimension of the state.
        K: number of models.
        A: [K, dim_z, dim_z], their transition matrices.
        B: [K, dim_z, U], what controls do to the state; U as `inputs` returns it.
        C: [K, dim_a, dim_z], their emission matrices.
        a_0: [dim_a], the code that precedes the first.
        mu0: [dim_z], mean of the first state.
        network: what says alpha.
    """

    dim_a: int
    dim_z: int
    K: int
    A: Any
    B: Any
    C: Any
    a_0: Any
    mu0: tf.Tensor
    network: CodeNetwork

    @property
    def Sigma0(self) -> tf.Tensor:
        """Covariance of the first state [dim_z, dim_z]."""

    @property
    def Q(self) -> tf.Tensor:
        """Covariance of the transition noise [dim_z, dim_z]."""

    @property
    def R(self) -> tf.Tensor:
        """Covariance of the emission noise [dim_a, dim_a]."""

    def inputs(self, u: tf.Tensor, learned_u: tf.Tensor | None = None) -> tf.Tensor:
        """Return what B is multiplied with, [..., U], for controls [..., dim_u] and the network's own."""

    def mix(self, alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return A, B and C, each [..., rows, columns], mixed by alpha [..., K]."""

    def linear_gaussian(self, alpha: tf.Tensor) -> LinearGaussian:
        """Return the `LinearGaussian` that alpha [B, T, K] mixes."""

    def filter(self, codes: tf.Tensor, mask: tf.Tensor | None, u: tf.Tensor) -> tuple[Filtered, Dynamics]:
        """Find alpha and run the Kalman filter, for codes [B, T, dim_a], a mask [B, T] and controls."""

    def smooth(self, filtered: Filtered, dynamics: Dynamics) -> Smoothed:
        """Run the smoother over what `filter` returned."""
