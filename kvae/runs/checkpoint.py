"""Everything that a training needs to go on as if it had never stopped, in one file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae.data.archives import ArchiveError, read_arrays
from kvae.errors import UserError, in_words
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.runs.weights import named_weights
from kvae.system.files import replacing

FORMAT = 4

Read = Callable[[keras.Variable | tf.Variable], np.ndarray]
"""From a variable to an array."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used; the message says why."""


def save(
    path: Path,
    model: SequenceAutoencoder,
    progress: dict[str, Any],
    read: Read = lambda variable: variable.numpy(),
) -> None:
    """Write a checkpoint; the one that was there stays until the new one is whole and on the disk.

    Args:
        path: the file, .npz.
        model: a compiled `KVAE` whose optimizer has been built.
        progress: where the training stands, a dictionary of JSON values.
        read: how to read a variable.
    """
    arrays: dict[str, Any] = {f"{i:04d}": read(variable) for i, variable in enumerate(_variables(model))}
    facts = {"format": FORMAT, "weights": list(named_weights(model)), "progress": progress}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)


def restore(path: Path, model: SequenceAutoencoder) -> dict[str, Any]:
    """Set weights, optimizer, phase, draws and running metrics to those of a checkpoint.

    Args:
        path: the file.
        model: a `KVAE` of the same configuration, compiled, its optimizer built.

    Returns:
        The progress that was saved with it.

    Raises:
        CheckpointError: the file is missing, damaged, from another version or of another model.
    """
    try:
        arrays = read_arrays(path)
        facts = json.loads(str(arrays.pop("facts")))
        if facts["format"] not in (FORMAT, 3):
            raise CheckpointError(
                f"{path} was written by another version: its format is {facts['format']!r}, "
                f"this one reads {FORMAT}"
            )
        names, progress = facts["weights"], facts["progress"]
        values = [array for _, array in sorted(arrays.items())]
        if facts["format"] == 3:
            values = _of_format_3(values, len(model.weights))
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}: the run has to start again") from None
    except ArchiveError as error:
        raise CheckpointError(f"{path} is damaged: {in_words(error)}") from error
    except (KeyError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a checkpoint: {error!r}") from error
    variables = _variables(model)
    dtypes = [np.dtype(keras.backend.standardize_dtype(variable.dtype)) for variable in variables]
    expected = [(tuple(variable.shape), dtype) for variable, dtype in zip(variables, dtypes, strict=True)]
    found = [(array.shape, array.dtype) for array in values]
    if names != list(named_weights(model)) or found != expected:
        raise CheckpointError(f"{path} is of a model with another configuration")
    for variable, array in zip(variables, values, strict=True):
        variable.assign(array)
    return progress


def _variables(model: SequenceAutoencoder) -> list[keras.Variable | tf.Variable]:
    metrics = [variable for mean in model.means.values() for variable in mean.variables]
    return [*model.weights, *model.optimizer.variables, *metrics, *model.training_state]


def _of_format_3(values: list[np.ndarray], num_weights: int) -> list[np.ndarray]:
    """Return what format 4 would hold: there the counters of draws are no weights, and only one is left.

    Format 3 ends in the weight of the reconstruction, which is an option alone now.
    """
    weights, others = values[: num_weights + 2], values[num_weights + 2 : -1]
    is_counter = [array.shape == () and array.dtype == np.int64 for array in weights]
    if sum(is_counter) != 2:
        return values
    training_draws = weights[is_counter.index(True)]
    kept = [array for array, counts in zip(weights, is_counter, strict=True) if not counts]
    return [*kept, *others, training_draws]
