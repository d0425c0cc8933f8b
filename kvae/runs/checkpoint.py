"""Everything that a training needs to go on as if it had never stopped, in one file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae.data.archives import ArchiveError, read_arrays
from kvae.errors import UserError
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
        file.flush()
        os.fsync(file.fileno())


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
        if facts["format"] != FORMAT:
            raise CheckpointError(
                f"{path} was written by another version: its format is {facts['format']!r}, "
                f"this one reads {FORMAT}"
            )
        names, progress = facts["weights"], facts["progress"]
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint {path}: the run has to start again") from None
    except ArchiveError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    except (KeyError, TypeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a checkpoint: {error!r}") from error
    variables = _variables(model)
    dtypes = [np.dtype(keras.backend.standardize_dtype(variable.dtype)) for variable in variables]
    expected = [(tuple(variable.shape), dtype) for variable, dtype in zip(variables, dtypes, strict=True)]
    found = [(array.shape, array.dtype) for _, array in sorted(arrays.items())]
    if names != list(named_weights(model)) or found != expected:
        raise CheckpointError(f"{path} is of a model with another configuration")
    for variable, (_, array) in zip(variables, sorted(arrays.items()), strict=True):
        variable.assign(array)
    return progress


def _variables(model: SequenceAutoencoder) -> list[keras.Variable | tf.Variable]:
    metrics = [variable for mean in model.means.values() for variable in mean.variables]
    return [*model.weights, *model.optimizer.variables, *metrics, *model.training_state]
