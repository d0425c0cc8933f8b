"""The last phase of training: the dynamics alone, on codes that are encoded once.

A training step is nearly all convolutions, and the dynamics a few percent of it. So when encoder and decoder
have found their codes, the dynamics can go on learning at a small part of the cost.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kvae.data.batches import batches_of
from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.errors import TrainingError
from kvae.models.autoencoder import SequenceAutoencoder

BATCH_SIZE = 64
MAX_GRADIENT_NORM = 10.0
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


def refine(model: SequenceAutoencoder, codes: EncodedSequences, num_epochs: int, learning_rate: float) -> int:
    """Train the dynamics of a model by the likelihood of codes, drawn from q(a|x) anew at each step.

    Every pass sees every sequence: the last batch is filled up with sequences of no weight.
    Adam starts afresh, with a learning rate that falls to zero along a cosine. The result depends on the
    model, the codes and config.seed alone.

    Args:
        model: a built `KVAE`, or a `RecurrentAutoencoder` that is variational.
        codes: an `EncodedSequences`.
        num_epochs: passes over them.
        learning_rate: the first one.

    Returns:
        The number of updates.

    Raises:
        TrainingError: the likelihood is not finite any more.
    """
    variables = model.dynamics_variables
    count, num_steps = codes.mean.shape[:2]
    size = min(BATCH_SIZE, count)
    steps = -(-count // size)
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_epochs * steps)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=MAX_GRADIENT_NORM)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def update(batch: tf.Tensor, controls: tf.Tensor, mask: tf.Tensor | None, is_one: tf.Tensor) -> tf.Tensor:
        observed = is_one * num_steps if mask is None else is_one[:, None] * tf.cast(mask, tf.float32)
        weight = tf.math.divide_no_nan(is_one, tf.reduce_sum(observed))
        with tf.GradientTape() as tape:
            loss = -model.codes_log_likelihood(batch, mask, controls, weight)
        sources = [variable.value for variable in variables]
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        optimizer.apply(gradients, variables)
        return loss

    rng = np.random.default_rng([model.config.seed, _STREAM])
    hidden = model.config.quiet or None
    with tqdm(total=num_epochs * steps, unit="step", disable=hidden, dynamic_ncols=True, leave=False) as bar:
        for epoch in range(num_epochs):
            order = rng.permutation(count)
            for first in range(0, steps * size, size):
                part = order[first : first + size]
                noise = rng.standard_normal(codes.mean[part].shape, np.float32)
                # One shape for all batches, so that what is compiled is compiled once.
                filled = np.resize(np.arange(len(part)), size)
                is_one = tf.constant(np.float32(np.arange(size) < len(part)))
                batch = tf.constant((codes.mean[part] + codes.stddev[part] * noise)[filled])
                mask = None if codes.mask is None else tf.constant(codes.mask[part][filled])
                loss = update(batch, tf.constant(codes.controls[part][filled]), mask, is_one)
                if not np.isfinite(loss):
                    numbers = ", ".join(map(str, part))
                    raise TrainingError(
                        f"Training broke in epoch {epoch + 1} of the dynamics alone: the log-likelihood is "
                        f"{-float(loss)}. The batch holds the sequences {numbers}. The model before is "
                        "saved: leave them out, or try --refine_epochs 0"
                    )
                bar.update()
    return num_epochs * steps
