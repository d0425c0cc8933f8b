"""Training from Python, on arrays: what the command does, to the model that it would keep."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvae import arguments
from kvae.arguments import ArgumentError
from kvae.config import Config, ConfigError
from kvae.config.config import check_arrays
from kvae.config.datasets import is_own_videos
from kvae.data import validation as held_out
from kvae.data.dataset import Dataset
from kvae.evaluation import pictures
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.runs.load import load
from kvae.runs.options import check_model, check_new, last_row, read_options
from kvae.system import console
from kvae.system.signals import StopSignals
from kvae.training import stages
from kvae.training.loop import AfterEpoch
from kvae.training.stages import Data
from kvae.videos import memory

_KEYS = ("images", "mask", "controls")


def train(
    config: Config | None,
    videos: Any,
    mask: Any = None,
    controls: Any = None,
    *,
    validation: Any = None,
    test: Any = None,
    log_dir: str | os.PathLike | None = None,
    quiet: bool = False,
    after_epoch: AfterEpoch | None = None,
) -> SequenceAutoencoder:
    """Train a model as the command does, and return the one that it would keep.

    Through all phases, and the refinement of the dynamics after them; the model of the epoch with the best
    bound on sequences that are held out, the last `config.validation_split` of them. Ctrl-C ends it with
    KeyboardInterrupt.

    Args:
        config: a `Config`, which is taken as it is; `Config.for_videos(videos)` and `Config.for_world(...)`
            have what the command starts from, and what of it follows from the videos. None: the former.
        videos: frames [N, T, H, W], or in colour [N, T, H, W, 3]: integers in 0..255, booleans, or floats in
            [0, 1]. Or a list of clips [T, H, W], each of its own length, which are cut into sequences of
            `config.timesteps` frames that begin every `config.stride`, as the command cuts videos; so are
            those of an array that are longer, where the config is one of own videos.
        mask: [N, T], 1 where a frame is there, 0 where it is missing, and may hold anything; None: all are
            there. Of a list of clips a list of [T].
        controls: [N, T, dim_u], numbers, entry t acting on the transition into step t; None: there are none.
            Of a list of clips a list of [T, dim_u].
        validation: what the model that is kept is chosen by, in place of held-out sequences: as `videos`, or
            a dictionary of such `images`, `mask` and `controls`.
        test: likewise, what it is judged by on the way; None: nothing.
        log_dir: where to keep the run's folder, with what was recorded, its films and plots, and with `test`
            its evaluation, which takes minutes. None: there too where the config names a log_dir or a
            run_name; else it is a temporary one, of which nothing is left.
        quiet: print no progress; config.quiet says so too. Warnings come as ever.
        after_epoch: called with the model and the number of epochs completed, after each.

    Returns:
        The model, compiled: a `KVAE`, or the rival that config.model names.

    Raises:
        UserError: the options do not go together with the videos, or there can be no such videos.
        TrainingError: the bound is not finite any more.

    Examples:
        >>> import kvae, numpy as np
        >>> videos = np.random.default_rng(0).integers(0, 2, [8, 6, 8, 8]) * 255
        >>> config = kvae.Config.for_videos(videos, num_epochs=1, refine_epochs=1, num_filters=(4,), K=2)
        >>> model = kvae.train(config, videos, quiet=True)
        >>> mask = np.array([[1, 1, 0, 0, 1, 1]] * 8)
        >>> model.impute(videos, mask).images.shape
        TensorShape([8, 6, 8, 8])
    """
    config = _checked(Config.for_videos(videos, mask) if config is None else config, videos)
    if controls is not None and (config.learn_u or not config.use_controls):
        setting = "learn_u=True" if config.learn_u else "use_controls=False"
        raise ArgumentError(f"controls would not be looked at, with {setting}: leave them out, or that")
    if quiet:
        config = dataclasses.replace(config, quiet=True)
    is_kept = log_dir is not None or config.log_dir != Config.log_dir or bool(config.run_name)
    with console.silenced(config.quiet), contextlib.ExitStack() as stack:
        place = log_dir or config.log_dir
        if not is_kept:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="kvae-"))
        of_run = dataclasses.replace(config, log_dir=os.fspath(place))
        if is_kept:
            check_new(of_run)
        if config.init_model:
            check_model(config.init_model)
        data = _data(config, {"images": videos, "mask": mask, "controls": controls}, validation, test)
        folder = _train(of_run, data, is_kept, after_epoch)
        options = Config.from_dict(read_options(folder))
        # A temporary folder is no model's business.
        return load(folder, options if is_kept else dataclasses.replace(options, log_dir=config.log_dir))


def _checked(config: Config, videos: Any) -> Config:
    """Return a configuration with which arrays can be learned from, or raise UserError."""
    if not isinstance(config, Config):
        raise ArgumentError(f"config must be a Config, or None. Received: a {type(config).__name__}")
    instead = {
        "resume": "the command alone goes on with a run",
        "reload_model": "kvae.load loads a model, and the command evaluates it",
    }
    for name, words in instead.items():
        if value := getattr(config, name):
            raise ConfigError(f"{name}={value!r} is nothing for a new training: {words}")
    if config.strategy == "multiworker":
        raise ConfigError("strategy='multiworker' is for the command, which runs on each of the machines")
    if is_own_videos(config.dataset):
        sides = memory.sizes_of(videos, config.timesteps)["frame_size"]
        check_arrays(config, sides, config.frame_size != Config.frame_size)
        config = dataclasses.replace(config, frame_size=sides)
    return config


def _data(config: Config, videos: Mapping[str, Any], validation: Any, test: Any) -> Data:
    """Return what is learned from, what is held out of it, and what is judged by; tell what they are."""
    whole = _dataset(config, videos, "videos")
    if validation is None:
        train, chosen_by = held_out.split(whole, config.validation_split)
    else:
        train, chosen_by = whole, _dataset(config, validation, "validation")
    data = Data(train, chosen_by, None if test is None else _dataset(config, test, "test"))
    line = f"Learning from {stages.describe(data.train)}"
    if data.validation is not None:
        line += f"; choosing the model by {data.validation.shape[0]:,} more"
    print(line + (f"; testing on {stages.describe(data.test)}" if data.test is not None else ""))
    return data


def _dataset(config: Config, of: Any, name: str) -> Dataset:
    """Return videos, or a dictionary of them and what goes with them, as sequences."""
    arrays = of if isinstance(of, Mapping) else {"images": of}
    if unknown := [key for key in arrays if key not in _KEYS]:
        raise ArgumentError(f"{name} may hold {', '.join(_KEYS)}. Received: {unknown[0]!r} too")
    images = arrays.get("images")
    is_cut = isinstance(images, list | tuple) or is_own_videos(config.dataset)
    data = memory.dataset_of(
        images,
        arrays.get("mask"),
        arrays.get("controls"),
        config.timesteps if is_cut else 0,
        config.stride,
        name,
    )
    if config.channels == "auto":
        arguments.check_axes(data.shape)
    return stages.in_channels(config, data, name)


def _train(config: Config, data: Data, is_kept: bool, after_epoch: AfterEpoch | None) -> Path:
    """Train a model; return the folder with the one that is kept."""
    seen = data.test or data.validation or data.train
    assert isinstance(seen, Dataset)
    where = stages.devices(config)
    config = stages.with_controls(config, data.train.dim_u, False)
    config = stages.settled(config, seen.shape[2:], seen.is_two_valued)
    if is_kept and seen is not data.train:
        # For the pictures.
        stages.check_masks(config, seen.shape[1])
    model = stages.new_model(config, data, where)
    with stages.open_folder(config, model, where) as folder:
        if is_kept:
            stages.say_where(folder, model, where)
        # Whose signals are the caller's: Ctrl-C is KeyboardInterrupt.
        best_epoch = stages.learn(model, data, folder, StopSignals(), where, after_epoch, draws=is_kept)
        print(f"Keeping {stages.words_of_kept(best_epoch, data)}")
        if is_kept and seen is not data.train:
            step, best = last_row(folder.path, "step"), stages.kept(model, folder, where)
            if data.test is None:
                pictures.draw(best, seen, folder, step, prefix="final_")
            else:
                stages.report(best, data.test, folder, step, {"best_epoch": best_epoch})
    return folder.path
