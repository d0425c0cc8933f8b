"""The learned mixture of linear-Gaussian state space models that explains how codes move."""

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from kvae.inference import kalman, kalman_parallel
from kvae.inference.in_step import filter_in_step
from kvae.inference.protocols import CodeNetwork, Dynamics
from kvae.inference.roll_out import RollOut, roll_out
from kvae.inference.sampled_term import sampled_term
from kvae.system.device import has_gpu, use_full_float32

PARALLEL_FROM = 100
"""Steps from which a GPU runs filter and smoother in parallel. A guess, not measured."""


class MixtureStateSpaceModel(keras.layers.Layer):
    """A linear-Gaussian state space model whose matrices are mixed anew at every step.

        A_t = sum_k alpha_t[k] A[k]      (B_t, C_t alike)
        z_1 ~ N(mu0, Sigma0);   z_t = A_t z_{t-1} + B_t u_t + N(0, Q)
        a_t = C_t z_t + N(0, R)

    where alpha_t comes from a network that sees the codes before t. The base matrices A, B, C and the
    code a_0 that precedes the first are learned; mu0 = 0, and Sigma0, Q and R are multiples of the
    identity. Source: Fraccaro et al., NIPS 2017, section 3. Beyond it, Sigma0, Q and R may be learned, as
    diagonal matrices; and the transitions may have an offset each, sum_k alpha_t[k] b[k]. No linear map turns
    a velocity around at a wall that is not at the origin; an affine one does.

    Args:
        network: what says alpha, a `CodeNetwork` such as `DynamicsParameterNetwork`.
        dim_a: dimension of a code.
        dim_z: dimension of the state.
        dim_u: dimension of the control input.
        K: number of components.
        transition_variance: Q's diagonal.
        emission_variance: R's diagonal.
        initial_variance: Sigma0's diagonal.
        matrix_stddev: standard deviation of the initial B and C; A starts at the identity.
        seed: a `keras.random.SeedGenerator` for the initial weights.
        learn_noise: learn the three variances, one for each dimension, from those values on.
        learn_offset: give each transition an offset, the last column of B.
    """

    def __init__(
        self,
        network: CodeNetwork,
        dim_a: int,
        dim_z: int,
        dim_u: int,
        K: int,
        transition_variance: float,
        emission_variance: float,
        initial_variance: float,
        matrix_stddev: float,
        seed: keras.random.SeedGenerator,
        learn_noise: bool = False,
        learn_offset: bool = False,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        use_full_float32()
        self.network = network
        self.dim_a, self.dim_z, self.dim_u, self.K = dim_a, dim_z, dim_u, K
        self.learn_noise, self.learn_offset = learn_noise, learn_offset
        self.mu0 = tf.zeros([dim_z])
        self.initial_variances = {
            "Sigma0": (initial_variance, dim_z),
            "Q": (transition_variance, dim_z),
            "R": (emission_variance, dim_a),
        }
        self.log_variances: dict[str, keras.Variable] = {}
        self.matrix_initializer = keras.initializers.RandomNormal(stddev=matrix_stddev, seed=seed)

    def build(self, input_shape: Any = None) -> None:
        """Create the learned matrices; the shapes follow from the arguments of the constructor."""
        z, u, a, K = self.dim_z, self.dim_u + int(self.learn_offset), self.dim_a, self.K
        self.A = self.add_weight((K, z, z), initializer=_identity, name="A")
        self.B = self.add_weight((K, z, u), initializer=self.matrix_initializer, name="B")
        self.C = self.add_weight((K, a, z), initializer=self.matrix_initializer, name="C")
        self.a_0 = self.add_weight((a,), initializer="zeros", name="a_0")
        if self.learn_noise:
            for name, (variance, size) in self.initial_variances.items():
                start = keras.initializers.Constant(math.log(variance))
                self.log_variances[name] = self.add_weight((size,), initializer=start, name=f"log_{name}")

    @property
    def Sigma0(self) -> tf.Tensor:
        """Covariance of the first state [dim_z, dim_z]."""
        return self._covariance("Sigma0")

    @property
    def Q(self) -> tf.Tensor:
        """Covariance of the transition noise [dim_z, dim_z]."""
        return self._covariance("Q")

    @property
    def R(self) -> tf.Tensor:
        """Covariance of the emission noise [dim_a, dim_a]."""
        return self._covariance("R")

    def _covariance(self, name: str) -> tf.Tensor:
        if self.learn_noise:
            return tf.linalg.diag(tf.exp(self.log_variances[name]))
        variance, size = self.initial_variances[name]
        return variance * tf.eye(size)

    def inputs(self, u: tf.Tensor, learned_u: tf.Tensor | None = None) -> tf.Tensor:
        """Return what B is multiplied with: controls [..., dim_u], learned ones if given, and maybe a 1."""
        u = u if learned_u is None else learned_u
        if not self.learn_offset:
            return u
        return tf.concat([u, tf.ones_like(u[..., :1])], axis=-1)

    def prior(self) -> tfd.Distribution:
        """Return p(z_1), a distribution over [dim_z]."""
        return tfd.MultivariateNormalTriL(self.mu0, tf.linalg.cholesky(self.Sigma0))

    def mix(self, alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Mix the base matrices by weights [..., K], all of them in one product.

        Returns:
            A [..., dim_z, dim_z], B [..., dim_z, dim_u], C [..., dim_a, dim_z].
        """
        with tf.name_scope("mix"):
            base = [self.A, self.B, self.C]
            flat = tf.concat([tf.reshape(matrix, [self.K, -1]) for matrix in base], axis=1)
            sizes = [matrix.shape[1] * matrix.shape[2] for matrix in base]
            # Not tf.tensordot: with a batch of any size XLA cannot compile it inside a loop.
            parts = tf.split(tf.matmul(tf.reshape(alpha, [-1, self.K]), flat), sizes, axis=-1)
            batch = tf.shape(alpha)[:-1]
            static = alpha.shape[:-1]
            mixed = []
            for part, matrix in zip(parts, base, strict=True):
                mixed.append(tf.reshape(part, tf.concat([batch, matrix.shape[1:]], axis=0)))
                mixed[-1].set_shape([*static, *matrix.shape[1:]])
            A, B, C = mixed
            return A, B, C

    def linear_gaussian(self, alpha: tf.Tensor) -> kalman.LinearGaussian:
        """Return the `kalman.LinearGaussian` that weights [B, T, K] mix."""
        return kalman.LinearGaussian(*self.mix(alpha), self.Q, self.R, self.mu0, self.Sigma0)

    def filter(
        self, codes: tf.Tensor, mask: tf.Tensor | None, u: tf.Tensor
    ) -> tuple[kalman.Filtered, Dynamics]:
        """Find alpha and run the Kalman filter.

        With every code there (mask None) the network runs once over the sequence and all matrices are
        mixed in one product. Where codes are missing the network is fed the filter's prediction
        C_t m_{t|t-1} in their place, so network and filter run step by step together.

        Args:
            codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
            mask: [B, T], 1 = observed, or None: every code is there.
            u: [B, T, dim_u] control inputs, replaced where the network learns its own.

        Returns:
            A `kalman.Filtered`, in float64 as there, and the `Dynamics`.
        """
        if mask is None:
            first = tf.broadcast_to(self.a_0, [kalman.batch_size(codes), 1, self.dim_a])
            alpha, learned_u = self.network(tf.concat([first, codes[:, :-1]], axis=1))
            dynamics = Dynamics(alpha, self.linear_gaussian(alpha), self.inputs(u, learned_u))
            observed = tf.ones_like(codes[..., 0])
            run = inference_for(codes.shape[1]).filter_checked
            with tf.name_scope("kalman_filter"):
                filtered = run(dynamics.model, codes, observed, dynamics.u)
            return filtered, dynamics
        with tf.name_scope("alpha_and_kalman_filter"):
            return filter_in_step(self, codes, tf.cast(mask, codes.dtype), u)

    def compiled_log_likelihood(
        self, codes: tf.Tensor, mask: tf.Tensor | None, u: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return the weighted sum of `filter`'s log-likelihood, with its gradient, from one compiled call.

        XLA: on a CPU it makes the many small steps of filter and network faster, and convolutions slower; so
        this part is compiled on its own. What its gradient needs cannot cross the border of a compiled
        call, hence the gradient is taken inside, and once for every call: use it where one is wanted.

        Args:
            codes: as in `filter`.
            mask: as in `filter`.
            u: as in `filter`.
            weight: [B], of each sequence in the sum.

        Returns:
            A scalar.
        """
        if tf.executing_eagerly():
            # Nothing is compiled then, and TensorFlow's gradients of the call below would be wrong.
            filtered, _ = self.filter(codes, mask, u)
            return total_of(weight, filtered)

        @tf.custom_gradient
        def log_likelihood(codes: tf.Tensor, u: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            value, gradients = self._value_and_gradients(codes, mask, u, weight)

            def backward(
                upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()
            ) -> tuple[list[tf.Tensor], list[None]]:
                # The weights are arguments, so nothing is left for the variables that they were read from.
                return [upstream * gradient for gradient in gradients], [None] * len(variables)

            return value, backward

        return log_likelihood(
            codes, u, *(tf.convert_to_tensor(weight) for weight in self.trainable_variables)
        )

    @tf.function(jit_compile=True, autograph=False)
    def _value_and_gradients(
        self, codes: tf.Tensor, mask: tf.Tensor | None, u: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        weights = [weight.value for weight in self.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch([codes, u])
            filtered, _ = self.filter(codes, mask, u)
            value = total_of(weight, filtered)
        return value, tape.gradient(value, [codes, u, *weights], unconnected_gradients="zero")

    def smooth(self, filtered: kalman.Filtered, dynamics: Dynamics) -> kalman.Smoothed:
        """Run the smoother over what `filter` returned; return a `kalman.Smoothed`."""
        with tf.name_scope("kalman_smoother"):
            return inference_for(dynamics.u.shape[1]).smooth_filtered(dynamics.model, filtered)

    def sampled_term(
        self,
        codes: tf.Tensor,
        mask: tf.Tensor,
        dynamics: Dynamics,
        smoothed: kalman.Smoothed,
        noise: tf.Tensor,
    ) -> tf.Tensor:
        """Estimate the state space term of the bound as the original code does.

        Args:
            codes: [B, T, dim_a], finite.
            mask: [B, T], 1 = observed.
            dynamics: the `Dynamics`.
            smoothed: the `kalman.Smoothed`.
            noise: [B, T, dim_z], draws from N(0, I).

        Returns:
            [B], one value a sequence, see `kvae.inference.sampled_term`.
        """
        with tf.name_scope("sampled_term"):
            return sampled_term(dynamics.model, codes, mask, dynamics.u, smoothed, noise)

    def roll_out(
        self,
        given_states: tf.Tensor,
        u: tf.Tensor,
        noise_seed: tf.Tensor | None = None,
        given_codes: tf.Tensor | None = None,
    ) -> RollOut:
        """Go on from given states: a_t = C_t z_t is fed to alpha, z_{t+1} = A_{t+1} z_t + B_{t+1} u_{t+1}.

        Arguments and result as `kvae.inference.roll_out.roll_out`.
        """
        return roll_out(self, given_states, u, noise_seed, given_codes)


def total_of(weight: tf.Tensor, filtered: kalman.Filtered) -> tf.Tensor:
    """Return the weighted sum of a filter's log-likelihood, a scalar, for weights [B] of the sequences."""
    return tf.reduce_sum(weight[:, None] * tf.cast(filtered.log_likelihood, weight.dtype))


def inference_for(num_steps: int | None) -> ModuleType:
    """Return `kalman` or `kalman_parallel`, whichever is the faster for sequences so long.

    On a CPU that is `kalman` at every length, by `python -m benchmarks.kalman`. A GPU waits longer for the
    start of an operation than for its end, so there the fewer steps one after another win.

    Args:
        num_steps: steps in a sequence; None if that is not known yet.
    """
    if num_steps is not None and num_steps >= PARALLEL_FROM and has_gpu():
        return kalman_parallel
    return kalman


def _identity(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
    """Initialise every base matrix to the identity."""
    return tf.eye(shape[1], batch_shape=shape[:1], dtype=dtype)
