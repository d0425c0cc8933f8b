"""Frames to codes and back: what every model of videos here is built on."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from kvae import arguments
from kvae.config import Config, ModelOptions, as_config
from kvae.config.frames import for_frames
from kvae.data.colour import per_pixel
from kvae.data.pixels import to_pixels
from kvae.models import adaptation, own_parts, parts, seeds
from kvae.models.arguments import check_built, check_sides, given_mask
from kvae.models.image_networks import Decoder, Encoder, Trunk
from kvae.models.outputs import Decoded, TensorLike
from kvae.models.seeds import SeedLike
from kvae.system.device import trunk_policy, use_full_float32

tfd = tfp.distributions


class FrameAutoencoder(keras.Model):
    """An encoder and a decoder of single frames, and where their random numbers come from.

    Args:
        config: `ModelOptions`, such as a `Config`; None: the defaults.
    """

    encoder: Trunk
    decoder: Decoder
    """Needs the frame's sides, which come with the first frames: there once the model is built."""

    built: bool

    def __init__(self, config: ModelOptions | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        # Keras would turn the integers of a frame into floats, whose range is another one.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        use_full_float32()
        self.config = as_config(config)
        # Whether codes are drawn from q(a|x); else they are its mean.
        self.is_variational = self.config.use_vae and self.config.model != "ae_rnn"
        # Training counts its draws apart from everything else, so that what is looked at on the way does
        # not change what is learned.
        self.training_draws = seeds.counter("training_draws")
        self.evaluation_draws = seeds.counter("evaluation_draws")
        self.initial_seeds = keras.random.SeedGenerator(self.config.seed)
        self.trunk_dtype = trunk_policy(self.config.precision)
        self.encoder = self.new_encoder()
        self.likelihood: Any = own_parts.make("likelihood", self.config) if self.config.likelihood else None
        self.log_pixel_var: keras.Variable | None = None
        self.pixel_errors: keras.Variable | None = None
        self.pixel_motion: keras.Variable | None = None
        self.frame_mean: keras.Variable | None = None
        self.frame_scale: keras.Variable | None = None

    def new_encoder(self) -> Trunk:
        """Return the layer that looks at frames."""
        return Encoder(self.config.dim_a, self.config.noise_emission, **self._trunk_options(), name="encoder")

    @property
    def code_head(self) -> keras.layers.Layer | None:
        """The layer that makes codes of what the encoder's trunk sees of a frame; None of a model without."""
        return getattr(self.encoder, "mean", None)

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create all weights, and let `config` say which channels and convolutions they are for.

        Args:
            input_shape: [B, T, H, W], or of frames in colour [B, T, H, W, 3]; B and T may be None.

        Raises:
            ShapeError: it is no such shape, or config.channels is for frames of the other kind.
        """
        if self.built:
            return
        frame_shape = tuple(input_shape[2:])
        self.config = for_frames(self.config, frame_shape)
        self.decoder = Decoder(frame_shape, **self._trunk_options(), name="decoder")
        self.encoder.build((None, *frame_shape))
        self.decoder.build((None, self.config.dim_a))
        self.build_dynamics()
        if self.likelihood is not None:
            self.likelihood.build(frame_shape)
        noise = self.config.noise_pixel_var
        if self.config.learn_pixel_var:
            initializer = keras.initializers.Constant(float(tf.math.log(noise)))
            self.log_pixel_var = self.add_weight(frame_shape, initializer=initializer, name="log_pixel_var")
        if self.config.pixel_var_from_errors:
            initializer = keras.initializers.Constant(noise)
            self.pixel_errors = self.add_weight(
                frame_shape, initializer=initializer, trainable=False, name="pixel_errors"
            )
            # How much each moves; zeros: nobody knows, see `adapt`.
            self.pixel_motion = self.add_weight(
                frame_shape, initializer="zeros", trainable=False, name="pixel_motion"
            )
        if self.config.standardise:
            self.frame_mean = self.add_weight(
                frame_shape, initializer="zeros", trainable=False, name="frame_mean"
            )
            # 0: no frames have been looked at yet, see `adapt`.
            self.frame_scale = self.add_weight((), initializer="zeros", trainable=False, name="frame_scale")
        self.built = True

    def build_dynamics(self) -> None:
        """Create the weights of what explains how codes move."""
        raise NotImplementedError

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Height and width of the frames that the model was built for, and 3 where they are in colour.

        Raises:
            ArgumentError: it has not been built yet.
        """
        check_built(self)
        return self.decoder.frame_shape

    # --- the two directions ---

    def pixels(self, images: TensorLike) -> tf.Tensor:
        """Return frames as the model sees them, float32; see `kvae.data.pixels.to_pixels`."""
        return to_pixels(tf.convert_to_tensor(images), self.config.is_binary)

    def encode(self, images: TensorLike) -> tfp.distributions.Distribution:
        """Return q(a|x), a distribution over codes [B, T, dim_a], for frames [B, T, H, W].

        Raises:
            ArgumentError: they are no such frames.
            FitError: their sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.encode(videos).mean().shape
            TensorShape([3, 6, 2])
        """
        return self._encode(self.checked(images))

    def decode(self, codes: TensorLike) -> tfp.distributions.Distribution:
        """Return p(x|a), a distribution over frames [B, T, H, W], for codes [B, T, dim_a].

        Raises:
            ArgumentError: they are no such codes, or the model has no weights yet.

        Examples:
            >>> import kvae, numpy as np
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,)))
            >>> model.build((None, None, 8, 8))
            >>> model.decode(np.zeros([3, 6, 2], np.float32)).mean().shape
            TensorShape([3, 6, 8, 8])
        """
        check_built(self)
        codes = arguments.array_of(codes, (None, None, self.config.dim_a), "codes", "[B, T, dim_a]")
        pixels = self._decoded_pixels(tf.cast(codes, tf.float32))
        if self.likelihood is not None:
            return self.likelihood.distribution(pixels)
        if self.config.out_distr == "bernoulli":
            return tfd.Independent(tfd.Bernoulli(logits=pixels, dtype=tf.float32), len(self.frame_shape))
        if self.log_pixel_var is None:
            scale = self.config.noise_pixel_var**0.5
        else:
            scale = tf.exp(0.5 * self.log_pixel_var)
        return tfd.Independent(tfd.Normal(pixels, scale), len(self.frame_shape))

    def reconstruct(self, images: TensorLike, seed: SeedLike | None = None) -> Decoded:
        """Encode and decode every frame on its own.

        Args:
            images: [B, T, H, W].
            seed: of the codes, where config.evaluate_on_samples draws them; None: another at every call.

        Raises:
            ArgumentError: the frames are none.
            FitError: their sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.reconstruct(videos).images.shape
            TensorShape([3, 6, 8, 8])
        """
        codes = self.codes(images, self.seeds(seed))
        return Decoded(self.decoded_images(codes), codes, None, None)

    def call(self, images: TensorLike, training: bool = False) -> tf.Tensor:
        """Return the reconstructed frames [B, T, H, W]."""
        return self.reconstruct(images).images

    # --- the same for the methods of subclasses ---

    def checked(self, images: TensorLike, mask: TensorLike | None = None) -> TensorLike:
        """Return frames [B, T, H, W] as they are, once the model has been built for them.

        Args:
            images: what was given.
            mask: [B, T], 1 where a frame is looked at, or None: all are.

        Raises:
            ArgumentError: they are no such frames.
            FitError: their sides are not those that the model was built for.
        """
        seen = None if mask is None else arguments.known(mask, "mask")
        images = arguments.frames(images, seen)
        self.build_for(images)
        check_sides(self.frame_shape, tuple(images.shape[2:]))
        return images

    def frames(self, images: TensorLike, mask: TensorLike | None = None) -> tf.Tensor:
        """Return frames [B, T, H, W] as the model sees them; those whose mask is 0 are blank.

        Arguments and errors as `checked`.
        """
        with tf.name_scope("frames"):
            pixels = self.pixels(self.checked(images, mask))
            return pixels if mask is None else _shown(pixels, mask)

    def build_for(self, images: TensorLike) -> None:
        """Create all weights for frames [B, T, H, W], unless they are there."""
        if not self.built:
            if self.config.channels == "auto":
                arguments.check_axes(images.shape)
            with tf.init_scope():
                self.build(tuple(images.shape))

    def codes(
        self, images: TensorLike, draws: Iterator[tf.Tensor], mask: TensorLike | None = None
    ) -> tf.Tensor:
        """Return the codes [B, T, dim_a] of frames: means, or with config.evaluate_on_samples draws.

        Args:
            images: [B, T, H, W].
            draws: what `seeds` returned.
            mask: [B, T], 1 where a frame is looked at, or None: all are. The others' codes mean nothing.
        """
        q = self._encode(self.checked(images, mask), mask)
        if self.config.evaluate_on_samples and self.is_variational:
            return q.sample(seed=next(draws))
        return q.mean()

    def decoded_images(self, codes: TensorLike) -> tf.Tensor:
        """Return what a picture of codes [B, T, dim_a] shows: the mean of independent pixels."""
        return self.decode(codes).mean()

    def seeds(self, seed: SeedLike | None = None, training: bool = False) -> Iterator[tf.Tensor]:
        """Yield, for ever, stateless seeds [2], one for each draw of a call.

        Args:
            seed: what they derive from. None: config.seed and the number of the draw, counted over all
                calls, so that no two draws are the same.
            training: count the draw among those of training.
        """
        if seed is not None:
            yield from seeds.stream(seed)
        count = self.training_draws if training else self.evaluation_draws
        while True:
            count.assign_add(1)
            yield tf.stack([self.config.seed, 2 * tf.cast(count.read_value(), tf.int32) + int(training)])

    # --- frames as they differ from their mean ---

    @property
    def needs_adapting(self) -> bool:
        """Whether it is to be told, by `adapt`, what frames look like."""
        return self.config.standardise and (self.frame_scale is None or float(self.frame_scale.numpy()) == 0)

    def adapt(self, images: TensorLike, mask: TensorLike | None = None) -> None:
        """Learn the mean of all frames and how much they differ, and let codes lie as things in frames do.

        As `adapt` of Keras' preprocessing layers: before training, on the frames to be trained on. `fit` does
        it by itself where it is given arrays.

        Args:
            images: [N, T, H, W].
            mask: [N, T], 1 where a frame is looked at, or None: all are.

        Raises:
            UserError: config.standardise is off.
            ArgumentError: frames or mask are none, or no frame is looked at.
            FitError: the frames' sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> videos = np.random.default_rng(0).integers(0, 256, [3, 6, 8, 8], np.uint8)
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,), out_distr="gaussian", standardise=True))
            >>> model.adapt(videos)
            >>> np.allclose(model.frame_mean, videos.mean(axis=(0, 1)) / 255)
            True
        """
        mask = given_mask(mask, arguments.shaped_frames(images))
        images = self.checked(images, mask)
        mask = None if mask is None else np.asarray(mask)
        batches = (
            {"images": images[i : i + 32]} | ({} if mask is None else {"mask": mask[i : i + 32]})
            for i in range(0, len(images), 32)
        )
        adaptation.adapt(self, batches)

    def standardised(self, frames: tf.Tensor) -> tf.Tensor:
        """Return frames [N, H, W] as the encoder sees them: their difference from the mean, in its units."""
        if self.frame_mean is None:
            return frames
        return (frames - self.frame_mean) / adaptation.unit_of(self.frame_scale)

    # --- the networks, a bounded number of frames at a time ---

    def _encode(self, images: TensorLike, mask: TensorLike | None = None) -> tfp.distributions.Distribution:
        """Return q(a|x) of frames that have been checked; those whose mask is 0 are not looked at."""
        mean, variance = self._encoded(images, mask)
        # Whose bijectors would keep every graph that they were ever in.
        return tfd.Independent(tfd.Normal(mean, tf.sqrt(variance)), 1)

    def _encoded(self, images: TensorLike, mask: TensorLike | None = None) -> Any:
        """Return what the encoder makes of frames [B, T, H, W] that have been checked: [B, T, ..] each."""
        batch, num_steps = tf.shape(images)[0], tf.shape(images)[1]
        # Names of scopes are what TensorBoard's graph shows.
        with tf.name_scope("encoder"):
            flat = [tf.reshape(images, [-1, *images.shape[2:]]) if tf.is_tensor(images) else _flat(images)]
            flat.append(None if mask is None else tf.reshape(tf.cast(mask, tf.float32), [-1]))
            if tf.executing_eagerly():
                at_once = parts.frames_at_once(*self.frame_shape)
                found = parts.in_parts(self._encoded_part, flat, at_once)
            else:
                found = self._moments(self._seen(*flat))

            def of_sequences(encoded: tf.Tensor) -> tf.Tensor:
                encoded = tf.reshape(encoded, [batch, num_steps, encoded.shape[-1]])
                # The batch and time dimensions are known more often than tf.shape tells.
                encoded.set_shape([*images.shape[:2], None])
                return encoded

            return tf.nest.map_structure(of_sequences, found)

    def _encoded_part(self, images: TensorLike, mask: tf.Tensor | None) -> Any:
        return parts.traced_once(self._compiled_moments, self._seen(images, mask))

    def _seen(self, images: TensorLike, mask: tf.Tensor | None) -> tf.Tensor:
        """Return frames [N, H, W] or [N, H, W, 3] as the model sees them, blank where the mask [N] is 0."""
        pixels = self.pixels(images)
        return pixels if mask is None else _shown(pixels, mask)

    def _moments(self, frames: tf.Tensor) -> Any:
        """Return what the encoder makes of frames [N, H, W]: mean and variance of q(a|x), [N, dim_a] each."""
        return self.encoder(self.standardised(frames))

    @tf.function(autograph=False)
    def _compiled_moments(self, frames: tf.Tensor) -> Any:
        return self._moments(frames)

    def _decoded_pixels(self, codes: tf.Tensor) -> tf.Tensor:
        """Return what the decoder makes of codes [B, T, dim_a]: [B, T, H, W]."""
        with tf.name_scope("decoder"):
            flat = tf.reshape(codes, [-1, self.config.dim_a])
            if tf.executing_eagerly():
                at_once = parts.frames_at_once(*self.frame_shape)
                decode = functools.partial(parts.traced_once, self._compiled_decoder)
                pixels = parts.in_parts(decode, [flat], at_once)
            else:
                pixels = self._drawn(flat)
            return tf.reshape(pixels, [tf.shape(codes)[0], tf.shape(codes)[1], *pixels.shape[1:]])

    @tf.function(autograph=False)
    def _compiled_decoder(self, codes: tf.Tensor) -> tf.Tensor:
        return self._drawn(codes)

    def _drawn(self, codes: tf.Tensor) -> tf.Tensor:
        """Return logits or means of the pixels [N, H, W] of codes [N, dim_a]."""
        pixels = self.decoder(codes)
        if self.frame_mean is None:
            return pixels
        if self.config.out_distr == "bernoulli":
            return pixels + adaptation.logits_of(self.frame_mean, self.frame_scale)
        return self.frame_mean + adaptation.unit_of(self.frame_scale) * pixels

    # --- saving ---

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Return a new model of that configuration."""
        return cls(Config.from_dict(config["config"]), name=config["name"])

    def get_build_config(self) -> dict[str, Any]:
        """Return the shape that the weights were created for."""
        return {"input_shape": [None, None, *self.frame_shape]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the weights for that shape."""
        self.build(config["input_shape"])

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Set the weights that belong to no layer, from files too that end in two counters of draws."""
        # Which were weights once.
        own = len(self._trainable_variables) + len(self._non_trainable_variables)
        if len(store.keys()) == own + 2:
            store = {str(number): store[str(number)] for number in range(own)}
        super().load_own_variables(store)

    def _trunk_options(self) -> dict[str, Any]:
        config = self.config
        return {
            "conv": config.conv,
            "widths": config.num_filters if config.conv else (config.vae_num_units,) * config.num_layers,
            "filter_size": config.filter_size,
            "activation": config.activation,
            "seed": self.initial_seeds,
            "trunk_dtype": self.trunk_dtype,
        }


def _shown(pixels: tf.Tensor, mask: TensorLike) -> tf.Tensor:
    """Return frames with zeros, whatever stood there, where the mask of their leading axes is 0."""
    return tf.where(per_pixel(tf.cast(mask, tf.float32) > 0, pixels), pixels, tf.zeros_like(pixels))


def _flat(images: np.ndarray) -> np.ndarray:
    """Return an array [B, T, ...] as [B T, ...]; a view where that is possible."""
    return images.reshape(-1, *images.shape[2:])
