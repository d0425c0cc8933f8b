"""The Kalman variational auto-encoder."""

import os
from typing import Any

import keras
import tensorflow as tf

from kvae.config import Config
from kvae.inference import posterior as imputation
from kvae.models.alpha_network import DynamicsParameterNetwork
from kvae.models.autoencoder import PHASE_ALL, SequenceAutoencoder
from kvae.models.lgssm import MixtureStateSpaceModel, total_of
from kvae.models.outputs import Bound, Decoded, Imputed, Inference, Samples, States, TensorLike


@keras.saving.register_keras_serializable(package="kvae")
class KVAE(SequenceAutoencoder):
    """The Kalman variational auto-encoder of Fraccaro, Kamronn, Paquet and Winther, NIPS 2017.

    A variational auto-encoder gives every frame a code; a mixture of linear-Gaussian state space models,
    with exact filtering and smoothing, explains how the codes move.

    Frames are numpy arrays or tensors [B, T, H, W]: 0..255 if they are integers, else in [0, 1]. A mask
    [B, T] is 1 where a frame is observed; None means that all are. Controls are [B, T, dim_u], entry t
    acting on the transition into step t; None means zeros.

    Args:
        config: a `Config`.

    Example:
        >>> import numpy as np
        >>> model = KVAE(Config(num_filters=(4,), K=2))
        >>> videos = np.random.default_rng(0).integers(0, 2, [3, 6, 8, 8]) * 255
        >>> model.compile()
        >>> history = model.fit({"images": videos}, batch_size=3, verbose=0)
        >>> mask = np.ones([3, 6])
        >>> mask[:, 2:5] = 0
        >>> model.impute(videos, mask).images.shape
        TensorShape([3, 6, 8, 8])
    """

    def __init__(self, config: Config | None = None, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.alpha = DynamicsParameterNetwork(
            self.config.dim_a,
            self.config.K,
            self.config.dim_u if self.config.learn_u else 0,
            rnn=self.config.alpha_rnn,
            units=self.config.alpha_units,
            num_layers=self.config.alpha_layers,
            activation=self.config.alpha_activation,
            fifo_size=self.config.fifo_size,
            seed=self.initial_seeds,
            name="alpha",
        )
        self.lgssm = MixtureStateSpaceModel(
            self.alpha,
            self.config.dim_a,
            self.config.dim_z,
            self.config.dim_u,
            self.config.K,
            transition_variance=self.config.noise_transition,
            emission_variance=self.config.noise_emission,
            initial_variance=self.config.init_cov,
            matrix_stddev=self.config.init_kf_matrices,
            seed=self.initial_seeds,
            learn_noise=self.config.learn_noise,
            learn_offset=self.config.learn_offset,
            name="lgssm",
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames: sampling is `impute`, the others have the names of their methods."""
        sampling = ("sampling",) if self.config.num_paths else ()
        return ("smoothing", "filtering", "generation", *sampling)

    def build_dynamics(self) -> None:
        """Create the weights of the alpha network and of the state space models."""
        self.alpha.build()
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

    def codes_log_likelihood(
        self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return the weighted sum of log p(a) of B sequences, by the Kalman filter; see the base class."""
        return self.lgssm.compiled_log_likelihood(codes, mask, controls, weight)

    def elbo(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        weight: TensorLike | None = None,
        sampled_term: bool = False,
        training: bool = False,
        sample: bool = True,
    ) -> Bound:
        """Estimate the evidence lower bound, with one draw of the codes.

        Args:
            images: [B, T, H, W].
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
            weight: [B], 0 for sequences that only fill up a batch; None: 1 for all.
            sampled_term: compute the sampled state space term too, where config.kf_elbo is `exact`.
            training: draw from the seeds of training.
            sample: draw the codes from q(a|x); False: use its mean.

        Returns:
            A `Bound`; zero where no frame is observed.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> bound = model.elbo(videos)
            >>> bool(abs(bound.total - (bound.log_px - bound.log_qa + bound.state_space)) < 1e-3)
            True
        """
        images = self._frames(images)
        with tf.name_scope("weights"):
            weight = tf.ones(tf.shape(images)[:1]) if weight is None else tf.cast(weight, tf.float32)
            seen = tf.ones(tf.shape(images)[:2]) if mask is None else tf.cast(mask, tf.float32)
            observed = weight[:, None] * seen
        q = self.encode(images)
        with tf.name_scope("codes"):
            codes = q.mean()
            if sample and self.is_variational:
                codes += q.stddev() * self._noise(tf.shape(codes), training)
            controls = self._controls(controls, codes)
        sampled, decoded = None, codes
        sampled_term = sampled_term or self.config.kf_elbo == "sampled"
        with tf.name_scope("state_space"):
            if training and not (sampled_term or self.config.sample_z):
                exact = self.codes_log_likelihood(codes, mask, controls, weight)
            else:
                filtered, dynamics = self.lgssm.filter(codes, mask, controls)
                exact = total_of(weight, filtered)
                if sampled_term or self.config.sample_z:
                    smoothed = self.lgssm.smooth(filtered, dynamics)
                if sampled_term:
                    noise = self._noise(tf.shape(smoothed.smoothed_mean), training)
                    terms = self.lgssm.sampled_term(codes, seen, dynamics, smoothed, noise)
                    sampled = tf.reduce_sum(weight * terms)
                if self.config.sample_z:
                    decoded = tf.linalg.matvec(dynamics.model.C, smoothed.smoothed_mean)
        p = self.decode(decoded)
        with tf.name_scope("bound"):
            log_px = tf.reduce_sum(observed * p.log_prob(images))
            log_qa = tf.constant(0.0)
            if self.is_variational:
                log_qa = tf.reduce_sum(observed * q.log_prob(codes))
            num_observed = tf.reduce_sum(observed)
            # No observed frame at all: the transitions alone are left, and the bound is defined as 0.
            scale = tf.math.divide_no_nan(1.0, num_observed)
            state_space = sampled if self.config.kf_elbo == "sampled" else exact
            return Bound(
                total=scale * (log_px - log_qa + state_space),
                log_px=scale * log_px,
                log_qa=scale * log_qa,
                state_space=scale * state_space,
                exact=scale * exact,
                sampled=None if sampled is None else scale * sampled,
                num_observed=num_observed,
                encoder_variance=scale * tf.reduce_sum(observed * tf.reduce_mean(q.variance(), axis=-1)),
            )

    # --- what a trained model does ---

    def infer(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Filter and smooth in one pass, without decoding; arguments as `smooth`.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.infer(videos).smoothed_states.cov.shape
            TensorShape([3, 6, 4, 4])
        """
        self._build_for(images)
        return self.infer_codes(self._codes(images), mask, controls)

    def infer_codes(
        self, codes: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Filter and smooth codes [B, T, dim_a] that have been encoded already."""
        if mask is not None:
            mask = tf.convert_to_tensor(mask)
        filtered, dynamics = self.lgssm.filter(codes, mask, self._controls(controls, codes))
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
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Decoded:
        """Estimate every frame from all observed ones, before and after it: C_t m_t|T, decoded.

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> found = model.smooth(videos, mask=np.array([[1, 1, 0, 0, 1, 1]] * 3))
            >>> found.images.shape, found.states.mean.shape
            (TensorShape([3, 6, 8, 8]), TensorShape([3, 6, 4]))
        """
        found = self.infer(images, mask, controls)
        images = self._decoded_images(found.smoothed_codes)
        return Decoded(images, found.smoothed_codes, found.smoothed_states, found.alpha)

    def filter(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Decoded:
        """Estimate every frame from the observed ones up to it: C_t m_t|t, decoded; else as `smooth`.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.filter(videos).codes.shape
            TensorShape([3, 6, 2])
        """
        found = self.infer(images, mask, controls)
        images = self._decoded_images(found.filtered_codes)
        return Decoded(images, found.filtered_codes, found.filtered_states, found.alpha)

    def impute(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        num_samples: int = 0,
        num_paths: int | None = None,
    ) -> Imputed:
        """Fill in the missing frames, and leave the observed ones as they are.

        A hidden code is a random variable, and through alpha the dynamics are. So paths of hidden codes are
        drawn from their posterior, see `kvae.inference.particles`; each is smoothed and decoded, and what is
        returned are means over them. With `num_paths` 0 there is one path, the paper's: hidden codes are what
        the filter predicts, whatever is seen after them, as in `smooth`.

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T]; None hides config.t_steps_mask frames after the first config.t_init_mask.
            controls: [B, T, dim_u] or None.
            num_samples: whole sequences to draw from the posterior, states and all.
            num_paths: by default config.num_paths.

        Raises:
            ValueError: a number is out of range.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> found = model.impute(videos, np.array([[1, 1, 0, 0, 1, 1]] * 3), num_samples=5, num_paths=10)
            >>> found.images.shape, found.samples.images.shape
            (TensorShape([3, 6, 8, 8]), TensorShape([3, 5, 6, 8, 8]))
        """
        num_paths = self.config.num_paths if num_paths is None else num_paths
        if num_samples < 0 or num_paths < 0 or num_paths == 1:
            raise ValueError(
                "num_samples must be 0 or more; num_paths 0 or at least 2. "
                f"Received: num_samples={num_samples}, num_paths={num_paths}"
            )
        images = self._frames(images)
        mask = self.imputation_mask(images) if mask is None else tf.cast(mask, tf.float32)
        codes = self._codes(images)
        num_draws = max(imputation.NUM_DRAWS if num_paths else 1, num_samples)
        found = self.sample_posterior(codes, mask, controls, num_paths, num_draws)
        seen = mask[..., None, None] > 0
        decoded = imputation.decode_mean(self, _draws_first(found.codes))
        samples = None
        if num_samples:
            # Evenly spaced, as neighbours among the draws may come from the same path.
            chosen = tf.range(num_samples) * num_draws // num_samples
            of_samples = [tf.gather(x, chosen, axis=1) for x in (found.sampled_codes, found.sampled_states)]
            drawn = tf.map_fn(self._decoded_images, _draws_first(of_samples[0]))
            samples = Samples(_draws_first(tf.where(seen, images, drawn)), *of_samples)
        return Imputed(
            tf.where(seen, images, decoded),
            tf.reduce_mean(found.codes, axis=1),
            States(*imputation.moments_over_draws(found.state_mean, found.state_cov)),
            tf.reduce_mean(found.alpha, axis=1),
            samples,
        )

    def sample_posterior(
        self,
        codes: tf.Tensor,
        mask: TensorLike,
        controls: TensorLike | None,
        num_paths: int,
        num_draws: int,
    ) -> imputation.Posterior:
        """Draw from the posterior of codes [B, T, dim_a] that have been encoded already.

        Arguments as `kvae.inference.posterior.sample_posterior`; controls may be None.
        """
        mask = tf.cast(mask, tf.float32)
        u = self._controls(controls, codes)
        return imputation.sample_posterior(
            self.lgssm, codes, mask, u, num_paths, num_draws, self._next_seed()
        )

    def generate(
        self,
        images: TensorLike,
        num_steps: int | None = None,
        num_given: int | None = None,
        controls: TensorLike | None = None,
        stochastic: bool = False,
    ) -> Decoded:
        """Imagine how sequences go on: smooth the first frames, then roll the dynamics out.

        Args:
            images: [B, T, H, W]; only the first `num_given` frames are looked at.
            num_steps: length of the result, the given frames included; by default config.n_steps_gen.
            num_given: by default config.t_init_mask.
            controls: [B, S, dim_u]; cut, or continued with zeros, to `num_steps`.
            stochastic: add transition and emission noise.

        Raises:
            ValueError: there are fewer than `num_given` frames, or `num_steps` is below that.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.generate(videos, num_steps=30, num_given=4).images.shape
            TensorShape([3, 30, 8, 8])
        """
        num_steps, num_given = self.checked_lengths(images, num_steps, num_given)
        codes = self._codes(images[:, :num_given])
        controls = self.fitted_controls(controls, num_steps)
        if controls is None:
            controls = tf.zeros([tf.shape(codes)[0], num_steps, self.config.dim_u])
        return self.generate_from_codes(codes, controls, stochastic)

    def generate_from_codes(self, codes: tf.Tensor, controls: tf.Tensor, stochastic: bool = False) -> Decoded:
        """Go on from the codes of the first frames.

        Args:
            codes: [B, G, dim_a].
            controls: [B, S, dim_u], whose S >= G is the length of the result.
            stochastic: add transition and emission noise.
        """
        start = self.infer_codes(codes, None, controls[:, : tf.shape(codes)[1]]).smoothed_states
        # A KVAE has states.
        assert start is not None
        rolled = self.lgssm.roll_out(start.mean, controls, self._next_seed() if stochastic else None)
        return self._decode_roll_out(rolled)

    def sample(self, num_sequences: int, num_steps: int) -> Decoded:
        """Draw sequences from the prior, the first state too; the model must have been built.

        Example:
            >>> import kvae
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,)))
            >>> model.build((None, None, 8, 8))
            >>> model.sample(num_sequences=2, num_steps=5).images.shape
            TensorShape([2, 5, 8, 8])
        """
        controls = tf.zeros([num_sequences, num_steps, self.config.dim_u])
        first = self.lgssm.prior().sample([num_sequences, 1], seed=self._next_seed())
        return self._decode_roll_out(self.lgssm.roll_out(first, controls, self._next_seed()))

    def export(self, filepath: str | os.PathLike) -> None:
        """Write a TensorFlow SavedModel, whose `impute` and `generate` run without this package.

        See `kvae.runs.export` for their arguments.

        Args:
            filepath: a new folder.

        Raises:
            ExportError: there is something of that name already, or the model has no weights yet.

        Example:
            >>> import os, tempfile
            >>> import kvae, tensorflow as tf
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,), num_paths=4))
            >>> model.build((None, None, 8, 8))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.export(os.path.join(folder, "exported"))
            ...     exported = tf.saved_model.load(os.path.join(folder, "exported"))
            >>> exported.generate(tf.zeros([3, 4, 8, 8]), 10, tf.zeros([3, 0, 1]))["images"].shape
            TensorShape([3, 10, 8, 8])
        """
        from kvae.runs.export import export

        export(self, filepath)

    def _decode_roll_out(self, rolled):
        # A rolled-out state is one point: its covariance is zero.
        cov = tf.zeros_like(rolled.states)[..., None] * tf.zeros_like(rolled.states)[..., None, :]
        images = self._decoded_images(rolled.codes)
        return Decoded(images, rolled.codes, States(rolled.states, cov), rolled.alpha)


def _draws_first(tensor):
    """Turn [B, S, ...] into [S, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
