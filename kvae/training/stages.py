"""The stages of a run, from data to the model that it keeps: what the command and `kvae.train` share."""

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kvae.config import Config, ConfigError
from kvae.config.frames import for_frames, words_of_grey, words_of_padding
from kvae.data.dataset import Dataset
from kvae.data.identity import Identity
from kvae.data.shards import Shards
from kvae.evaluation import pictures
from kvae.evaluation import report as evaluation_report
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.factory import make_model
from kvae.models.fit import check_fit
from kvae.models.own_parts import check_origin
from kvae.runs.load import load, load_kept
from kvae.runs.run_folder import RunFolder, check_links
from kvae.system import device
from kvae.system.signals import StopSignals
from kvae.training import distribution, loop
from kvae.training.distribution import Distribution
from kvae.training.loop import AfterEpoch


class Data(NamedTuple):
    """What a run is about.

    Attributes:
        train: what it learns from.
        validation: what the model that is kept is chosen by; None: it is the last one.
        test: what it is judged by; None: nothing.
    """

    train: Dataset | Shards
    validation: Dataset | None = None
    test: Dataset | None = None


def devices(config: Config) -> Distribution:
    """Make TensorFlow use the devices that the options name, and return how training is shared among them.

    Raises:
        DeviceError: there is no such device.
        DistributionError: what config.strategy needs is not there.
    """
    device.select(config.gpu, config.deterministic)
    # Looks for GPUs, which is when TensorFlow says that there is no driver for any.
    device.has_gpu()
    return distribution.make(config.strategy)


def describe(dataset: Dataset | Shards) -> str:
    """Say what sequences there are."""
    count, num_steps, height, width, *_ = dataset.shape
    words = [f"{count:,} sequences of {num_steps} frames", f"{height}x{width}"]
    words += ["in colour"] * (dataset.channels == 3)
    words += [f"{dataset.dim_u} control{'s' * (dataset.dim_u > 1)} a step"] * (dataset.dim_u > 0)
    if dataset.mask is not None:
        words.append(f"{1 - dataset.mask.mean():.1%} of the frames missing")
    return ", ".join(words)


def in_channels(config: Config, data: Dataset | Shards, name: object) -> Any:
    """Return data with as many channels as the options ask for, and tell where that changes them.

    Args:
        config: the options.
        data: the sequences.
        name: what messages call them.
    """
    if config.channels in ("auto", data.channels):
        return data
    print(
        f"{name} is in colour: its frames are turned to grey"
        if config.channels == 1
        else f"{name} is grey: its frames are taken as colour, with three channels alike"
    )
    return data.in_channels(int(config.channels))


def with_controls(config: Config, dim_u: int, is_given: bool) -> Config:
    """Return the options of a new run with what the data decide: the entries of a control.

    Args:
        config: the options.
        dim_u: entries of the data's controls; 0: there are none.
        is_given: whether config.dim_u was asked for.

    Raises:
        ConfigError: it was, and the data have others.
    """
    if config.learn_u or dim_u in (0, config.dim_u):
        return config
    if is_given or config.dim_u != Config.dim_u:
        raise ConfigError(
            f"--dim_u {config.dim_u} contradicts the data, which have {dim_u} controls a step: leave it "
            "out, or the controls with --use_controls=False"
        )
    return dataclasses.replace(config, dim_u=dim_u)


def check_masks(config: Config, num_steps: int) -> None:
    """Raise ConfigError where sequences are too short for the frames that are shown and hidden."""
    if config.t_init_mask + config.t_steps_mask > num_steps:
        raise ConfigError(
            f"The sequences have {num_steps} frames, too few to show {config.t_init_mask} and hide "
            f"{config.t_steps_mask}: choose a smaller --t_init_mask or --t_steps_mask"
        )


def settled(config: Config, frame_shape: Sequence[int], is_two_valued: bool) -> Config:
    """Return the options with what is left to the frames, and tell what becomes of those.

    Args:
        config: the options.
        frame_shape: (H, W) or (H, W, 3).
        is_two_valued: whether every pixel is black or white.

    Raises:
        ShapeError: there can be no such frames.
    """
    config = for_frames(config, frame_shape)
    if note := words_of_padding(config, frame_shape):
        print(note)
    if warning := words_of_grey(config, is_two_valued):
        print(f"Warning: {warning}", file=sys.stderr)
    return config


