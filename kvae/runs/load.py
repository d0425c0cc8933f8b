"""The model of a run folder."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kvae.config import Config
from kvae.data.archives import free_memory
from kvae.models import own_parts
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.factory import make_model
from kvae.runs.options import RunFolderError, model_file, read_options
from kvae.runs.pretrained import find

_LARGEST_CONFIG = 10**6
"""Bytes of the config.json in model.keras."""
_LARGEST_SIDE = 4096
"""Pixels along a side of a frame."""


def load(path: str | os.PathLike, config: Config | None = None) -> SequenceAutoencoder:
    """Return a trained model by its name, or the model of a run folder, or of a saved file alone, compiled.

    Of model.keras only options, the sides of the frames and the weights are read; in a run folder the
    options are those of config.json beside it. So nothing is deserialised by Keras, and a file from somebody
    else runs no code. A part of your own, `Config(alpha_network=..., likelihood=...)`, is found again in its
    module, which is imported; one that lies in the run folder is not.

    Args:
        path: the run folder, its model.keras, or any other file that `model.save` wrote; or, where nothing of
            that name is there, one of `kvae.pretrained()`.
        config: a `Config` to use in place of the run's; it must describe the same weights.

    Raises:
        RunFolderError: there is no such run or file, or it has not saved a model; or the module of a part of
            your own is missing.

    Examples:
        >>> import numpy as np
        >>> model = load("box")
        >>> model.generate(np.zeros([1, 4, 32, 32], np.uint8), num_steps=10).images.shape
        TensorShape([1, 10, 32, 32])
    """
    file = model_file(path)
    # model.keras of a run, by its own name or its folder's; any other file stands alone.
    is_of_run = find(path).is_dir() or (file.name == "model.keras" and (file.parent / "config.json").exists())
    if config is None and is_of_run:
        config = Config.from_dict(read_options(file.parent))
    try:
        saved = _saved_config(file)
        config = config or Config.from_dict(saved["config"]["config"])
        own_parts.check_origin(config, file.parent)
        model = make_model(config)
        model.build((None, None, *_frame_shape(saved)))
        model.load_weights(file)
        if not all(np.isfinite(weight).all() for weight in model.get_weights()):
            raise ValueError("weights that are not finite")
    except own_parts.OwnPartError as error:
        raise RunFolderError(f"{file} cannot be loaded: {error}") from error
    # What a damaged file raises depends on the byte that is damaged.
    except Exception as error:
        raise RunFolderError(f"{file} cannot be loaded: {error!r}") from error
    model.compile()
    return model


def load_kept(model: SequenceAutoencoder, folder: str | os.PathLike) -> SequenceAutoencoder:
    """Return the model that a run keeps: the trained one itself, with its weights of the epoch that is kept.

    What has been traced for it need not be traced again. It is a new model where the run keeps one of other
    options.

    Args:
        model: the trained model, of one device.
        folder: the run folder.

    Raises:
        RunFolderError: as `load`.
    """
    kept = load(folder)
    if kept.config != model.config:
        return kept
    for variable, value in zip(model.weights, kept.get_weights(), strict=True):
        variable.assign(value)
    # It draws what a new one would.
    model.evaluation_draws.assign(0)
    return model


def _saved_config(file: Path) -> dict[str, Any]:
    """Return what a saved model says of itself, as plain JSON."""
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError("its config.json is too large")
        if archive.getinfo("model.weights.h5").file_size > free_memory():
            raise ValueError("its weights are larger than the memory that is free")
        return json.loads(archive.read("config.json"))


def _frame_shape(saved: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of a saved model's frames, (H, W) or (H, W, 3)."""
    height, width, *channels = saved["build_config"]["input_shape"][2:]
    if not all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in (height, width)):
        raise ValueError(f"its frames have sides {height!r} and {width!r}")
    if channels not in ([], [3]):
        raise ValueError(f"its frames have channels {channels}")
    return height, width, *channels
