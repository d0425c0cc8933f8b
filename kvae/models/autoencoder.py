"""What every model of videos here has: frames to codes and back, a bound, and its training step."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kvae.config import Config
from kvae.data.pixels import to_pixels
from kvae.models.image_networks import Decoder, Encoder
from kvae.models.outputs import Bound, Decoded, TensorLike
from kvae.system.device import has_gpu, trunk_policy, use_full_float32
from kvae.training import distribution

tfd = tfp.distributions

# What each phase of training trains: every phase adds a group to the one before.
PHASE_VAE, PHASE_DYNAMICS, PHASE_ALL = range(3)


class SequenceAutoencoder(keras.Model):
    """An auto-encoder of frames, whose codes have dynamics: the part that `KVAE` and its rivals share.

    A subclass makes the layers of its dynamics, builds them in `build_dynamics`, and defines `elbo`.

    Args:
        config: a `Config`.
    """

    decoder: Decoder
    """Needs the frame's sides, which come with the first frames: there once the model is built."""

    built: bool

    bound_terms: tuple[str, ...] = (
        "total",
        "log_px",
        "log_qa",
        "state_space",
        "exact",
        "sampled",
        "encoder_variance",
    )
    """Fields of `Bound` that are averaged over an epoch."""

    def __init__(self, config: Config | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        use_full_float32()
        self.config = config or Config()
        # Whether codes are drawn from q(a|x); else they are its mean.
        self.is_variational = self.config.use_vae and self.config.model != "ae_rnn"
        # Training counts its draws apart from everything else, so that what is looked at on the way does
        # not change what is learned. As weights, the counters are saved with the model.
        self.training_draws = self._counter("training_draws")
        self.evaluation_draws = self._counter("evaluation_draws")
        self.initial_seeds = keras.random.SeedGenerator(self.config.seed)
        self.trunk_dtype = trunk_policy(self.config.precision)
        self.encoder = Encoder(
            self.config.dim_a,
            self.config.noise_emission,
            **self._trunk_options(),
            name="encoder",
        )
        # What `kvae.Schedule` sets. As for int64, see `_counter`.
        self.phase = tf.Variable(PHASE_ALL, dtype=tf.int64, trainable=False, name="phase")
        names = (*self.bound_terms, "gradient_norm")
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames by which the model is judged, see `kvae.evaluation.metrics`."""
        return ()

    def _trunk_options(self):
        config = self.config
        return {
            "conv": config.conv,
            "widths": config.num_filters if config.conv else (config.vae_num_units,) * config.num_layers,
            "filter_size": config.filter_size,
            "activation": config.activation,
            "seed": self.initial_seeds,
            "trunk_dtype": self.trunk_dtype,
        }

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create all weights.

        Args:
            input_shape: [B, T, H, W]; B and T may be None.

        Raises:
            ShapeError: the networks cannot handle sides H and W.
        """
        if self.built:
            return
        height, width = input_shape[-2:]
        self.decoder = Decoder(height, width, **self._trunk_options(), name="decoder")
        self.encoder.build((None, height, width))
        self.decoder.build((None, self.config.dim_a))
        self.build_dynamics()
        self.log_pixel_var = None
        if self.config.learn_pixel_var:
            self.log_pixel_var = self.add_weight(
                (height, width),
                initializer=keras.initializers.Constant(float(tf.math.log(self.config.noise_pixel_var))),
                name="log_pixel_var",
            )
        self.built = True

    def build_dynamics(self) -> None:
        """Create the weights of what explains how codes move."""
        raise NotImplementedError

    @property
    def training_state(self) -> list[tf.Variable]:
        """What a checkpoint holds of the model beside its weights."""
        return [self.phase]

    # --- the two directions between frames and codes ---

    def pixels(self, images: TensorLike) -> tf.Tensor:
        """Return frames as the model sees them, float32; see `kvae.data.pixels.to_pixels`."""
        return to_pixels(tf.convert_to_tensor(images), self.config.out_distr)

    def encode(self, images: TensorLike) -> tfp.distributions.Distribution:
        """Return q(a|x), a distribution over codes [B, T, dim_a], for frames [B, T, H, W].

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.encode(videos).mean().shape
            TensorShape([3, 6, 2])
        """
        images = self._frames(images)
        # Names of scopes are what TensorBoard's graph shows.
        with tf.name_scope("encoder"):
            batch, num_steps = tf.shape(images)[0], tf.shape(images)[1]
            mean, variance = self.encoder(tf.reshape(images, [-1, *images.shape[2:]]))
            shape = [batch, num_steps, self.config.dim_a]
            mean, variance = tf.reshape(mean, shape), tf.reshape(variance, shape)
            # The batch and time dimensions are known more often than tf.shape tells.
            mean.set_shape([*images.shape[:2], None])
            variance.set_shape([*images.shape[:2], None])
            return tfd.MultivariateNormalDiag(mean, tf.sqrt(variance))

    def decode(self, codes: TensorLike) -> tfp.distributions.Distribution:
        """Return p(x|a), a distribution over frames [B, T, H, W], for codes [B, T, dim_a].

        Example:
            >>> import kvae, numpy as np
            >>> model = kvae.KVAE(kvae.Config(num_filters=(4,)))
            >>> model.build((None, None, 8, 8))
            >>> model.decode(np.zeros([3, 6, 2], np.float32)).mean().shape
            TensorShape([3, 6, 8, 8])
        """
        codes = tf.convert_to_tensor(codes, tf.float32)
        with tf.name_scope("decoder"):
            pixels = self.decoder(tf.reshape(codes, [-1, self.config.dim_a]))
            pixels = tf.reshape(pixels, [tf.shape(codes)[0], tf.shape(codes)[1], *pixels.shape[1:]])
        if self.config.out_distr == "bernoulli":
            return tfd.Independent(tfd.Bernoulli(logits=pixels, dtype=tf.float32), 2)
        if self.log_pixel_var is None:
            scale = self.config.noise_pixel_var**0.5
        else:
            scale = tf.exp(0.5 * self.log_pixel_var)
        return tfd.Independent(tfd.Normal(pixels, scale), 2)

    # --- the bound and its training step ---

    def elbo(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        weight: TensorLike | None = None,
        sampled_term: bool = False,
        training: bool = False,
    ) -> Bound:
        """Estimate the evidence lower bound, or what the model has in its place; arguments as `KVAE.elbo`."""
        raise NotImplementedError

    def phase_of(self, variable: keras.Variable) -> int:
        """Return the first phase of training that trains a variable."""
        is_of_dynamics = any(variable is weight for weight in self.dynamics_variables)
        return PHASE_DYNAMICS if is_of_dynamics else PHASE_VAE

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of what explains how codes move."""
        raise NotImplementedError

    def codes_log_likelihood(
        self, codes: tf.Tensor, mask: tf.Tensor | None, controls: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        """Return how likely the dynamics hold codes, which refining them maximises.

        Args:
            codes: [B, T, dim_a].
            mask: [B, T], 1 = observed; None: every code is.
            controls: [B, T, dim_u].
            weight: [B], what each sequence counts in the sum.
        """
        raise NotImplementedError

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare for `fit`, with the original's Adam unless another optimizer is given.

        By default XLA compiles the whole training step on a GPU; on a CPU, where it makes convolutions
        slower, the state space part alone. `jit_compile` True or False says otherwise.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.compile()
            >>> history = model.fit({"images": videos}, epochs=2, batch_size=3, verbose=0)
            >>> sorted(history.history)[:2]
            ['encoder_variance', 'exact']
            >>> sorted(model.evaluate({"images": videos}, batch_size=3, verbose=0, return_dict=True))[-2:]
            ['state_space', 'total']
        """
        jit_compile = has_gpu() if jit_compile is None else jit_compile
        if optimizer is None:
            optimizer = keras.optimizers.Adam(self.config.init_lr, epsilon=1e-8)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.compiled_test_step = tf.function(self.test_step, jit_compile=jit_compile, autograph=False)

    def get_compile_config(self) -> dict[str, Any]:
        """Return what `compile_from_config` needs."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was, with room for the optimizer's saved moments."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Take one step: one forward and one backward pass over a batch, metrics from the same pass.

        Args:
            data: images, or a dictionary with `images` and, as wanted, `mask`, `controls` and `weight`.

        Returns:
            The metrics so far in this epoch, each averaged over observed frames.
        """
        batch = _unpack(data)
        self._build_for(batch["images"])
        with tf.GradientTape() as tape:
            bound = self.elbo(**batch, training=True)
            objective = bound.total + (self.config.scale_reconstruction - 1) * bound.log_px
            loss = -objective
        # This replica's share of what is averaged over the observed frames of all of them.
        num_observed = distribution.sum_over_replicas(bound.num_observed)
        share = tf.math.divide_no_nan(bound.num_observed, num_observed)
        variables = self.trainable_variables
        # Of the tensors behind the Keras variables: TensorFlow can make zeros for those that are idle.
        sources = [variable.value for variable in variables]
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        # A variable whose gradients have all been zero does not move under Adam, so a factor of 0
        # leaves out what the phase does not train, without another trace of this function.
        gradients = [
            tf.cast(self.phase >= self.phase_of(variable), gradient.dtype) * share * gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        gradients = distribution.sum_over_replicas(gradients)
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.max_grad_norm)
        # The optimizer would add them up over the replicas once more.
        count = distribution.num_replicas()
        self.optimizer.apply([gradient / count for gradient in gradients], variables)
        return self._update_metrics(bound, gradient_norm=norm)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Compute the bound, with both state space terms, on a batch; arguments as `train_step`."""
        batch = _unpack(data)
        self._build_for(batch["images"])
        return self._update_metrics(self.elbo(**batch, sampled_term=True))

    def call(self, images: TensorLike, training: bool = False) -> tf.Tensor:
        """Return the reconstructed frames [B, T, H, W]."""
        return self.reconstruct(images).images

    def reconstruct(self, images: TensorLike) -> Decoded:
        """Encode and decode every frame on its own.

        Example:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.reconstruct(videos).images.shape
            TensorShape([3, 6, 8, 8])
        """
        self._build_for(images)
        codes = self._codes(images)
        return Decoded(self._decoded_images(codes), codes, None, None)

    # --- saving ---

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs."""
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None):
        """Return a new model of that configuration."""
        return cls(Config.from_dict(config["config"]), name=config["name"])

    def get_build_config(self) -> dict[str, Any]:
        """Return the shape that the weights were created for."""
        return {"input_shape": [None, None, self.decoder.height, self.decoder.width]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the weights for that shape."""
        self.build(config["input_shape"])

    # --- helpers ---

    def imputation_mask(self, images: TensorLike) -> tf.Tensor:
        """Return the mask [B, T] that hides config.t_steps_mask frames after the first config.t_init_mask."""
        steps = tf.range(tf.shape(images)[1])
        first = self.config.t_init_mask
        hidden = (steps >= first) & (steps < first + self.config.t_steps_mask)
        return tf.broadcast_to(1.0 - tf.cast(hidden, tf.float32), tf.shape(images)[:2])

    def checked_lengths(
        self, images: TensorLike, num_steps: int | None, num_given: int | None
    ) -> tuple[int, int]:
        """Return `num_steps` and `num_given` of a generation, where they are None by the configuration.

        Raises:
            ValueError: there are fewer than `num_given` frames, or `num_steps` is below that.
        """
        self._build_for(images)
        num_steps = self.config.n_steps_gen if num_steps is None else num_steps
        num_given = self.config.t_init_mask if num_given is None else num_given
        length = images.shape[1]
        if num_given < 1 or num_steps < num_given or (length is not None and length < num_given):
            raise ValueError(
                "generate needs 1 <= num_given <= num_steps and at least num_given frames. "
                f"Received: num_given={num_given}, num_steps={num_steps}, {length} frames"
            )
        return num_steps, num_given

    @staticmethod
    def fitted_controls(controls: TensorLike | None, num_steps: int) -> tf.Tensor | None:
        """Return controls [B, S, dim_u] cut, or continued with zeros, to `num_steps`; None stays None."""
        if controls is None:
            return None
        controls = tf.convert_to_tensor(controls, tf.float32)[:, :num_steps]
        return tf.pad(controls, [[0, 0], [0, num_steps - tf.shape(controls)[1]], [0, 0]])

    def _frames(self, images):
        with tf.name_scope("frames"):
            images = self.pixels(images)
        if images.shape.rank != 4:
            raise ValueError(f"Frames must be [B, T, H, W]. Received: shape {tuple(images.shape)}")
        self._build_for(images)
        expected = (self.decoder.height, self.decoder.width)
        if tuple(images.shape[2:]) != expected:
            raise ValueError(
                f"This model was built for frames of {expected[0]}x{expected[1]}. "
                f"Received: {images.shape[2]}x{images.shape[3]}"
            )
        return images

    def _build_for(self, images):
        if not self.built:
            with tf.init_scope():
                self.build(tuple(images.shape))

    def _controls(self, controls, codes):
        if controls is None:
            return tf.zeros([tf.shape(codes)[0], tf.shape(codes)[1], self.config.dim_u])
        controls = tf.convert_to_tensor(controls, tf.float32)
        if controls.shape[-1] != self.config.dim_u:
            raise ValueError(
                f"Controls must have dim_u={self.config.dim_u} entries per step. "
                f"Received: shape {tuple(controls.shape)}"
            )
        return controls

    def _codes(self, images):
        q = self.encode(images)
        if self.config.evaluate_on_samples and self.is_variational:
            return q.sample(seed=self._next_seed())
        return q.mean()

    def _decoded_images(self, codes):
        # For independent pixels, Bernoulli or Gaussian, the mean is what a picture shows.
        return self.decode(codes).mean()

    def _counter(self, name):
        return self.add_weight(
            (),
            initializer="zeros",
            # TensorFlow keeps int32 variables on the processor, where what XLA compiles for a GPU cannot
            # reach them.
            dtype="int64",
            trainable=False,
            name=name,
            aggregation="only_first_replica",
        )

    def _noise(self, shape, training=False):
        """Draw from N(0, 1) for a batch."""
        with tf.name_scope("noise"):
            return distribution.normal(shape, self._next_seed(training))

    def _next_seed(self, training=False):
        """Return a new stateless seed: config.seed, and the number of the draw."""
        counter = self.training_draws if training else self.evaluation_draws
        counter.assign_add(1)
        return tf.stack([self.config.seed, 2 * tf.cast(counter.value, tf.int32) + int(training)])

    def _update_metrics(self, bound, **others):
        values = {name: getattr(bound, name) for name in self.means if hasattr(bound, name)}
        known = {name: value for name, value in values.items() if value is not None}
        num_observed = bound.num_observed
        if distribution.num_replicas() > 1:
            # The same on all replicas, so that any of them can be asked.
            sums = [num_observed, *(num_observed * value for value in known.values())]
            num_observed, *sums = distribution.sum_over_replicas(sums)
            means = [tf.math.divide_no_nan(value, num_observed) for value in sums]
            known = dict(zip(known, means, strict=True))
        known |= others
        with tf.name_scope("metrics"):
            for name, value in known.items():
                self.means[name].update_state(value, sample_weight=num_observed)
            return {name: self.means[name].result() for name in known}


def _unpack(data):
    """Return the arguments of `KVAE.elbo` that stand in a batch of Keras or of a plain dataset."""
    if isinstance(data, tuple | list):
        data = data[0]
    return dict(data) if isinstance(data, dict) else {"images": data}
