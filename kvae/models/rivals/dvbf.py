"""The deep variational Bayes filter with locally linear transitions, whose noise is what is inferred."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kvae.config import ModelOptions
from kvae.models.initializers import glorot
from kvae.models.outputs import Bound
from kvae.models.rivals.latent import LatentAutoencoder, Path, over_time
from kvae.models.rivals.networks import (
    dense,
    expected_log_density,
    negative_entropy,
    recurrent,
    variance_of,
)


class LocallyLinearTransition(keras.layers.Layer):
    """z_t = A_t z_{t-1} + B_t u_t + C_t w_t, with w_t ~ N(0, I) and matrices mixed anew at every step.

        alpha_t = softmax(a linear map of z_{t-1} and u_t),  A_t = sum_k alpha_t[k] A[k]  (B_t, C_t alike)
        z_1 = MLP(w_1)

    Every A[k] starts as the identity. Source: Karl, Soelch, Bayer and van der Smagt, "Deep variational Bayes
    filters", ICLR 2017, section 3 and appendix B.3.

    Args:
        dim_z: dimension of a state, and of w.
        dim_u: dimension of a control.
        K: number of matrices.
        units: of the hidden layer of the network of the first state.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(
        self, dim_z: int, dim_u: int, K: int, units: int, seed: keras.random.SeedGenerator, **kwargs: Any
    ):
        super().__init__(dtype="float32", **kwargs)
        self.dim_z, self.dim_u, self.K, self.seed = dim_z, dim_u, K, seed
        self.alpha = dense(K, seed, "alpha")
        self.first_hidden = dense(units, seed, "first_hidden", "relu")
        self.first = dense(dim_z, seed, "first")

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Create all weights; the shapes follow from the arguments of the constructor."""
        z, u, K = self.dim_z, self.dim_u, self.K
        self.A = self.add_weight((K, z, z), initializer=_identity, name="A")
        self.B = self.add_weight((K, z, u), initializer=glorot(self.seed), name="B")
        self.C = self.add_weight((K, z, z), initializer=glorot(self.seed), name="C")
        self.alpha.build((None, z + u))
        self.first_hidden.build((None, z))
        self.first.build((None, self.first_hidden.units))

    def begin(self, w: tf.Tensor) -> tf.Tensor:
        """Return first states [B, dim_z] of w [B, dim_z]."""
        return self.first(self.first_hidden(w))

    def spread_of_first(self, w: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        """Return variances [B, dim_z] of first states, to first order, of w about w [B, dim_z]."""
        is_active = tf.cast(self.first_hidden(w) > 0, tf.float32)
        first, second = (tf.convert_to_tensor(x.kernel) for x in (self.first_hidden, self.first))
        slopes = tf.einsum("ih,bh,ho->bio", first, is_active, second)
        return tf.einsum("bio,bi->bo", slopes**2, variance)

    def call(self, states: tf.Tensor, controls: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return what follows states but for the noise, and how that acts.

        Args:
            states: [B, dim_z].
            controls: [B, dim_u].

        Returns:
            A z + B u [B, dim_z], C [B, dim_z, dim_z] and alpha [B, K].
        """
        alpha = tf.nn.softmax(self.alpha(tf.concat([states, controls], axis=-1)))
        A, B, C = (tf.einsum("bk,kij->bij", alpha, x) for x in (self.A, self.B, self.C))
        return tf.linalg.matvec(A, states) + tf.linalg.matvec(B, controls), C, alpha


