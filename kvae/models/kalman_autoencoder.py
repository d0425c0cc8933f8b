"""An auto-encoder of sequences whose codes follow Kalman's equations: its bound, its filter, its smoother."""

import functools
from typing import Any

import keras
import tensorflow as tf

from kvae import arguments
from kvae.config import ModelOptions
from kvae.models import own_parts, parts, replicas
from kvae.models.alpha_network import DynamicsParameterNetwork
from kvae.models.arguments import controls_of, given_mask
from kvae.models.autoencoder import PHASE_ALL, SequenceAutoencoder
from kvae.models.lgssm import MixtureStateSpaceModel, total_of
from kvae.models.outputs import CodeTerm, Decoded, Inference, Sequences, States, TensorLike
from kvae.models.seeds import SeedLike


class KalmanAutoencoder(SequenceAutoencoder):
    """The layers of a `KVAE`, what trains them, and what it believes of frames: all but what it draws.

    Args:
        config: `ModelOptions`, such as a `Config`; None: the defaults.
    """

    kinds = ("kvae",)

    def __init__(self, config: ModelOptions | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        self.alpha = self._alpha_network()
        self.lgssm = MixtureStateSpaceModel(
            self.alpha,
            config.dim_a,
            config.dim_z,
            config.dim_u,
            config.K,
            transition_variance=config.noise_transition,
            emission_variance=config.noise_emission,
            initial_variance=config.init_cov,
            matrix_stddev=config.init_kf_matrices,
            seed=self.initial_seeds,
            learn_noise=config.learn_noise,
            learn_offset=config.learn_offset,
            name="lgssm",
        )

    def _alpha_network(self) -> Any:
        """Return the network behind the mixture weights, which is a `CodeNetwork` and a layer."""
        config = self.config
        if config.alpha_network:
            return own_parts.make("alpha_network", config)
        return DynamicsParameterNetwork(
            config.dim_a,
            config.K,
            config.dim_u if config.learn_u else 0,
            rnn=config.alpha_rnn,
            units=config.alpha_units,
            num_layers=config.alpha_layers,
            activation=config.alpha_activation,
            fifo_size=config.fifo_size,
            seed=self.initial_seeds,
            name="alpha",
        )

    def build_dynamics(self) -> None:
        """Create the weights of the alpha network and of the state space models."""
        self.alpha.build((None, None, self.config.dim_a))
        self.lgssm.build()

    def phase_of(self, variable: keras.Variable) -> int:
        """Return the first phase of training that trains a variable: alpha learns last."""
        if any(variable is weight for weight in self.alpha.trainable_variables):
            return PHASE_ALL
        return super().phase_of(variable)

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of the state space models, alpha's among them."""
        return self.lgssm.trainable_variables

    @property
    def code_noise(self) -> tf.Tensor:
        """The square root of R's diagonal [dim_a]."""
        return tf.sqrt(tf.linalg.diag_part(self.lgssm.R))

    def codes_log_likelihood(
        self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return the weighted sum of log p(a) of B sequences, by the Kalman filter; see the base class."""
        return self.lgssm.compiled_log_likelihood(codes, mask, controls, weight)

    def code_term(self, codes: tf.Tensor, given: Sequences, sampled_term: bool, training: bool) -> CodeTerm:
        """Return the state space term, exact and, as config.kf_elbo or the caller wants, sampled."""
        sampled_term = sampled_term or self.config.kf_elbo == "sampled"
        if training and not (sampled_term or self.config.sample_z):
            exact = self.codes_log_likelihood(codes, given.mask, given.controls, given.weight)
            return CodeTerm(exact, exact, None, codes)
        filtered, dynamics = self.lgssm.filter(codes, given.mask, given.controls)
        value = exact = total_of(given.weight, filtered)
        sampled, decoded = None, codes
        if sampled_term or self.config.sample_z:
            smoothed = self.lgssm.smooth(filtered, dynamics)
        if sampled_term:
            noise = replicas.normal(tf.shape(smoothed.smoothed_mean), next(given.draws))
            seen = tf.ones_like(codes[..., 0]) if given.mask is None else given.mask
            terms = self.lgssm.sampled_term(codes, seen, dynamics, smoothed, noise)
            sampled = tf.reduce_sum(given.weight * terms)
            value = sampled if self.config.kf_elbo == "sampled" else exact
        if self.config.sample_z:
            decoded = tf.linalg.matvec(dynamics.model.C, smoothed.smoothed_mean)
        return CodeTerm(value, exact, sampled, decoded)

    # --- what it believes ---

    def infer(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        seed: SeedLike | None = None,
    ) -> Inference:
        """Filter and smooth in one pass, without decoding; arguments as `smooth`.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.infer(videos).smoothed_states.cov.shape
            TensorShape([3, 6, 4, 4])
        """
        images = arguments.shaped_frames(images)
        mask = given_mask(mask, images)
        return self.infer_codes(self.codes(images, self.seeds(seed), mask), mask, controls)

    def infer_codes(
        self, codes: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Filter and smooth codes [B, T, dim_a] that have been encoded already."""
        mask = given_mask(mask, codes)
        controls = controls_of(controls, codes, self.config.dim_u)
        if not tf.executing_eagerly():
            return self._infer_codes(codes, mask, controls)
        at_once = parts.sequences_at_once(codes.shape[1])
        infer = functools.partial(parts.traced_once, self._compiled_infer_codes)
        return parts.in_parts(infer, [codes, mask, controls], at_once)

    @tf.function(autograph=False)
    def _compiled_infer_codes(
        self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor
    ) -> Inference:
        return self._infer_codes(codes, mask, controls)

    def _infer_codes(self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor) -> Inference:
        filtered, dynamics = self.lgssm.filter(codes, mask, controls)
        smoothed = self.lgssm.smooth(filtered, dynamics)
        states = States(*(tf.cast(x, codes.dtype) for x in (filtered.filtered_mean, filtered.filtered_cov)))
        return Inference(
            tf.linalg.matvec(dynamics.model.C, states.mean),
            states,
            tf.linalg.matvec(dynamics.model.C, smoothed.smoothed_mean),
            States(smoothed.smoothed_mean, smoothed.smoothed_cov),
            dynamics.alpha,
        )

    def smooth(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        seed: SeedLike | None = None,
    ) -> Decoded:
        """Estimate every frame from all observed ones, before and after it: C_t m_t|T, decoded.

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
            seed: of the codes, where config.evaluate_on_samples draws them.

        Raises:
            ArgumentError: frames, mask or controls are none.
            FitError: the frames' sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> found = model.smooth(videos, mask=np.array([[1, 1, 0, 0, 1, 1]] * 3))
            >>> found.images.shape, found.states.mean.shape
            (TensorShape([3, 6, 8, 8]), TensorShape([3, 6, 4]))
        """
        found = self.infer(images, mask, controls, seed)
        images = self.decoded_images(found.smoothed_codes)
        return Decoded(images, found.smoothed_codes, found.smoothed_states, found.alpha)

    def filter(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        seed: SeedLike | None = None,
    ) -> Decoded:
        """Estimate every frame from the observed ones up to it: C_t m_t|t, decoded; else as `smooth`.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.filter(videos).codes.shape
            TensorShape([3, 6, 2])
        """
        found = self.infer(images, mask, controls, seed)
        images = self.decoded_images(found.filtered_codes)
        return Decoded(images, found.filtered_codes, found.filtered_states, found.alpha)
