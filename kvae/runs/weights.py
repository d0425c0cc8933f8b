"""Weights alone, as arrays with readable names in an .npz file: no code, no optimizer, no pickle.

The names are `encoder/conv1/kernel`, `decoder/dense/bias`, `alpha/lstm/recurrent_kernel`, `lgssm/A` and
so on: Keras layouts, an LSTM's gates in the order i, f, c, o, and the decoder's channels in the order of
`tf.nn.depth_to_space`.
"""

import os

import keras
import numpy as np

from kvae.data.archives import ArchiveError, read_arrays
from kvae.errors import UserError, in_words
from kvae.models.arguments import check_built
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.system.files import replacing


class WeightsError(UserError):
    """Weights that do not fit the model; the message says which."""


def named_weights(model: SequenceAutoencoder) -> dict[str, keras.Variable]:
    """Return what a model has learned, or been told of the frames, by name.

    Args:
        model: a `KVAE` that has been built.

    Raises:
        ArgumentError: it has not been built, so it has none.
    """
    check_built(model)
    return {_name(model, variable): variable for variable in model.weights}


def save_weights(model: SequenceAutoencoder, path: str | os.PathLike) -> None:
    """Write the weights of a built `KVAE` to an .npz file.

    Examples:
        >>> import os, tempfile
        >>> import kvae
        >>> model = kvae.KVAE(kvae.Config(num_filters=(4,)))
        >>> model.build((None, None, 8, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kvae.save_weights(model, os.path.join(folder, "weights.npz"))
        ...     kvae.load_weights(model, os.path.join(folder, "weights.npz"))
    """
    weights = {name: variable.numpy() for name, variable in named_weights(model).items()}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **weights)


def load_weights(model: SequenceAutoencoder, path: str | os.PathLike) -> None:
    """Set the weights of a `KVAE` from an .npz file.

    Args:
        model: a `KVAE`; it must have been built, for its frames' sides: `model.build((None, None, 32, 32))`.
        path: the file, from `save_weights` or converted from another implementation.

    Raises:
        WeightsError: the file cannot be read, or its names or shapes are not those of the model.

    Example: see `save_weights`.
    """
    variables = named_weights(model)
    try:
        weights = read_arrays(path)
    except (ArchiveError, FileNotFoundError) as error:
        raise WeightsError(f"{path} is not a readable file of weights (.npz): {in_words(error)}") from error
    missing, unknown = sorted(set(variables) - set(weights)), sorted(set(weights) - set(variables))
    if missing or unknown:
        raise WeightsError(
            f"{path} does not fit this model: missing {', '.join(missing) or 'nothing'}; "
            f"not in the model {', '.join(unknown) or 'nothing'}"
        )
    for name, variable in variables.items():
        if tuple(variable.shape) != weights[name].shape:
            raise WeightsError(
                f"{path}: {name} must have shape {tuple(variable.shape)}. Received: {weights[name].shape}"
            )
    for name, variable in variables.items():
        variable.assign(weights[name])


def _name(model: SequenceAutoencoder, variable: keras.Variable) -> str:
    """Return the variable's path below the model, without the LSTM's cell, which has nothing beside it."""
    parts = variable.path.split("/")
    if parts[0] == model.name:
        parts = parts[1:]
    return "/".join(part for part in parts if part != "lstm_cell")