class NoiseRecognition(keras.layers.Layer):
    """q(w_1 | x_1..x_T, u) by an LSTM in either direction, q(w_t | z_{t-1}, x_t, u_t) by an MLP.

    Where x_t is missing, q(w_t) is the prior. Source: as `LocallyLinearTransition`, where entry t of the
    controls is called u_{t-1}, and the network of the first state has another recurrent cell and no controls.

    Args:
        dim_z: dimension of a state, and of w.
        dim_u: dimension of a control.
        units: of each LSTM, and of the MLP's hidden layer.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(self, dim_z: int, dim_u: int, units: int, seed: keras.random.SeedGenerator, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.dim_z, self.dim_u = dim_z, dim_u
        self.forward = recurrent(units, seed, "forward", backward=False, every_step=False)
        self.backward = recurrent(units, seed, "backward", backward=True, every_step=False)
        self.first_mean = dense(dim_z, seed, "first_mean")
        self.first_variance = dense(dim_z, seed, "first_variance")
        # One layer of the MLP in two: what it sees of the frame is known before any state is.
        self.of_frame = dense(units, seed, "of_frame")
        self.of_state = keras.layers.Dense(
            units, use_bias=False, kernel_initializer=glorot(seed), dtype="float32", name="of_state"
        )
        self.mean = dense(dim_z, seed, "mean")
        self.variance = dense(dim_z, seed, "variance")

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create all weights for features of shape [..., F]."""
        units, num_features = self.of_frame.units, input_shape[-1]
        for lstm in (self.forward, self.backward):
            lstm.build((None, None, num_features + 1 + self.dim_u))
        for head in (self.first_mean, self.first_variance):
            head.build((None, 2 * units))
        self.of_frame.build((None, num_features + self.dim_u))
        self.of_state.build((None, self.dim_z))
        for head in (self.mean, self.variance):
            head.build((None, units))

    def call(
        self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return means and variances of w_1 [B, dim_z], and the frames' share of the layer [B, T, units].

        Arguments as `LatentAutoencoder.recognise`.
        """
        inputs = tf.concat([features, mask[..., None], controls], axis=-1)
        ends = tf.concat([self.forward(inputs), self.backward(inputs)], axis=-1)
        of_frames = self.of_frame(tf.concat([features, controls], axis=-1))
        return self.first_mean(ends), variance_of(self.first_variance(ends)), of_frames

    def moments(self, before: tf.Tensor, of_frame: tf.Tensor, seen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return means and variances [B, dim_z] of w.

        Args:
            before: the states before, [B, dim_z].
            of_frame: the frame's share of the layer, [B, units].
            seen: [B], 1 where the frame is there.
        """
        hidden = tf.nn.relu(of_frame + self.of_state(before))
        mean, variance = self.mean(hidden), variance_of(self.variance(hidden))
        is_seen = seen[:, None] > 0
        mean = tf.where(is_seen, mean, tf.zeros_like(mean))
        return mean, tf.where(is_seen, variance, tf.ones_like(variance))


@keras.saving.register_keras_serializable(package="kvae")
class DeepVariationalBayesFilter(LatentAutoencoder):
    """DVBF-LL of Karl et al., ICLR 2017, on `KVAE`'s frames.

    See `LatentAutoencoder`, `LocallyLinearTransition` and `NoiseRecognition`. States follow from their noise
    w and from nothing else, so that the bound is one of w. While training warms up, log p(x|z) and log p(w)
    are weighed, and log q(w) is not.

    Args:
        config: `ModelOptions`, such as a `Config`, whose `model` is `dvbf`; `K` is the number of matrices,
            `alpha_units` the units of the recurrent and of each hidden layer.
    """

    kinds = ("dvbf",)

    def __init__(self, config: ModelOptions, **kwargs: Any):
        super().__init__(config, **kwargs)
        dim_z, dim_u, units = self.config.dim_a, self.config.dim_u, self.config.alpha_units
        self.transition = LocallyLinearTransition(
            dim_z, dim_u, self.config.K, units, self.initial_seeds, name="transition"
        )
        self.recognition = NoiseRecognition(dim_z, dim_u, units, self.initial_seeds, name="recognition")

    def build_dynamics(self) -> None:
        """Create the weights of transition and recognition."""
        self.transition.build()
        self.recognition.build((None, self.encoder.num_features))

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of the transition."""
        return self.transition.trainable_variables

    @property
    def reconstruction_weight(self) -> float | tf.Tensor:
        """The weight of log p(x|z) in the training objective, in which it takes part in the warming up."""
        weight = self.config.scale_reconstruction
        return weight * self.code_weight if self.config.warm_up else weight

    def objective(self, bound: Bound) -> tf.Tensor:
        """Return what training maximises; see the class."""
        weight = self.code_weight if self.config.warm_up else 1.0
        return self.reconstruction_weight * bound.log_px + weight * bound.state_space - bound.log_qa

    def recognise(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what `NoiseRecognition` does, mask and controls; see the base class."""
        return *self.recognition(features, mask, controls), mask, controls

    def follow(self, recognised: tuple[tf.Tensor, ...], noise: tf.Tensor) -> Path:
        """Go along a posterior path; see the base class."""
        first_mean, first_variance, of_frames, mask, controls = recognised
        t, shape = self.transition, tf.shape(noise[:, 0])
        w = first_mean + tf.sqrt(first_variance) * noise[:, 0]

        def step(carry: tuple[tf.Tensor, ...], inputs: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            before, (of_frame, seen, u_t, noise_t) = carry[0], inputs
            mean, variance = self.recognition.moments(before, of_frame, seen)
            central, C, alpha = t(before, u_t)
            state = central + tf.linalg.matvec(C, mean + tf.sqrt(variance) * noise_t)
            return state, mean, variance, tf.linalg.matvec(C**2, variance), alpha

        begun = (t.begin(w), first_mean, first_variance, t.spread_of_first(w, first_variance))
        # Which nothing is mixed by.
        even = tf.fill([shape[0], t.K], 1 / t.K)
        inputs = (of_frames[:, 1:], mask[:, 1:], controls[:, 1:], noise[:, 1:])
        later = over_time(step, inputs, (*begun, even))
        states, mean, variance, spread, alpha = (
            tf.concat([first[:, None], rest], axis=1)
            for first, rest in zip((*begun, even), later, strict=True)
        )
        log_p = expected_log_density(mean, variance, 0.0, 1.0)
        return Path(states, spread, negative_entropy(variance), log_p, alpha)

    def begin(self, noise: tf.Tensor) -> tf.Tensor:
        """Return first states from the prior; see the base class."""
        return self.transition.begin(noise)

    def go_on(self, states: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return the states that follow; see the base class."""

        def step(carry: tuple[tf.Tensor, ...], inputs: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            central, C, _ = self.transition(carry[0], inputs[0])
            return (central + tf.linalg.matvec(C, inputs[1]),)

        return over_time(step, (controls, noise), (states,))[0]


def _identity(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
    """Return K identity matrices."""
    return tf.eye(shape[1], batch_shape=[shape[0]], dtype=dtype)
