"""The Kalman variational auto-encoder."""

import os

import keras
import tensorflow as tf

import kvae
from kvae import arguments
from kvae.arguments import ArgumentError
from kvae.data.colour import per_pixel
from kvae.inference import posterior
from kvae.inference.posterior import Continuation, Posterior
from kvae.inference.roll_out import RollOut
from kvae.models import draws, parts
from kvae.models.arguments import (
    check_built,
    controls_of,
    fitted_controls,
    given_mask,
    lengths_of,
    mask_of,
)
from kvae.models.kalman_autoencoder import KalmanAutoencoder
from kvae.models.outputs import Decoded, Imputed, Samples, States, TensorLike
from kvae.models.seeds import SeedLike, stateless_seed


@keras.saving.register_keras_serializable(package="kvae")
class KVAE(KalmanAutoencoder):
    """The Kalman variational auto-encoder of Fraccaro, Kamronn, Paquet and Winther, NIPS 2017.

    A variational auto-encoder gives every frame a code; a mixture of linear-Gaussian state space models,
    with exact filtering and smoothing, explains how the codes move.

    Frames are numpy arrays or tensors [B, T, H, W], or in colour [B, T, H, W, 3], as the first that the model
    is given are: 0..255 if they are integers, else in [0, 1]. What else is said to have a shape [.., H, W]
    has [.., H, W, 3] in a model for colour. A mask [B, T] is 1 where a frame is observed; None means that all
    are. Controls are [B, T, dim_u], entry t acting on the transition into step t; None means zeros. A `seed`,
    a whole number, says what is drawn: the same seed gives the same numbers, None others at every call.

    Args:
        config: `ModelOptions`, such as a `Config`; None: the defaults.

    Examples:
        >>> import kvae, numpy as np
        >>> model = kvae.KVAE(kvae.Config(num_filters=(4,), K=2))
        >>> videos = np.random.default_rng(0).integers(0, 2, [3, 6, 8, 8]) * 255
        >>> model.compile()
        >>> history = model.fit({"images": videos}, batch_size=3, verbose=0)
        >>> mask = np.ones([3, 6])
        >>> mask[:, 2:5] = 0
        >>> model.impute(videos, mask).images.shape
        TensorShape([3, 6, 8, 8])
    """

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames: sampling is `impute`, the others have the names of their methods."""
        sampling = ("sampling",) if self.config.num_paths else ()
        return ("smoothing", "filtering", "generation", *sampling)

    def impute(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        num_samples: int = 0,
        num_paths: int | None = None,
        seed: SeedLike | None = None,
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
            seed: of the paths and samples.

        Raises:
            ArgumentError: frames, mask or controls are none, or a number is out of range.
            FitError: the frames' sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> mask = np.array([[1, 1, 0, 0, 1, 1]] * 3)
            >>> found = model.impute(videos, mask, num_samples=5, num_paths=10, seed=0)
            >>> found.images.shape, found.samples.images.shape
            (TensorShape([3, 6, 8, 8]), TensorShape([3, 5, 6, 8, 8]))
        """
        num_paths = arguments.count(self.config.num_paths if num_paths is None else num_paths, "num_paths")
        num_samples = arguments.count(num_samples, "num_samples")
        if num_paths == 1:
            raise ArgumentError("num_paths must be 0 or at least 2. Received: 1")
        images, seeds = arguments.shaped_frames(images), self.seeds(seed)
        mask = mask_of(mask, images, self.config)
        num_draws = max(posterior.NUM_DRAWS if num_paths else 1, num_samples)
        codes = self.codes(images, seeds, mask)
        controls, draws_seed = controls_of(controls, codes, self.config.dim_u), next(seeds)
        at_once = self._imputed_at_once(images, max(num_paths, num_draws))
        firsts = iter(range(0, images.shape[0] or 1, at_once))

        def impute_part(
            images: TensorLike, codes: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor
        ) -> Imputed:
            first = next(firsts)
            part_seed = tf.random.fold_in(draws_seed, first) if first else draws_seed
            return self._impute_part(
                images, codes, mask, controls, num_paths, num_draws, num_samples, part_seed
            )

        if images.shape[0] is None:
            return impute_part(images, codes, mask, controls)
        return parts.in_parts(impute_part, [images, codes, mask, controls], at_once)

    def _imputed_at_once(self, images: TensorLike, num_draws: int) -> int:
        """Return how many sequences are followed and decoded together: a bound on memory."""
        at_once = posterior.MAX_PATHS_AT_ONCE // num_draws
        if images.shape[1] is not None:
            at_once = min(at_once, parts.frames_at_once(*self.frame_shape) // images.shape[1])
        return max(1, at_once)

    def _impute_part(
        self,
        images: TensorLike,
        codes: tf.Tensor,
        mask: tf.Tensor,
        controls: tf.Tensor,
        num_paths: int,
        num_draws: int,
        num_samples: int,
        seed: tf.Tensor,
    ) -> Imputed:
        """Fill in sequences whose frames have been encoded."""
        images = self._seen(images, mask)
        found = self.sample_posterior(codes, mask, controls, num_paths, num_draws, seed)
        seen, samples = per_pixel(mask, images) > 0, None
        if num_samples:
            chosen = [draws.spread(x, num_samples) for x in (found.sampled_codes, found.sampled_states)]
            drawn = draws.decode_each(self, chosen[0])
            samples = Samples(tf.where(seen[:, None], images[:, None], drawn), *chosen)
        return Imputed(
            draws.fill(self, images, mask, found.codes),
            tf.reduce_mean(found.codes, axis=1),
            States(*posterior.moments_over_draws(found.state_mean, found.state_cov)),
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
        seed: SeedLike | None = None,
    ) -> Posterior:
        """Draw from the posterior of codes [B, T, dim_a] that have been encoded already.

        Arguments as `kvae.inference.posterior.sample_posterior`; controls may be None.
        """
        u, mask = controls_of(controls, codes, self.config.dim_u), given_mask(mask, codes)
        seed = next(self.seeds()) if seed is None else stateless_seed(seed)
        return posterior.sample_posterior(self.lgssm, codes, mask, u, num_paths, num_draws, seed)

    def sample_codes(
        self,
        codes: tf.Tensor,
        mask: TensorLike,
        controls: TensorLike | None,
        num_draws: int,
        seed: SeedLike | None = None,
    ) -> tf.Tensor:
        """Draw codes [B, S, T, dim_a] from the posterior along config.num_paths paths."""
        num_paths = self.config.num_paths
        return self.sample_posterior(codes, mask, controls, num_paths, num_draws, seed).codes

    def continue_posterior(
        self,
        states: tf.Tensor,
        paths: tf.Tensor,
        num_steps: int,
        seed: SeedLike | None = None,
        controls: TensorLike | None = None,
    ) -> Continuation:
        """Let draws of T steps, a `Posterior`'s sampled states and paths, go on to `num_steps`.

        Arguments as `kvae.inference.posterior.continue_posterior`; controls [B, S, dim_u] are cut, or
        continued with zeros, to `num_steps`.
        """
        u = fitted_controls(controls, num_steps, states.shape[0], self.config.dim_u)
        if u is None:
            u = tf.zeros([tf.shape(states)[0], num_steps, self.config.dim_u])
        seed = next(self.seeds()) if seed is None else stateless_seed(seed)
        return posterior.continue_posterior(self.lgssm, states, paths, u, seed)

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
        """Imagine how sequences go on: smooth the first frames, then roll the dynamics out.

        Args:
            images: [B, T, H, W]; only the first `num_given` frames are looked at.
            num_steps: length of the result, the given frames included; by default config.n_steps_gen.
            num_given: by default config.t_init_mask.
            controls: [B, S, dim_u]; cut, or continued with zeros, to `num_steps`.
            stochastic: add transition and emission noise.
            seed: of that noise.
            mask: [B, T], 1 where a frame is observed, also among the first; None: all are.

        Raises:
            ArgumentError: there are fewer than `num_given` frames, or `num_steps` is below that; or frames
                or controls are none.
            FitError: the frames' sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.generate(videos, num_steps=30, num_given=4).images.shape
            TensorShape([3, 30, 8, 8])
        """
        images = arguments.shaped_frames(images)
        num_steps, num_given = lengths_of(images.shape[1], num_steps, num_given, self.config)
        seeds = self.seeds(seed)
        mask = given_mask(mask, images)
        mask = None if mask is None else mask[:, :num_given]
        codes = self.codes(images[:, :num_given], seeds, mask)
        controls = fitted_controls(controls, num_steps, codes.shape[0], self.config.dim_u)
        if controls is None:
            controls = tf.zeros([tf.shape(codes)[0], num_steps, self.config.dim_u])
        return self.generate_from_codes(codes, controls, next(seeds) if stochastic else None, mask)

    def generate_from_codes(
        self,
        codes: tf.Tensor,
        controls: tf.Tensor,
        noise_seed: tf.Tensor | None = None,
        mask: TensorLike | None = None,
    ) -> Decoded:
        """Go on from the codes of the first frames.

        Args:
            codes: [B, G, dim_a].
            controls: [B, S, dim_u], whose S >= G is the length of the result.
            noise_seed: [2], of the transition and emission noise; None: there is none.
            mask: [B, G], 1 where a frame was observed; None: all were.
        """
        start = self.infer_codes(codes, mask, controls[:, : tf.shape(codes)[1]]).smoothed_states
        # A KVAE has states.
        assert start is not None
        return self._decoded(parts.traced_once(self._roll_out, start.mean, controls, noise_seed))

    def sample(self, num_sequences: int, num_steps: int, seed: SeedLike | None = None) -> Decoded:
        """Draw sequences from the prior, the first state too; the model must have been built.

        Examples:
            >>> import kvae
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,)))
            >>> model.build((None, None, 8, 8))
            >>> model.sample(num_sequences=2, num_steps=5, seed=0).images.shape
            TensorShape([2, 5, 8, 8])
        """
        check_built(self)
        num_sequences = arguments.count(num_sequences, "num_sequences", 1)
        num_steps = arguments.count(num_steps, "num_steps", 1)
        seeds, controls = self.seeds(seed), tf.zeros([num_sequences, num_steps, self.config.dim_u])
        first = self.lgssm.prior().sample([num_sequences, 1], seed=next(seeds))
        return self._decoded(parts.traced_once(self._roll_out, first, controls, next(seeds)))

    def export(self, filepath: str | os.PathLike) -> None:
        """Write a TensorFlow SavedModel; the same as `kvae.export`.

        Example: see `kvae.export`.
        """
        kvae.export(self, filepath)

    # A loop over time, which step by step in Python would take many times as long.
    @tf.function(autograph=False)
    def _roll_out(self, states: tf.Tensor, controls: tf.Tensor, noise_seed: tf.Tensor | None) -> RollOut:
        return self.lgssm.roll_out(states, controls, noise_seed)

    def _decoded(self, rolled: RollOut) -> Decoded:
        # A rolled-out state is one point: its covariance is zero.
        cov = tf.zeros_like(rolled.states)[..., None] * tf.zeros_like(rolled.states)[..., None, :]
        return Decoded(
            self.decoded_images(rolled.codes), rolled.codes, States(rolled.states, cov), rolled.alpha
        )
