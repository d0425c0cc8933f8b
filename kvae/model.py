"""The Kalman variational auto-encoder."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kvae import imputation
from kvae.config import Config
from kvae.data import to_pixels
from kvae.device import has_gpu, trunk_policy
from kvae.lgssm import MixtureStateSpaceModel
from kvae.networks import Decoder, DynamicsParameterNetwork, Encoder
from kvae.outputs import Bound, Decoded, Imputed, Inference, Samples, States

tfd = tfp.distributions

# What each phase of training trains: every phase adds a group to the one before.
PHASE_VAE, PHASE_DYNAMICS, PHASE_ALL = range(3)


@keras.saving.register_keras_serializable(package="kvae")
class KVAE(keras.Model):
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

    def __init__(self, config: Config | None = None, **kwargs):
        super().__init__(**kwargs)
        self.config = config or Config()
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
        # The decoder needs the frame's sides, which come with the first frames.
        self.decoder = None
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
            name="lgssm",
        )
        # Both are what `kvae.Schedule` sets.
        self.phase = tf.Variable(PHASE_ALL, trainable=False, name="phase")
        self.reconstruction_scale = tf.Variable(
            self.config.scale_reconstruction, trainable=False, name="reconstruction_scale"
        )
        names = "total log_px log_qa state_space exact sampled gradient_norm encoder_variance".split()
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

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

    def build(self, input_shape):
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
        self.alpha.build()
        self.lgssm.build()
        self.log_pixel_var = None
        if self.config.learn_pixel_var:
            self.log_pixel_var = self.add_weight(
                (height, width),
                initializer=keras.initializers.Constant(float(tf.math.log(self.config.noise_pixel_var))),
                name="log_pixel_var",
            )
        self.built = True

    # --- the two directions between frames and codes ---

    def pixels(self, images):
        """Return frames as the model sees them, float32; see `kvae.data.to_pixels`."""
        return to_pixels(tf.convert_to_tensor(images), self.config.out_distr)

    def encode(self, images):
        """Return q(a|x), a distribution over codes [B, T, dim_a], for frames [B, T, H, W]."""
        images = self._frames(images)
        batch, num_steps = tf.shape(images)[0], tf.shape(images)[1]
        mean, variance = self.encoder(tf.reshape(images, [-1, *images.shape[2:]]))
        shape = [batch, num_steps, self.config.dim_a]
        mean, variance = tf.reshape(mean, shape), tf.reshape(variance, shape)
        # The batch and time dimensions are known more often than tf.shape tells.
        mean.set_shape([*images.shape[:2], None])
        variance.set_shape([*images.shape[:2], None])
        return tfd.MultivariateNormalDiag(mean, tf.sqrt(variance))

    def decode(self, codes):
        """Return p(x|a), a distribution over frames [B, T, H, W], for codes [B, T, dim_a]."""
        codes = tf.convert_to_tensor(codes, tf.float32)
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
        images,
        mask=None,
        controls=None,
        weight=None,
        sample=True,
        sampled_term=False,
        training=False,
    ) -> Bound:
        """Estimate the evidence lower bound, with one draw of the codes.

        Args:
            images: [B, T, H, W].
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
            weight: [B], 0 for sequences that only fill up a batch; None: 1 for all.
            sample: draw the codes from q(a|x); False: use its mean.
            sampled_term: compute the sampled state space term too, where config.kf_elbo is `exact`.
            training: draw from the seeds of training.

        Returns:
            A `Bound`; zero where no frame is observed.
        """
        images = self._frames(images)
        weight = tf.ones(tf.shape(images)[:1]) if weight is None else tf.cast(weight, tf.float32)
        seen = tf.ones(tf.shape(images)[:2]) if mask is None else tf.cast(mask, tf.float32)
        observed = weight[:, None] * seen
        q = self.encode(images)
        codes = q.mean()
        if sample and self.config.use_vae:
            codes = q.sample(seed=self._next_seed(training))
        controls = self._controls(controls, codes)
        sampled, decoded = None, codes
        sampled_term = sampled_term or self.config.kf_elbo == "sampled"
        if training and not (sampled_term or self.config.sample_z or tf.executing_eagerly()):
            exact = self.lgssm.compiled_log_likelihood(codes, mask, controls, weight)
        else:
            filtered, dynamics = self.lgssm.filter(codes, mask, controls)
            exact = tf.reduce_sum(weight[:, None] * filtered.log_likelihood)
            if sampled_term or self.config.sample_z:
                smoothed = self.lgssm.smooth(filtered, dynamics)
            if sampled_term:
                seed = self._next_seed(training)
                terms = self.lgssm.sampled_term(codes, seen, dynamics, smoothed, seed)
                sampled = tf.reduce_sum(weight * terms)
            if self.config.sample_z:
                decoded = tf.linalg.matvec(dynamics.C, smoothed.smoothed_mean)
        log_px = tf.reduce_sum(observed * self.decode(decoded).log_prob(images))
        log_qa = tf.constant(0.0)
        if self.config.use_vae:
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

    def compile(self, optimizer=None, jit_compile=None, **kwargs):
        """Prepare for `fit`, with the original's Adam unless another optimizer is given.

        By default XLA compiles the whole training step on a GPU; on a CPU, where it makes convolutions
        slower, the state space part alone. `jit_compile` True or False says otherwise.
        """
        jit_compile = has_gpu() if jit_compile is None else jit_compile
        if optimizer is None:
            optimizer = keras.optimizers.Adam(self.config.init_lr, epsilon=1e-8)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def get_compile_config(self):
        """Return what `compile_from_config` needs."""
        if not self.compiled:
            return {}
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config):
        """Compile a loaded model as it was, with room for the optimizer's saved moments."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data):
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
            objective = bound.total + (self.reconstruction_scale - 1) * bound.log_px
            loss = -objective
        variables = self.trainable_variables
        # Of the tensors behind the Keras variables: TensorFlow can make zeros for those that are idle.
        sources = [variable.value for variable in variables]
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        # A variable whose gradients have all been zero does not move under Adam, so a factor of 0
        # leaves out what the phase does not train, without another trace of this function.
        gradients = [
            tf.cast(self.phase >= self._first_phase_of(variable), gradient.dtype) * gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.max_grad_norm)
        self.optimizer.apply(gradients, variables)
        return self._update_metrics(bound, gradient_norm=norm)

    def test_step(self, data):
        """Compute the bound, with both state space terms, on a batch; arguments as `train_step`."""
        batch = _unpack(data)
        self._build_for(batch["images"])
        return self._update_metrics(self.elbo(**batch, sampled_term=True))

    def call(self, images, training=False):
        """Return the reconstructed frames [B, T, H, W]."""
        return self.reconstruct(images).images

    # --- what a trained model does ---

    def reconstruct(self, images) -> Decoded:
        """Encode and decode every frame on its own."""
        self._build_for(images)
        codes = self._codes(images)
        return Decoded(self._decoded_images(codes), codes, None, None)

    def infer(self, images, mask=None, controls=None) -> Inference:
        """Filter and smooth in one pass, without decoding; arguments as `smooth`."""
        self._build_for(images)
        return self.infer_codes(self._codes(images), mask, controls)

    def infer_codes(self, codes, mask=None, controls=None) -> Inference:
        """Filter and smooth codes [B, T, dim_a] that have been encoded already."""
        if mask is not None:
            mask = tf.convert_to_tensor(mask)
        filtered, dynamics = self.lgssm.filter(codes, mask, self._controls(controls, codes))
        smoothed = self.lgssm.smooth(filtered, dynamics)
        return Inference(
            tf.linalg.matvec(dynamics.C, filtered.filtered_mean),
            States(filtered.filtered_mean, filtered.filtered_cov),
            tf.linalg.matvec(dynamics.C, smoothed.smoothed_mean),
            States(smoothed.smoothed_mean, smoothed.smoothed_cov),
            dynamics.alpha,
        )

    def smooth(self, images, mask=None, controls=None) -> Decoded:
        """Estimate every frame from all observed ones, before and after it: C_t m_t|T, decoded.

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
        """
        found = self.infer(images, mask, controls)
        images = self._decoded_images(found.smoothed_codes)
        return Decoded(images, found.smoothed_codes, found.smoothed_states, found.alpha)

    def filter(self, images, mask=None, controls=None) -> Decoded:
        """Estimate every frame from the observed ones up to it: C_t m_t|t, decoded; else as `smooth`."""
        found = self.infer(images, mask, controls)
        images = self._decoded_images(found.filtered_codes)
        return Decoded(images, found.filtered_codes, found.filtered_states, found.alpha)

    def impute(self, images, mask=None, controls=None, num_samples=0, num_paths=None) -> Imputed:
        """Fill in the missing frames, and leave the observed ones as they are.

        A hidden code is a random variable, and through alpha the dynamics are. So paths of hidden codes are
        drawn from their posterior, see `kvae.particles`; each is smoothed and decoded, and what is returned
        are means over them. With `num_paths` 0 there is one path, the paper's: hidden codes are what the
        filter predicts, whatever is seen after them, as in `smooth`.

        Args:
            images: [B, T, H, W]; frames whose mask is 0 are not looked at.
            mask: [B, T]; None hides config.t_steps_mask frames after the first config.t_init_mask.
            controls: [B, T, dim_u] or None.
            num_samples: whole sequences to draw from the posterior, states and all.
            num_paths: by default config.num_paths.

        Raises:
            ValueError: a number is out of range.
        """
        num_paths = self.config.num_paths if num_paths is None else num_paths
        if num_samples < 0 or num_paths < 0 or num_paths == 1:
            raise ValueError(
                "num_samples must be 0 or more; num_paths 0 or at least 2. "
                f"Received: num_samples={num_samples}, num_paths={num_paths}"
            )
        images = self._frames(images)
        if mask is None:
            steps = tf.range(tf.shape(images)[1])
            first = self.config.t_init_mask
            hidden = (steps >= first) & (steps < first + self.config.t_steps_mask)
            mask = tf.broadcast_to(1.0 - tf.cast(hidden, tf.float32), tf.shape(images)[:2])
        mask = tf.cast(mask, tf.float32)
        codes = self._codes(images)
        num_draws = max(imputation.NUM_DRAWS if num_paths else 1, num_samples)
        found = self.sample_posterior(codes, mask, controls, num_paths, num_draws)
        seen = mask[..., None, None] > 0
        decoded = imputation.decode_mean(self, _draws_first(found.codes))
        mean = tf.reduce_mean(found.state_mean, axis=1)
        deviation = found.state_mean - mean[:, None]
        spread = tf.reduce_mean(deviation[..., :, None] * deviation[..., None, :], axis=1)
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
            States(mean, tf.reduce_mean(found.state_cov, axis=1) + spread),
            tf.reduce_mean(found.alpha, axis=1),
            samples,
        )

    def sample_posterior(self, codes, mask, controls, num_paths, num_draws) -> imputation.Posterior:
        """Draw from the posterior of codes [B, T, dim_a] that have been encoded already.

        Arguments as `kvae.imputation.sample_posterior`; controls may be None.
        """
        mask = tf.cast(mask, tf.float32)
        u = self._controls(controls, codes)
        return imputation.sample_posterior(
            self.lgssm, codes, mask, u, num_paths, num_draws, self._next_seed()
        )

    def generate(self, images, num_steps=None, num_given=None, controls=None, stochastic=False) -> Decoded:
        """Imagine how sequences go on: smooth the first frames, then roll the dynamics out.

        Args:
            images: [B, T, H, W]; only the first `num_given` frames are looked at.
            num_steps: length of the result, the given frames included; by default config.n_steps_gen.
            num_given: by default config.t_init_mask.
            controls: [B, S, dim_u]; cut, or continued with zeros, to `num_steps`.
            stochastic: add transition and emission noise.

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
        codes = self._codes(images[:, :num_given])
        if controls is not None:
            controls = tf.convert_to_tensor(controls, tf.float32)[:, :num_steps]
            controls = tf.pad(controls, [[0, 0], [0, num_steps - tf.shape(controls)[1]], [0, 0]])
        given_controls = None if controls is None else controls[:, :num_given]
        start = self.infer_codes(codes, None, given_controls).smoothed_states
        if controls is None:
            controls = tf.zeros([tf.shape(codes)[0], num_steps, self.config.dim_u])
        rolled = self.lgssm.roll_out(start.mean, controls, self._next_seed() if stochastic else None)
        return self._decode_roll_out(rolled)

    def sample(self, num_sequences, num_steps) -> Decoded:
        """Draw sequences from the prior, the first state too; the model must have been built."""
        controls = tf.zeros([num_sequences, num_steps, self.config.dim_u])
        first = self.lgssm.prior().sample([num_sequences, 1], seed=self._next_seed())
        return self._decode_roll_out(self.lgssm.roll_out(first, controls, self._next_seed()))

    # --- saving ---

    def get_config(self):
        """Return what `from_config` needs."""
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return a new model of that configuration."""
        return cls(Config.from_dict(config["config"]), name=config["name"])

    def get_build_config(self):
        """Return the shape that the weights were created for."""
        return {"input_shape": [None, None, self.decoder.height, self.decoder.width]}

    def build_from_config(self, config):
        """Create the weights for that shape."""
        self.build(config["input_shape"])

    # --- helpers ---

    def _frames(self, images):
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
        if self.config.evaluate_on_samples and self.config.use_vae:
            return q.sample(seed=self._next_seed())
        return q.mean()

    def _decoded_images(self, codes):
        # For independent pixels, Bernoulli or Gaussian, the mean is what a picture shows.
        return self.decode(codes).mean()

    def _decode_roll_out(self, rolled):
        # A rolled-out state is one point: its covariance is zero.
        cov = tf.zeros_like(rolled.states)[..., None] * tf.zeros_like(rolled.states)[..., None, :]
        images = self._decoded_images(rolled.codes)
        return Decoded(images, rolled.codes, States(rolled.states, cov), rolled.alpha)

    def _counter(self, name):
        return self.add_weight((), initializer="zeros", dtype="int32", trainable=False, name=name)

    def _next_seed(self, training=False):
        """Return a new stateless seed: config.seed, and the number of the draw."""
        counter = self.training_draws if training else self.evaluation_draws
        counter.assign_add(1)
        return tf.stack([self.config.seed, 2 * counter.value + int(training)])

    def _first_phase_of(self, variable):
        def holds(layer):
            return any(variable is weight for weight in layer.trainable_variables)

        if holds(self.alpha):
            return PHASE_ALL
        own = [self.lgssm.A, self.lgssm.B, self.lgssm.C, self.lgssm.a_0]
        return PHASE_DYNAMICS if any(variable is weight for weight in own) else PHASE_VAE

    def _update_metrics(self, bound, **others):
        values = {name: getattr(bound, name) for name in self.means if hasattr(bound, name)} | others
        known = {name: value for name, value in values.items() if value is not None}
        for name, value in known.items():
            self.means[name].update_state(value, sample_weight=bound.num_observed)
        return {name: self.means[name].result() for name in known}


def _unpack(data):
    """Return the arguments of `KVAE.elbo` that stand in a batch of Keras or of a plain dataset."""
    if isinstance(data, tuple | list):
        data = data[0]
    return dict(data) if isinstance(data, dict) else {"images": data}


def _draws_first(tensor):
    """Turn [B, S, ...] into [S, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
