"""The deep Markov model: a gated network for a transition, a network backward in time for recognition."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kvae.config import ModelOptions
from kvae.models.rivals.latent import LatentAutoencoder, Path, over_time
from kvae.models.rivals.networks import (
    dense,
    expected_log_density,
    negative_entropy,
    recurrent,
    variance_of,
)


class GatedTransition(keras.layers.Layer):
    """p(z_t | z_{t-1}, u_t), between a linear map and a network, as a gate of each dimension says.

        gate = sigmoid(MLP(z, u)),  h = MLP(z, u)
        mean = (1 - gate) (W [z, u] + b) + gate h,  variance = softplus(W' relu(h) + b')

    W starts as the identity for z. Source: Krishnan, Shalit and Sontag, AAAI 2017, section 3; the first state
    has a mean and variances that are learned, from N(0, I) on.

    Args:
        dim_z: dimension of a state.
        dim_u: dimension of a control.
        units: of the hidden layer of each network.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(self, dim_z: int, dim_u: int, units: int, seed: keras.random.SeedGenerator, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.dim_z, self.dim_u = dim_z, dim_u
        self.gate_hidden = dense(units, seed, "gate_hidden", "relu")
        self.gate = dense(dim_z, seed, "gate", "sigmoid")
        self.proposal_hidden = dense(units, seed, "proposal_hidden", "relu")
        self.proposal = dense(dim_z, seed, "proposal")
        self.linear = dense(dim_z, seed, "linear")
        self.variance = dense(dim_z, seed, "variance")

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Create all weights; the shapes follow from the arguments of the constructor."""
        self.first_mean = self.add_weight((self.dim_z,), initializer="zeros", name="first_mean")
        self.first_log_variance = self.add_weight(
            (self.dim_z,), initializer="zeros", name="first_log_variance"
        )
        for hidden, layer in ((self.gate_hidden, self.gate), (self.proposal_hidden, self.proposal)):
            hidden.build((None, self.dim_z + self.dim_u))
            layer.build((None, hidden.units))
        self.linear.build((None, self.dim_z + self.dim_u))
        self.variance.build((None, self.dim_z))
        kernel = self.linear.kernel.numpy()
        kernel[: self.dim_z] = tf.eye(self.dim_z)
        self.linear.kernel.assign(kernel)

    def call(self, states: tf.Tensor, controls: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return means and variances [..., dim_z] of what follows states [..., dim_z]."""
        inputs = tf.concat([states, controls], axis=-1)
        gate = self.gate(self.gate_hidden(inputs))
        proposal = self.proposal(self.proposal_hidden(inputs))
        mean = (1 - gate) * self.linear(inputs) + gate * proposal
        return mean, variance_of(self.variance(tf.nn.relu(proposal)))


class BackwardRecognition(keras.layers.Layer):
    """q(z_t | z_{t-1}, x_t..x_T, u_t..u_T): an LSTM backward in time, and the state before.

        h_t = (tanh(W z_{t-1} + b) + lstm_t) / 2,  mean and variance = linear maps of h_t, softplus

    Source: as `GatedTransition`, equation 11 and what they call ST-R, there with another recurrent cell. What
    stands for the state before the first is learned.

    Args:
        dim_z: dimension of a state.
        dim_u: dimension of a control.
        units: of the LSTM.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(self, dim_z: int, dim_u: int, units: int, seed: keras.random.SeedGenerator, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.dim_z, self.dim_u = dim_z, dim_u
        self.lstm = recurrent(units, seed, "lstm", backward=True, every_step=True)
        self.state = dense(units, seed, "state", "tanh")
        self.mean = dense(dim_z, seed, "mean")
        self.variance = dense(dim_z, seed, "variance")

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create all weights for features of shape [..., F]."""
        self.before_first = self.add_weight((self.dim_z,), initializer="zeros", name="before_first")
        self.lstm.build((None, None, input_shape[-1] + 1 + self.dim_u))
        self.state.build((None, self.dim_z))
        self.mean.build((None, self.lstm.units))
        self.variance.build((None, self.lstm.units))

    def call(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> tf.Tensor:
        """Return what the LSTM says, [B, T, units]; arguments as `LatentAutoencoder.recognise`."""
        inputs = tf.concat([features, mask[..., None], controls], axis=-1)
        return tf.reverse(self.lstm(inputs), axis=[1])

    def moments(self, before: tf.Tensor, ahead: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return means and variances [B, dim_z] of states.

        Args:
            before: the states before, [B, dim_z].
            ahead: what the LSTM says, [B, units].
        """
        combined = (self.state(before) + ahead) / 2
        return self.mean(combined), variance_of(self.variance(combined))


@keras.saving.register_keras_serializable(package="kvae")
class DeepMarkovModel(LatentAutoencoder):
    """DMM of Krishnan, Shalit and Sontag, "Structured inference networks", AAAI 2017, on `KVAE`'s frames.

    See `LatentAutoencoder`, `GatedTransition` and `BackwardRecognition`. Where a frame is missing, the
    recognition network is told so, and infers the state from those that follow.

    Args:
        config: `ModelOptions`, such as a `Config`, whose `model` is `dmm`; `alpha_units` are those of the
            recurrent and of each hidden layer.
    """

    kinds = ("dmm",)

    def __init__(self, config: ModelOptions, **kwargs: Any):
        super().__init__(config, **kwargs)
        sizes = (self.config.dim_a, self.config.dim_u, self.config.alpha_units, self.initial_seeds)
        self.transition = GatedTransition(*sizes, name="transition")
        self.recognition = BackwardRecognition(*sizes, name="recognition")

    def build_dynamics(self) -> None:
        """Create the weights of transition and recognition."""
        self.transition.build()
        self.recognition.build((None, self.encoder.num_features))

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of the transition."""
        return self.transition.trainable_variables

    def recognise(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what the network backward in time says, and the controls; see the base class."""
        return self.recognition(features, mask, controls), controls

    def follow(self, recognised: tuple[tf.Tensor, ...], noise: tf.Tensor) -> Path:
        """Go along a posterior path; see the base class."""
        ahead, controls = recognised
        shape = tf.shape(noise[:, 0])

        def step(carry: tuple[tf.Tensor, ...], inputs: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            ahead_t, noise_t = inputs
            mean, variance = self.recognition.moments(carry[0], ahead_t)
            return mean + tf.sqrt(variance) * noise_t, mean, variance

        before = tf.broadcast_to(self.recognition.before_first, shape)
        first = (before, tf.zeros(shape), tf.ones(shape))
        states, mean, variance = over_time(step, (ahead, noise), first)
        of_mean, of_variance = self.transition(states[:, :-1], controls[:, 1:])
        t = self.transition
        start = tf.broadcast_to(t.first_mean, shape), tf.broadcast_to(tf.exp(t.first_log_variance), shape)
        of_mean = tf.concat([start[0][:, None], of_mean], axis=1)
        of_variance = tf.concat([start[1][:, None], of_variance], axis=1)
        log_p = expected_log_density(mean, variance, of_mean, of_variance)
        return Path(states, variance, negative_entropy(variance), log_p, None)

    def begin(self, noise: tf.Tensor) -> tf.Tensor:
        """Return first states from the prior; see the base class."""
        t = self.transition
        return t.first_mean + tf.exp(0.5 * tf.convert_to_tensor(t.first_log_variance)) * noise

    def go_on(self, states: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return the states that follow; see the base class."""

        def step(carry: tuple[tf.Tensor, ...], inputs: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            mean, variance = self.transition(carry[0], inputs[0])
            return (mean + tf.sqrt(variance) * inputs[1],)

        return over_time(step, (controls, noise), (states,))[0]
