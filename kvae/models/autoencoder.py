"""What every model of videos here has: a bound and its training step."""

import os
from typing import Any

import keras
import tensorflow as tf

from kvae import arguments
from kvae.config import ModelOptions
from kvae.errors import UserError
from kvae.models import keras_data, pixel_errors, replicas, subsampling
from kvae.models.arguments import check_built, controls_of, given_mask, weight_of
from kvae.models.judged import Judged
from kvae.models.outputs import Bound, CodeTerm, Explained, Sequences, TensorLike
from kvae.models.seeds import SeedLike
from kvae.system.device import has_gpu

# What each phase of training trains: every phase adds a group to the one before.
PHASE_VAE, PHASE_DYNAMICS, PHASE_ALL = range(3)


class SequenceAutoencoder(Judged):
    """An auto-encoder of frames, whose codes have dynamics: the part that `KVAE` and its rivals share.

    A subclass makes the layers of its dynamics, builds them in `build_dynamics`, and says in `code_term` what
    they make of codes.

    Args:
        config: `ModelOptions`, such as a `Config`; None: the defaults.
    """

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
    kinds: tuple[str, ...] = ()
    """Values of `ModelOptions.model` that the class is the model of; none named: any."""

    def __init__(self, config: ModelOptions | None = None, **kwargs: Any):
        # Whatever format Keras has been told to compute in elsewhere: config.precision says that here.
        dtype = keras.dtype_policies.get(kwargs.pop("dtype", None) or "float32")
        if dtype.name != "float32":
            raise UserError(
                f'A model computes in float32, its hidden layers as Config(precision="bfloat16") may say. '
                f"Received: dtype={dtype.name}"
            )
        super().__init__(config, dtype="float32", **kwargs)
        if self.kinds and self.config.model not in self.kinds:
            raise UserError(
                f"{type(self).__name__} is for options whose model is {' or '.join(self.kinds)}. "
                f"Received: model={self.config.model}. kvae.models.factory.make_model(config) makes what "
                "the options name: a KVAE, or a model of kvae.models.rivals"
            )
        # What `kvae.Schedule` sets. As for int64, see `seeds.counter`.
        self.phase = tf.Variable(PHASE_ALL, dtype=tf.int64, trainable=False, name="phase")
        self.code_weight = tf.Variable(1.0, trainable=False, name="code_weight")
        names = (*self.bound_terms, "gradient_norm")
        self.means = {name: keras.metrics.Mean(name=name, dtype="float32") for name in names}

    @property
    def training_state(self) -> list[tf.Variable]:
        """What a checkpoint holds of the model beside its weights."""
        warming_up = [self.code_weight] if self.config.warm_up else []
        return [self.phase, *warming_up, self.training_draws]

    @property
    def dynamics_variables(self) -> list[keras.Variable]:
        """The weights of what explains how codes move."""
        raise NotImplementedError

    def phase_of(self, variable: keras.Variable) -> int:
        """Return the first phase of training that trains a variable."""
        is_of_dynamics = any(variable is weight for weight in self.dynamics_variables)
        return PHASE_DYNAMICS if is_of_dynamics else PHASE_VAE

    # --- the bound ---

    def code_term(self, codes: tf.Tensor, given: Sequences, sampled_term: bool, training: bool) -> CodeTerm:
        """Return what the dynamics say of codes: the last term of the bound, all that a model adds to it.

        Args:
            codes: [B, T, dim_a], drawn from q(a|x), or its means.
            given: the `Sequences` that they are of.
            sampled_term: compute the original's estimate too, if the model has one.
            training: the gradient is wanted.
        """
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

    def elbo(
        self,
        images: TensorLike,
        mask: TensorLike | None = None,
        controls: TensorLike | None = None,
        weight: TensorLike | None = None,
        sampled_term: bool = False,
        training: bool = False,
        sample: bool = True,
        seed: SeedLike | None = None,
    ) -> Bound:
        """Estimate the evidence lower bound, with one draw of the codes; of AE-RNN, what it has in its place.

        Args:
            images: [B, T, H, W]; frames whose mask is 0, and sequences whose weight is 0, are not looked at.
            mask: [B, T] or None.
            controls: [B, T, dim_u] or None.
            weight: [B], 0 for sequences that only fill up a batch; None: 1 for all.
            sampled_term: compute the sampled state space term too, where config.kf_elbo is `exact`.
            training: draw from the seeds of training.
            sample: draw the codes from q(a|x); False: use its mean.
            seed: of all draws; None: others at every call.

        Returns:
            A `Bound`; zero where no frame is observed.

        Raises:
            ArgumentError: frames, mask, controls or weights are none.
            FitError: the frames' sides are not those that the model was built for.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> bound = model.elbo(videos)
            >>> bool(abs(bound.total - (bound.log_px - bound.log_qa + bound.state_space)) < 1e-3)
            True
        """
        images, draws = arguments.shaped_frames(images), self.seeds(seed, training)
        with tf.name_scope("weights"):
            mask, weight = given_mask(mask, images), weight_of(weight, images)
            seen = tf.ones(tf.shape(images)[:2]) if mask is None else mask
            observed = weight[:, None] * seen
        # What is not observed may be anything, NaN too, which 0 times NaN would be.
        images = self.frames(images, observed)
        with tf.name_scope("controls"):
            controls = controls_of(controls, images, self.config.dim_u, weight)
            controls = tf.where(weight[:, None, None] > 0, controls, tf.zeros_like(controls))
        given = Sequences(images, mask if mask is None else seen, controls, weight, draws)
        term, log_qa, variance = self.explain(given, observed, sampled_term, training, sample)
        decoded, shown, counts = term.decoded, images, observed
        if training and self.config.decode_share < 1:
            with tf.name_scope("subsample"):
                chosen = subsampling.draw(tf.shape(observed), self.config.decode_share, next(draws))
                decoded, shown, counts = subsampling.take(chosen, (decoded, shown, counts))
        p = self.decode(decoded)
        with tf.name_scope("bound"):
            log_px = tf.reduce_sum(counts * p.log_prob(shown))
            num_observed = tf.reduce_sum(observed)
            # No observed frame at all: the transitions alone are left, and the bound is defined as 0.
            scale = tf.math.divide_no_nan(1.0, num_observed)
            return Bound(
                total=scale * (log_px - log_qa + term.value),
                log_px=scale * log_px,
                log_qa=scale * log_qa,
                state_space=scale * term.value,
                exact=None if term.exact is None else scale * term.exact,
                sampled=None if term.sampled is None else scale * term.sampled,
                num_observed=num_observed,
                encoder_variance=scale * tf.reduce_sum(observed * variance),
            )

    def explain(
        self, given: Sequences, observed: tf.Tensor, sampled_term: bool, training: bool, sample: bool
    ) -> Explained:
        """Return what the model says of sequences but for their pixels: codes of frames, and their dynamics.

        Args:
            given: the `Sequences`, whose frames are blank where they are not observed.
            observed: [B, T], what each frame counts.
            sampled_term: as `code_term`.
            training: the gradient is wanted.
            sample: draw the codes from q(a|x); False: use its mean.
        """
        q = self._encode(given.images)
        log_qa = tf.constant(0.0)
        with tf.name_scope("codes"):
            codes = q.mean()
            if sample and self.is_variational:
                codes += q.stddev() * replicas.normal(tf.shape(codes), next(given.draws))
            if self.is_variational:
                log_qa = tf.reduce_sum(observed * q.log_prob(codes))
        with tf.name_scope("state_space"):
            term = self.code_term(codes, given, sampled_term, training)
        return Explained(term, log_qa, tf.reduce_mean(q.variance(), axis=-1))

    def objective(self, bound: Bound) -> tf.Tensor:
        """Return what training maximises: the bound, its terms weighed."""
        objective = bound.total + (self.reconstruction_weight - 1) * bound.log_px
        if self.config.warm_up:
            objective -= (1 - self.code_weight) * (bound.total - bound.log_px)
        return objective

    @property
    def reconstruction_weight(self) -> float | tf.Tensor:
        """The weight of log p(x|a) in the training objective."""
        return self.config.scale_reconstruction

    # --- its training step ---

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | None = None,
        jit_compile: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Prepare for `fit`, with the original's Adam unless another optimizer is given.

        By default XLA compiles the whole training step on a GPU; on a CPU, where it makes convolutions
        slower, the state space part alone. `jit_compile` True or False says otherwise.

        Examples:
            >>> import kvae, numpy as np
            >>> model, videos = kvae.KVAE(kvae.Config(num_filters=(4,))), np.zeros([3, 6, 8, 8], np.uint8)
            >>> model.compile()
            >>> history = model.fit({"images": videos}, epochs=2, batch_size=3, verbose=0)
            >>> sorted(history.history)[:2]
            ['encoder_variance', 'exact']
            >>> sorted(model.evaluate({"images": videos}, batch_size=3, verbose=0, return_dict=True))[-2:]
            ['state_space', 'total']
        """
        unused = {"loss", "loss_weights", "metrics", "weighted_metrics"}
        given = sorted(name for name in unused & kwargs.keys() if kwargs[name])
        if given:
            raise UserError(
                f"compile takes no {', '.join(given)}: the model maximises its own bound, whose terms are "
                f"its metrics: {', '.join(self.means)}; and loss, minus the total"
            )
        if jit_compile not in (None, "auto", True, False):
            raise UserError(f"jit_compile must be True, False or None. Received: {jit_compile!r}")
        jit_compile = has_gpu() if jit_compile in (None, "auto") else jit_compile
        if optimizer is None:
            optimizer = keras.optimizers.Adam(self.config.init_lr, epsilon=1e-8)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.compiled_test_step = tf.function(self.test_step, jit_compile=jit_compile, autograph=False)

    def save(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Write the model as `keras.Model.save` does.

        Raises:
            ArgumentError: it has no weights yet.
        """
        check_built(self)
        super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Write the weights as `keras.Model.save_weights` does; errors as `save`."""
        check_built(self)
        super().save_weights(filepath, *args, **kwargs)

    def get_build_config(self) -> dict[str, Any]:
        """Return the shape that the weights were created for; nothing where there are none yet."""
        return super().get_build_config() if self.built else {}

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
            data: images, or a dictionary with `images` and, as wanted, `mask`, `controls` and `weight`; or
                what Keras makes of that and a sample_weight, see `keras_data.unpack`.

        Returns:
            The metrics so far in this epoch, each averaged over observed frames.
        """
        batch = keras_data.unpack(data, self.frame_shape if self.built else None)
        self.build_for(batch["images"])
        with tf.GradientTape() as tape:
            bound = self.elbo(**batch, training=True)
            loss = -self.objective(bound)
        # This replica's share of what is averaged over the observed frames of all of them.
        num_observed = replicas.sum_over_replicas(bound.num_observed)
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
        gradients = replicas.sum_over_replicas(gradients)
        errors = pixel_errors.running(self, variables, gradients)
        gradients, norm = tf.clip_by_global_norm(gradients, self.config.max_grad_norm)
        # The optimizer would add them up over the replicas once more.
        count = replicas.num_replicas()
        self.optimizer.apply([gradient / count for gradient in gradients], variables)
        if errors is not None:
            pixel_errors.assign(self, errors, is_shared=self.code_weight < 1)
        return self._update_metrics(bound, gradient_norm=norm)

    def test_step(self, data: Any, seed: SeedLike | None = None) -> dict[str, tf.Tensor]:
        """Compute the bound of a batch, with both state space terms; arguments as `train_step` and `elbo`."""
        batch = keras_data.unpack(data, self.frame_shape if self.built else None)
        self.build_for(batch["images"])
        return self._update_metrics(self.elbo(**batch, sampled_term=True, seed=seed))

    def predict_step(self, data: Any) -> tf.Tensor:
        """Return the frames of a batch as `predict` does."""
        batch = keras_data.unpack(data, self.frame_shape if self.built else None)
        images, mask = batch["images"], batch.get("mask")
        if mask is None:
            return self.reconstruct(images).images
        mask = tf.cast(mask, tf.float32)
        codes = self.codes(images, self.seeds(), mask)
        found = self.infer_codes(codes, mask, batch.get("controls"))
        others = found.filtered_codes if found.smoothed_codes is None else found.smoothed_codes
        return self.decoded_images(tf.where(mask[..., None] > 0, codes, others))

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        # What Keras' callbacks look for unless they are told otherwise: `loss` and `val_loss`.
        logs = dict(super()._get_metrics_result_or_logs(logs))
        return logs | {"loss": -logs["total"]} if "total" in logs else logs

    def _update_metrics(self, bound: Bound, **others: tf.Tensor) -> dict[str, tf.Tensor]:
        values = {name: getattr(bound, name) for name in self.means if hasattr(bound, name)}
        known = {name: value for name, value in values.items() if value is not None}
        num_observed = bound.num_observed
        if replicas.num_replicas() > 1:
            # The same on all replicas, so that any of them can be asked.
            sums = [num_observed, *(num_observed * value for value in known.values())]
            num_observed, *sums = replicas.sum_over_replicas(sums)
            means = [tf.math.divide_no_nan(value, num_observed) for value in sums]
            known = dict(zip(known, means, strict=True))
        known |= others
        with tf.name_scope("metrics"):
            for name, value in known.items():
                self.means[name].update_state(value, sample_weight=num_observed)
            return {name: self.means[name].result() for name in known}
