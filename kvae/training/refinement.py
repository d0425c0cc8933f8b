"""The last phase of training: the dynamics alone, on codes that are encoded once.

A training step is nearly all convolutions, and the dynamics a few percent of it. So when encoder and decoder
have found their codes, the dynamics can go on learning at a small part of the cost.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kvae.config.size import REFINE_BATCH
from kvae.data import masks
from kvae.data.batches import batches_of
from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.errors import TrainingError
from kvae.models.autoencoder import SequenceAutoencoder

BATCH_SIZE = REFINE_BATCH
MAX_GRADIENT_NORM = 10.0
NUM_JUDGED = 20
"""How often the dynamics are judged by codes that were held out."""
_STREAM = 7
"""What sets the random numbers of this phase apart from those of the epochs before."""


class EncodedSequences(NamedTuple):
    """What the dynamics learn from.

    Attributes:
        mean: [N, T, dim_a], mean of q(a|x).
        stddev: [N, T, dim_a], its standard deviation; zero where codes are not drawn.
        controls: [N, T, dim_u].
        mask: [N, T], 1 = observed; None: every frame is.
    """

    mean: np.ndarray
    stddev: np.ndarray
    controls: np.ndarray
    mask: np.ndarray | None


def encode(
    model: SequenceAutoencoder, dataset: Dataset | Shards, mask: np.ndarray | None = None
) -> EncodedSequences:
    """Encode every frame.

    Args:
        model: a built `KVAE` or `RecurrentAutoencoder`.
        dataset: N sequences.
        mask: [N, T] or None.

    Returns:
        An `EncodedSequences`.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def moments(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = model.encode(images)
        return q.mean(), q.stddev()

    means, deviations, controls = [], [], []
    for batch in batches_of(dataset, model.config.batch_size).of():
        is_one = batch["weight"].numpy() > 0
        mean, deviation = (moment.numpy()[is_one] for moment in moments(batch["images"]))
        means.append(mean)
        deviations.append(deviation if model.is_variational else np.zeros_like(deviation))
        if "controls" in batch:
            controls.append(batch["controls"].numpy()[is_one])
    mean, deviation = np.concatenate(means), np.concatenate(deviations)
    if not controls:
        controls = [np.zeros([*mean.shape[:2], model.config.dim_u], np.float32)]
    return EncodedSequences(mean, deviation, np.concatenate(controls), mask)


def refine(
    model: SequenceAutoencoder,
    codes: EncodedSequences,
    num_epochs: int,
    learning_rate: float,
    validation: EncodedSequences | None = None,
) -> int:
    """Train the dynamics of a model by the likelihood of codes, drawn from q(a|x) anew at each step.

    Every pass sees every sequence: the last batch is filled up with sequences of no weight. Each code is
    hidden with probability config.refine_miss_prob, drawn anew at each step too: so the dynamics learn to go
    on from their own guesses, and do not learn sequences by heart.
    Adam starts afresh, with a learning rate that falls to zero along a cosine. The result depends on the
    model, the codes and config.seed alone.

    Args:
        model: a built `KVAE`, or a `RecurrentAutoencoder` that is variational.
        codes: an `EncodedSequences`.
        num_epochs: passes over them.
        learning_rate: the first one.
        validation: other codes, by whose likelihood the best of `NUM_JUDGED` times is kept; None: the last.

    Returns:
        The number of updates.

    Raises:
        TrainingError: the likelihood is not finite any more.
    """
    variables = model.dynamics_variables
    count = len(codes.mean)
    size = min(BATCH_SIZE, count)
    steps = -(-count // size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_epochs * steps)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=MAX_GRADIENT_NORM)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def update(batch: tf.Tensor, controls: tf.Tensor, mask: tf.Tensor | None, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -model.codes_log_likelihood(batch, mask, controls, weight)
        sources = [variable.value for variable in variables]
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        optimizer.apply(gradients, variables)
        return loss

    judge = None if validation is None else _Judge(model, validation)
    rng = np.random.default_rng([model.config.seed, _STREAM])
    hidden = model.config.quiet or None
    with tqdm(total=num_epochs * steps, unit="step", disable=hidden, dynamic_ncols=True, leave=False) as bar:
        for epoch in range(num_epochs):
            order = rng.permutation(count)
            for first in range(0, steps * size, size):
                part = order[first : first + size]
                loss = update(*drawn(codes, part, size, rng, model.config.refine_miss_prob))
                if not np.isfinite(loss):
                    numbers = ", ".join(map(str, part))
                    raise TrainingError(
                        f"Training broke in epoch {epoch + 1} of the dynamics alone: the log-likelihood is "
                        f"{-float(loss)}. The batch holds the sequences {numbers}. The model before is "
                        "saved: leave them out, or try --refine_epochs 0"
                    )
                bar.update()
            # So many times, and after the last one.
            if judge and (epoch + 1) * NUM_JUDGED // num_epochs > epoch * NUM_JUDGED // num_epochs:
                judge.look()
    if judge:
        judge.restore()
    return num_epochs * steps


class _Judge:
    """Keep the dynamics that are best on codes they do not learn from.

    Args:
        model: a model whose dynamics change.
        codes: an `EncodedSequences`, of which the same draws are looked at each time.
    """

    def __init__(self, model: SequenceAutoencoder, codes: EncodedSequences):
        self.model, self.best = model, -np.inf
        rng, count = np.random.default_rng([model.config.seed, _STREAM + 1]), len(codes.mean)
        # Little is known from a few sequences drawn once.
        number = np.resize(np.arange(count), max(count, BATCH_SIZE))
        self._draws = drawn(codes, number, len(number), rng, model.config.refine_miss_prob)
        self._kept = self._values()
        self._likelihood = tf.function(self._of, autograph=False)

    def look(self) -> None:
        """Keep the dynamics as they are now, if they are the best so far."""
        found = float(self._likelihood(*self._draws))
        if found > self.best:
            self.best, self._kept = found, self._values()

    def restore(self) -> None:
        """Set the dynamics back to the best."""
        for variable, value in zip(self.model.dynamics_variables, self._kept, strict=True):
            variable.assign(value)

    def _of(
        self, batch: tf.Tensor, controls: tf.Tensor, mask: tf.Tensor | None, weight: tf.Tensor
    ) -> tf.Tensor:
        return self.model.codes_log_likelihood(batch, mask, controls, weight)

    def _values(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self.model.dynamics_variables]


def drawn(
    codes: EncodedSequences, part: np.ndarray, size: int, rng: np.random.Generator, miss_prob: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, tf.Tensor]:
    """Draw codes of the sequences `part`, and fill them up to `size`.

    Args:
        codes: an `EncodedSequences`.
        part: numbers of the sequences, at most `size`.
        size: how many are returned.
        rng: draws from q(a|x), and what is hidden.
        miss_prob: probability of hiding a code that is there.

    Returns:
        Codes [size, T, dim_a], controls [size, T, dim_u], mask [size, T] or None, and weights [size], which
        make a mean over all that is seen of a sum over sequences.
    """
    shape = codes.mean[part].shape
    batch = codes.mean[part] + codes.stddev[part] * rng.standard_normal(shape, np.float32)
    # One shape for all batches, so that what is compiled is compiled once.
    filled = np.resize(np.arange(len(part)), size)
    is_one = (np.arange(size) < len(part)).astype(np.float32)
    seen = None if codes.mask is None else codes.mask[part][filled].astype(np.float32)
    if miss_prob:
        seen = masks.both(seen, (rng.random([size, shape[1]]) >= miss_prob).astype(np.float32))
    observed = is_one.sum() * shape[1] if seen is None else (is_one[:, None] * seen).sum()
    weight = (is_one / max(observed, 1)).astype(np.float32)
    mask = None if seen is None else tf.constant(seen)
    return tf.constant(batch[filled]), tf.constant(codes.controls[part][filled]), mask, tf.constant(weight)
