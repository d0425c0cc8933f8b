"""The paper's rivals: recurrent networks that predict the next code, AE-RNN and VAE-RNN."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kvae import arguments
from kvae.config import ModelOptions
from kvae.data.colour import per_pixel
from kvae.inference.kalman import hide
from kvae.models import parts
from kvae.models.arguments import controls_of, fitted_controls, given_mask, lengths_of, mask_of
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.initializers import glorot
from kvae.models.outputs import CodeTerm, Decoded, Imputed, Inference, Sequences, TensorLike
from kvae.models.seeds import SeedLike

tfd = tfp.distributions


class CodePredictor(keras.layers.Layer):
    """An LSTM that predicts a code from all codes before it and the controls up to its step.

    Args:
        dim_a: dimension of a code.
        dim_u: dimension of a control.
        units: units of the LSTM.
        variance: of a code about its prediction, where that is a distribution; that of the first code, which
            nothing predicts, is learned. 0: predictions are points.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(
        self,
        dim_a: int,
        dim_u: int,
        units: int,
        variance: float,
        seed: keras.random.SeedGenerator,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.dim_a, self.dim_u, self.variance = dim_a, dim_u, variance
        self.cell = keras.layers.LSTMCell(
            units,
            kernel_initializer=glorot(seed),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
            dtype="float32",
            name="lstm",
        )
        self.dense = keras.layers.Dense(dim_a, kernel_initializer=glorot(seed), dtype="float32", name="dense")

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Create all weights, among them `a_0`, the code before the first, and the first code's variance."""
        self.a_0 = self.add_weight((self.dim_a,), initializer="zeros", name="a_0")
        if self.variance > 0:
            self.first_log_variance = self.add_weight(
                (self.dim_a,), initializer="zeros", name="first_log_variance"
            )
        self.cell.build((None, self.dim_a + self.dim_u))
        self.dense.build((None, self.cell.units))

    def call(
        self, codes: tf.Tensor, mask: tf.Tensor, u: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Predict every code; where one is missing, go on from its own prediction.

        Args:
            codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
            mask: [B, T], 1 = observed.
            u: [B, T, dim_u].
            noise: [B, T, dim_a], added to a prediction before the network goes on from it.

        Returns:
            The predictions [B, T, dim_a], and the codes that the network went on from [B, T, dim_a].
        """
        batch = tf.shape(codes)[0]

        def step(carry: tuple[tf.Tensor, ...], inputs: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            _, fed, *state = carry
            code, seen, u_t, noise_t = inputs
            hidden, state = self.cell(tf.concat([fed, u_t], axis=-1), list(state))
            predicted = self.dense(hidden)
            return predicted, tf.where(seen[:, None] > 0, code, predicted + noise_t), *state

        first = tf.broadcast_to(self.a_0, [batch, self.dim_a])
        zeros = tf.zeros([batch, self.cell.units])
        inputs = [tf.transpose(x, [1, 0, 2]) for x in (hide(codes, mask), u, noise)]
        inputs.insert(1, tf.transpose(mask))
        predicted, fed, *_ = tf.scan(step, tuple(inputs), (tf.zeros_like(first), first, zeros, zeros))
        return tf.transpose(predicted, [1, 0, 2]), tf.transpose(fed, [1, 0, 2])

    def distribution(self, predicted: tf.Tensor) -> tfp.distributions.Distribution:
        """Return what is predicted of codes [B, T, dim_a], with batch shape [B, T].

        With the variance of all others, the first code's distance from its mean, which is that of any code
        from any other, would be most of what is left to explain, and keep the codes so close together that
        the variance hides what can be predicted.
        """
        first = tf.exp(0.5 * tf.convert_to_tensor(self.first_log_variance))[None]
        others = tf.fill([tf.shape(predicted)[1] - 1, self.dim_a], self.variance**0.5)
        return tfd.MultivariateNormalDiag(predicted, tf.concat([first, others], axis=0))


@keras.saving.register_keras_serializable(package="kvae")
class RecurrentAutoencoder(SequenceAutoencoder):
    """AE-RNN and VAE-RNN, the rivals in Fraccaro et al., NIPS 2017: `KVAE`'s encoder and decoder, an LSTM.

    Where a frame is missing the LSTM goes on from its own prediction. It looks back alone, so it filters;
    there is no smoothing. What is maximised, per observed frame:

    - `vae_rnn`: log p(x|a) - log q(a|x) + log N(a_t; prediction, noise_emission I), a bound; the first
      code's variance is learned.
    - `ae_rnn`: log p(x|a) + log p(x|prediction), with a the encoder's mean. The prediction is judged by the
      frame it decodes to, for if it were by its distance from the code, small codes would win.

    Frames, masks and controls are as in `KVAE`.

    Args:
        config: `ModelOptions`, such as a `Config`, whose `model` is `ae_rnn` or `vae_rnn`; `alpha_units` are
            the LSTM's.
    """

    bound_terms = ("total", "log_px", "log_qa", "state_space", "encoder_variance")
    kinds = ("ae_rnn", "vae_rnn")

    def __init__(self, config: ModelOptions, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.predictor = CodePredictor(
            self.config.dim_a,
            self.config.dim_u,
            self.config.alpha_units,
            self.config.noise_emission if self.is_variational else 0.0,
            self.initial_seeds,
            name="predictor",
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames, which have the names of methods of this class."""
        return ("filtering", "generation")

    def build_dynamics(self) -> None:
        """Create the weights of the LSTM."""
        self.predictor.build()

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of the LSTM, and of what its predictions are a distribution with."""
        return self.predictor.trainable_variables

    def codes_log_likelihood(
        self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return the weighted sum of log p(a) of B sequences, of `vae_rnn`; see the base class."""
        seen = tf.ones(tf.shape(codes)[:2]) if mask is None else mask
        codes = hide(codes, seen)
        predicted, _ = self.predictor(codes, seen, controls, tf.zeros_like(codes))
        log_prob = self.predictor.distribution(predicted).log_prob(codes)
        return tf.reduce_sum(weight[:, None] * seen * log_prob)

    def code_term(self, codes: tf.Tensor, given: Sequences, sampled_term: bool, training: bool) -> CodeTerm:
        """Return the term of the prediction; `sampled_term` means nothing here."""
        if self.is_variational:
            value = self.codes_log_likelihood(codes, given.mask, given.controls, given.weight)
        else:
            seen = tf.ones_like(codes[..., 0]) if given.mask is None else given.mask
            predicted, _ = self.predictor(codes, seen, given.controls, tf.zeros_like(codes))
            log_px = self.decode(predicted).log_prob(given.images)
            value = tf.reduce_sum(given.weight[:, None] * seen * log_px)
        return CodeTerm(value, None, None, codes)

    def infer_codes(
        self, codes: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Go through codes [B, T, dim_a]: an `Inference` with `filtered_codes` alone.

        Those are the codes where they were seen, and the predictions where not.
        """
        mask = tf.ones(tf.shape(codes)[:2]) if mask is None else given_mask(mask, codes)
        controls = controls_of(controls, codes, self.config.dim_u)
        fed = parts.traced_once(self._fed, codes, mask, controls, tf.zeros_like(codes))
        return Inference(fed, None, None, None, None)

    def filter(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        seed: SeedLike | None = None,
    ) -> Decoded:
        """Estimate every frame from the observed ones up to it; arguments as `KVAE.filter`."""
        images = arguments.shaped_frames(images)
        mask = given_mask(mask, images)
        encoded = self.codes(images, self.seeds(seed), mask)
        codes = self.infer_codes(encoded, mask, controls).filtered_codes
        return Decoded(self.decoded_images(codes), codes, None, None)

    def impute(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        seed: SeedLike | None = None,
    ) -> Imputed:
        """Fill in the missing frames from those before them, and leave the observed ones as they are.

        Arguments as `KVAE.impute`.
        """
        images = arguments.shaped_frames(images)
        mask = mask_of(mask, images, self.config)
        images = self.frames(images, mask)
        filtered = self.filter(images, mask, controls, seed)
        filled = tf.where(per_pixel(mask, images) > 0, images, filtered.images)
        return Imputed(filled, filtered.codes, None, None, None)

    def generate(
        self,
        images: TensorLike,
        num_steps: int | None = None,
        num_given: int | None = None,
        controls: TensorLike | None = None,
        stochastic: bool = False,
        seed: SeedLike | None = None,
        mask: TensorLike | None = None,
    ) -> Decoded:
        """Imagine how sequences go on from their first frames; arguments and errors as `KVAE.generate`.

        `stochastic` adds noise of variance noise_emission to every predicted code.
        """
        images = arguments.shaped_frames(images)
        num_steps, num_given = lengths_of(images.shape[1], num_steps, num_given, self.config)
        seeds = self.seeds(seed)
        seen = given_mask(mask, images)
        seen = None if seen is None else seen[:, :num_given]
        given = self.codes(images[:, :num_given], seeds, seen)
        batch = tf.shape(given)[0]
        codes = tf.pad(given, [[0, 0], [0, num_steps - num_given], [0, 0]])
        is_given = tf.broadcast_to(tf.cast(tf.range(num_steps) < num_given, tf.float32), [batch, num_steps])
        if seen is not None:
            is_given *= tf.pad(seen, [[0, 0], [0, num_steps - num_given]])
        noise = tf.zeros_like(codes)
        if stochastic:
            noise = tf.random.stateless_normal(tf.shape(codes), next(seeds))
            noise *= self.config.noise_emission**0.5
        controls = fitted_controls(controls, num_steps, given.shape[0], self.config.dim_u)
        controls = controls_of(controls, codes, self.config.dim_u)
        fed = parts.traced_once(self._fed, codes, is_given, controls, noise)
        return Decoded(self.decoded_images(fed), fed, None, None)

    # A loop over time, which step by step in Python would take many times as long.
    @tf.function(autograph=False)
    def _fed(self, codes: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return the codes that the LSTM goes on from, see `CodePredictor.call`."""
        return self.predictor(codes, mask, controls, noise)[1]