def new_model(config: Config, data: Data, where: Distribution, resumed: str = "") -> SequenceAutoencoder:
    """Return the model that training begins with: that of config.init_model, or a new one, built.

    Args:
        config: what `settled` returned.
        data: what it is to learn from, and what it is judged by.
        where: the `Distribution` that it is trained on.
        resumed: the folder of the run that goes on; empty: a new one.

    Raises:
        FitError: the model of config.init_model takes other data.
    """
    where.check_batch_size(config.batch_size)
    if resumed:
        check_origin(config, Path(resumed))
    with where.guard(), where.scope():
        # A run with a checkpoint needs the one that it began with no more.
        if config.init_model and not (resumed and RunFolder(resumed).checkpoint.exists()):
            model = load(config.init_model, config)
        else:
            model = make_model(config)
            model.build(data.train.shape)
    for part in data:
        if part is not None:
            check_fit(model, part)
    return model


def open_folder(
    config: Config,
    model: SequenceAutoencoder,
    where: Distribution,
    resumed: str = "",
    found: Identity | None = None,
) -> RunFolder:
    """Return the run's folder, made unless it is resumed.

    Args:
        config: the options.
        model: the run's.
        where: the `Distribution`.
        resumed: as `new_model`.
        found: the identity of the data; None: they have none.

    Raises:
        RunFolderError: it cannot be made, or written to.
    """
    if resumed:
        check_links(resumed)
    if resumed or not where.is_chief:
        # Who is not the chief reads a checkpoint, if there is one, and writes nothing.
        folder = RunFolder(resumed or os.devnull)
        if where.is_chief:
            folder.own()
        return folder
    folder = RunFolder.create(config)
    folder.write_config(config, _precision(model), found)
    if config.reload_model:
        folder.events.add_options(config)
    return folder


def say_where(folder: RunFolder, model: SequenceAutoencoder, where: Distribution) -> None:
    """Tell where a run writes, and what it computes on."""
    if not where.is_chief:
        print("Working for the chief, the first worker, which alone writes", flush=True)
        return
    names = ", ".join(device.gpu_names()) or "the processor"
    print(f"Writing to {folder.path}; on {names}, convolutions in {_precision(model)}", flush=True)


def learn(
    model: SequenceAutoencoder,
    data: Data,
    folder: RunFolder,
    signals: StopSignals,
    where: Distribution,
    after_epoch: AfterEpoch | None = None,
    draws: bool = True,
) -> int:
    """Train a model through all its phases and the refinement; return the epoch of the one that is kept.

    That lies in the folder. Arguments and errors as `kvae.training.loop.train`; `WorkerLost` too.
    """
    with where.guard():
        return loop.train(
            model, data.train, data.test, folder, signals, after_epoch, where, data.validation, draws
        )


def words_of_kept(best_epoch: int, data: Data) -> str:
    """Say which model is kept, the one of the epoch that `learn` returned."""
    which = f"that of epoch {best_epoch}" if best_epoch else "the one it began with"
    return f"the {'last' if data.validation is None else 'best'} model, {which}"


def kept(model: SequenceAutoencoder, folder: RunFolder, where: Distribution) -> SequenceAutoencoder:
    """Return the model of the epoch that is kept; of one device the trained one, with what it has traced."""
    return load(folder.path) if where.strategy else load_kept(model, folder.path)


def report(
    model: SequenceAutoencoder, test: Dataset, folder: RunFolder, step: int, facts: Mapping[str, Any]
) -> None:
    """Draw and evaluate a finished model into its folder, and tell what comes out.

    Arguments as `kvae.evaluation.report.evaluate`.
    """
    pictures.draw(model, test, folder, step, prefix="final_")
    print(f"Films and plots are in {folder.path}. Now the curves, on the whole test set: minutes", flush=True)
    for line in evaluation_report.evaluate(model, test, folder, step, facts):
        print(line, flush=True)


def _precision(model: SequenceAutoencoder) -> str:
    return "bfloat16" if "bfloat16" in model.trunk_dtype else "float32"
