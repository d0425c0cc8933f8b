"""What DVBF and DMM share: frames are decoded from the states of the dynamics themselves."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from kvae import arguments
from kvae.data.colour import per_pixel
from kvae.inference.posterior import NUM_DRAWS
from kvae.models import draws, keras_data, parts, replicas
from kvae.models.arguments import (
    check_built,
    controls_of,
    fitted_controls,
    given_mask,
    lengths_of,
    mask_of,
)
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.image_networks import Trunk
from kvae.models.outputs import (
    CodeTerm,
    Decoded,
    Explained,
    Imputed,
    Inference,
    Samples,
    Sequences,
    States,
    TensorLike,
)
from kvae.models.seeds import SeedLike, stateless_seed

tfd = tfp.distributions


class Path(NamedTuple):
    """Draws of z_1..z_T from the posterior, and what both sides of the bound say of them.

    Attributes:
        states: [B, T, dim_a].
        variance: [B, T, dim_a], of each state, given the one before.
        log_q: [B, T], E log q of what is drawn at each step, given the state before.
        log_p: [B, T], E log p of it, under the same q.
        alpha: [B, T, K], weights of a mixture of dynamics; None of a model without.
    """

    states: tf.Tensor
    variance: tf.Tensor
    log_q: tf.Tensor
    log_p: tf.Tensor
    alpha: tf.Tensor | None


class LatentAutoencoder(SequenceAutoencoder):
    """A model of states z_1..z_T, of `dim_a` dimensions, that frames are decoded from and nothing else is.

    A state says all that the next one depends on but the control: so there have to be dimensions for
    velocities too. What is maximised is a bound of log p(x|u), whose frames that are missing are left out:

        E_q(z|x,u) [ log p(x|z) + log p(z|u) - log q(z|x,u) ]

    with one draw of each state; expectations given the state before it are taken in closed form. The trunk of
    the KVAE's encoder tells a recognition network of the frames, its decoder draws the states. Frames, masks
    and controls are as in `KVAE`.

    A subclass makes the layers, and says how a path is inferred and how it goes on.

    Args:
        config: `ModelOptions`, such as a `Config`.
    """

    bound_terms = ("total", "log_px", "log_qa", "state_space", "encoder_variance")

    # --- what a subclass says ---

    def recognise(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return what the recognition network makes of sequences, tensors [B, ...].

        Args:
            features: [B, T, F], zero where a frame is missing.
            mask: [B, T], 1 = observed.
            controls: [B, T, dim_u].
        """
        raise NotImplementedError

    def follow(self, recognised: tuple[tf.Tensor, ...], noise: tf.Tensor) -> Path:
        """Go along a posterior path.

        Args:
            recognised: what `recognise` returned.
            noise: [B, T, dim_a], from N(0, 1); zeros: every step goes to its mean.
        """
        raise NotImplementedError

    def begin(self, noise: tf.Tensor) -> tf.Tensor:
        """Return first states [B, dim_a] from the prior, of noise [B, dim_a] from N(0, 1)."""
        raise NotImplementedError

    def go_on(self, states: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return the states [B, S, dim_a] that the dynamics let follow states [B, dim_a].

        Args:
            states: those before.
            controls: [B, S, dim_u].
            noise: [B, S, dim_a], from N(0, 1); zeros: the mean of each step, given the one before.
        """
        raise NotImplementedError

    # --- the bound ---

    def new_encoder(self) -> Trunk:
        """Return the layer that looks at frames: the KVAE's without its heads."""
        return Trunk(**self._trunk_options(), name="encoder")

    def explain(
        self, given: Sequences, observed: tf.Tensor, sampled_term: bool, training: bool, sample: bool
    ) -> Explained:
        """Return both sides of the bound for one path of states; arguments as the base class."""
        features = self._encoded(given.images)
        mask = tf.ones(tf.shape(features)[:2]) if given.mask is None else given.mask
        with tf.name_scope("codes"):
            noise = tf.zeros([*tf.unstack(tf.shape(features)[:2]), self.config.dim_a])
            if sample:
                noise = replicas.normal(tf.shape(noise), next(given.draws))
            path = self._follow(features, mask, given.controls, noise)
        with tf.name_scope("state_space"):
            log_p, log_q = (tf.reduce_sum(given.weight[:, None] * term) for term in (path.log_p, path.log_q))
        term = CodeTerm(log_p, None, None, path.states)
        return Explained(term, log_q, tf.reduce_mean(path.variance, axis=-1))

    def _follow(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> Path:
        seen = features * mask[..., None]
        return self.follow(self.recognise(seen, mask, controls), noise)

    # --- what it believes ---

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames: the mean path of the posterior, the prior's, and posterior draws."""
        return ("smoothing", "generation", "sampling")

    def encode(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> tfp.distributions.Distribution:
        """Return q(z_t | z_{t-1}, x, u) along its mean path, a distribution over states [B, T, dim_a].

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
        """
        images = arguments.shaped_frames(images)
        mask = given_mask(mask, images)
        path = self._mean_path(self.features(images, self.seeds(), mask), mask, controls)
        return tfd.Independent(tfd.Normal(path.states, tf.sqrt(path.variance)), 1)

    def code_distribution(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> tfp.distributions.Distribution:
        """Return how far the states of sequences are known; the same as `encode`."""
        return self.encode(images, mask, controls)

    def features(
        self, images: TensorLike, draws: Iterator[tf.Tensor], mask: TensorLike | None = None
    ) -> tf.Tensor:
        """Return what the encoder's trunk sees in each frame, [B, T, F]; nothing is drawn."""
        return self._encoded(self.checked(images, mask), mask)

    def codes_of(
        self, features: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> tf.Tensor:
        """Return the states [B, T, dim_a] along the posterior's mean path; arguments as `infer_codes`."""
        return self._mean_path(features, mask, controls).states

    def codes(
        self, images: TensorLike, draws: Iterator[tf.Tensor], mask: TensorLike | None = None
    ) -> tf.Tensor:
        """Return the same of frames [B, T, H, W] that no control acted on."""
        return self.codes_of(self.features(images, draws, mask), mask)

    def infer_codes(
        self, codes: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Smooth sequences: an `Inference` without anything filtered.

        Args:
            codes: [B, T, F], what `features` returned.
            mask: [B, T], 1 = observed; None: all are.
            controls: [B, T, dim_u]; None: zeros.
        """
        path = self._mean_path(codes, mask, controls)
        states = States(path.states, tf.linalg.diag(path.variance))
        return Inference(None, None, path.states, states, path.alpha)

    def smooth(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Decoded:
        """Estimate every frame by the posterior's mean path, given all that is observed.

        Arguments and errors as `KVAE.smooth`. Nothing is drawn.
        """
        images = arguments.shaped_frames(images)
        mask = given_mask(mask, images)
        found = self.infer_codes(self.features(images, self.seeds(), mask), mask, controls)
        images = self.decoded_images(found.smoothed_codes)
        return Decoded(images, found.smoothed_codes, found.smoothed_states, found.alpha)

    def sample_codes(
        self,
        codes: tf.Tensor,
        mask: TensorLike,
        controls: TensorLike | None,
        num_draws: int,
        seed: SeedLike | None = None,
    ) -> tf.Tensor:
        """Draw paths of states [B, S, T, dim_a] from the posterior; `codes` as in `infer_codes`."""
        seed = next(self.seeds()) if seed is None else stateless_seed(seed)
        mask, controls = given_mask(mask, codes), controls_of(controls, codes, self.config.dim_u)
        shape = tf.shape(codes)
        noise = tf.random.stateless_normal([shape[0], num_draws, shape[1], self.config.dim_a], seed)
        if not tf.executing_eagerly():
            return self._draw(codes, mask, controls, noise)
        at_once = max(1, parts.sequences_at_once(codes.shape[1]) // num_draws)
        draw = functools.partial(parts.traced_once, self._compiled_draw)
        return parts.in_parts(draw, [codes, mask, controls, noise], at_once)

    def impute(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        num_samples: int = 0,
        seed: SeedLike | None = None,
    ) -> Imputed:
        """Fill in the missing frames by the mean over posterior draws, and leave the observed ones.

        Arguments and errors as `KVAE.impute`, but that there is nothing to say of paths.
        """
        num_samples = arguments.count(num_samples, "num_samples")
        images, seeds = arguments.shaped_frames(images), self.seeds(seed)
        mask = mask_of(mask, images, self.config)
        features = self.features(images, seeds, mask)
        found = self.sample_codes(features, mask, controls, max(NUM_DRAWS, num_samples), next(seeds))
        images = self.frames(images, mask)
        seen, samples = per_pixel(mask, images) > 0, None
        if num_samples:
            chosen = draws.spread(found, num_samples)
            drawn = draws.decode_each(self, chosen)
            samples = Samples(tf.where(seen[:, None], images[:, None], drawn), chosen, chosen)
        mean = tf.reduce_mean(found, axis=1)
        deviations = found - mean[:, None]
        cov = tf.reduce_mean(deviations[..., None] * deviations[..., None, :], axis=1)
        filled = draws.fill(self, images, mask, found)
        return Imputed(filled, mean, States(mean, cov), None, samples)

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
        """Imagine how sequences go on from the last of their first frames; arguments as `KVAE.generate`.

        The first states are those of the posterior's mean path, given the first frames alone. `stochastic`
        adds the noise of the dynamics to those that follow.
        """
        images = arguments.shaped_frames(images)
        num_steps, num_given = lengths_of(images.shape[1], num_steps, num_given, self.config)
        seeds = self.seeds(seed)
        mask = given_mask(mask, images)
        mask = None if mask is None else mask[:, :num_given]
        features = self.features(images[:, :num_given], seeds, mask)
        controls = fitted_controls(controls, num_steps, features.shape[0], self.config.dim_u)
        if controls is None:
            controls = tf.zeros([tf.shape(features)[0], num_steps, self.config.dim_u])
        path = self._mean_path(features, mask, controls[:, :num_given])
        if num_steps == num_given:
            return self._decoded(path.states)
        noise = tf.zeros([tf.shape(features)[0], num_steps - num_given, self.config.dim_a])
        if stochastic:
            noise = tf.random.stateless_normal(tf.shape(noise), next(seeds))
        rest = parts.traced_once(self._compiled_going_on, path.states[:, -1], controls[:, num_given:], noise)
        return self._decoded(tf.concat([path.states, rest], axis=1))

    def sample(self, num_sequences: int, num_steps: int, seed: SeedLike | None = None) -> Decoded:
        """Draw sequences from the prior, without controls; the model must have been built."""
        check_built(self)
        num_sequences = arguments.count(num_sequences, "num_sequences", 1)
        num_steps = arguments.count(num_steps, "num_steps", 1)
        shape = [num_sequences, num_steps, self.config.dim_a]
        noise = tf.random.stateless_normal(shape, next(self.seeds(seed)))
        first = self.begin(noise[:, 0])
        if num_steps == 1:
            return self._decoded(first[:, None])
        controls = tf.zeros([num_sequences, num_steps - 1, self.config.dim_u])
        rest = parts.traced_once(self._compiled_going_on, first, controls, noise[:, 1:])
        return self._decoded(tf.concat([first[:, None], rest], axis=1))

    def predict_step(self, data: Any) -> tf.Tensor:
        """Return the frames of a batch as `predict` does: all by the posterior's mean path."""
        batch = keras_data.unpack(data, self.frame_shape if self.built else None)
        return self.smooth(batch["images"], batch.get("mask"), batch.get("controls")).images

    def call(self, images: TensorLike, training: bool = False) -> tf.Tensor:
        """Return frames [B, T, H, W] that no control acted on as `smooth` sees them."""
        return self.smooth(images).images

    # --- loops over time, which step by step in Python would take many times as long ---

    def _mean_path(self, features: tf.Tensor, mask: TensorLike | None, controls: TensorLike | None) -> Path:
        """Return the path on which every step goes to its mean."""
        mask = tf.ones(tf.shape(features)[:2]) if mask is None else given_mask(mask, features)
        controls = controls_of(controls, features, self.config.dim_u)
        if not tf.executing_eagerly():
            return self._to_means(features, mask, controls)
        at_once = parts.sequences_at_once(features.shape[1])
        follow = functools.partial(parts.traced_once, self._compiled_to_means)
        return parts.in_parts(follow, [features, mask, controls], at_once)

    def _to_means(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> Path:
        noise = tf.zeros([*tf.unstack(tf.shape(features)[:2]), self.config.dim_a])
        return self._follow(features, mask, controls, noise)

    def _draw(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Return paths [B, S, T, dim_a] of noise of that shape; frames are recognised once for all S."""
        recognised = self.recognise(features * mask[..., None], mask, controls)
        shape = tf.shape(noise)
        repeated = tf.nest.map_structure(lambda tensor: tf.repeat(tensor, shape[1], axis=0), recognised)
        flat = tf.reshape(noise, [-1, shape[2], noise.shape[-1]])
        return tf.reshape(self.follow(repeated, flat).states, shape)

    @tf.function(autograph=False)
    def _compiled_to_means(self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> Path:
        return self._to_means(features, mask, controls)

    @tf.function(autograph=False)
    def _compiled_draw(
        self, features: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor
    ) -> tf.Tensor:
        return self._draw(features, mask, controls, noise)

    @tf.function(autograph=False)
    def _compiled_going_on(self, states: tf.Tensor, controls: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        return self.go_on(states, controls, noise)

    def _decoded(self, states: tf.Tensor) -> Decoded:
        return Decoded(self.decoded_images(states), states, States(states, _no_covariance(states)), None)


def over_time(
    step: Any, inputs: tuple[tf.Tensor, ...], first: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Return all that a loop carries, [B, T, ...] each.

    Args:
        step: from what is carried, [B, ...] each, and the inputs of a step to what is carried next.
        inputs: [B, T, ...] each.
        first: what is carried into the first step.
    """
    if inputs[0].shape[1] == 0:
        return tuple(tensor[:, None][:, :0] for tensor in first)
    in_time = tuple(_batch_second(tensor) for tensor in inputs)
    return tuple(_batch_second(tensor) for tensor in tf.scan(step, in_time, first))


def _batch_second(tensor: tf.Tensor) -> tf.Tensor:
    """Turn [B, T, ...] into [T, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def _no_covariance(states: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(states)[..., None] * tf.zeros_like(states)[..., None, :]
