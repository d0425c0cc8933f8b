"""Checks that a training is still one of numbers: of each step, of the bounds, of the weights."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from kvae.errors import TrainingError
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.runs.columns import TAGS
from kvae.training.progress import Progress

_REMEDY = "try a smaller --init_lr or --max_grad_norm"


def check_step(metrics: Mapping[str, Any], progress: Progress, order: np.ndarray, batch_size: int) -> None:
    """Raise TrainingError, naming step, terms and sequences, where a step's metrics are not finite.

    Args:
        metrics: of the step, by name.
        progress: the `Progress` before it.
        order: [N], the order of the sequences in its epoch.
        batch_size: sequences in a batch.
    """
    if np.isfinite(metrics["total"]) and np.isfinite(metrics["gradient_norm"]):
        return
    broken = [f"{TAGS[name]} is {float(value)}" for name, value in metrics.items() if not np.isfinite(value)]
    steps_per_epoch = -(-len(order) // batch_size)
    first = progress.batch * batch_size
    numbers = ", ".join(map(str, order[first : first + batch_size]))
    raise TrainingError(
        f"Training broke in step {progress.epoch * steps_per_epoch + progress.batch + 1} (batch "
        f"{progress.batch + 1} of epoch {progress.epoch + 1}), as {', '.join(broken)}. The batch holds the "
        f"sequences {numbers}. What was saved before is whole. If there is nothing odd in them, {_REMEDY}"
    )


def check_bound(split: str, total: float, epoch: int) -> None:
    """Raise TrainingError where a bound is not finite: before the model is saved, so the last good one stays.

    Args:
        split: of the data, `training` or `test`.
        total: the bound.
        epoch: epochs completed.
    """
    if not np.isfinite(total):
        raise TrainingError(f"The {split} bound became {total} in epoch {epoch}: {_REMEDY}")


def check_weights(
    model: SequenceAutoencoder,
    epoch: int,
    read: Callable[[keras.Variable], np.ndarray] = keras.ops.convert_to_numpy,
) -> None:
    """Raise TrainingError rather than let broken weights replace the last good checkpoint.

    Args:
        model: a built model.
        epoch: the epoch that has been trained.
        read: from a variable to an array.
    """
    for variable in model.weights:
        if not np.isfinite(read(variable)).all():
            raise TrainingError(f"{variable.path} is not finite any more in epoch {epoch}: {_REMEDY}")
