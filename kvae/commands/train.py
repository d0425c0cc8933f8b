"""The main job: train a model and show what it has learned, as `run_kvae.py` and `kvae train` do."""

import dataclasses
import functools
import os
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvae.commands import training_data
from kvae.config import Config
from kvae.config.command_line import given_options, parse
from kvae.config.frames import for_frames, words_of_grey, words_of_padding
from kvae.data import identity
from kvae.runs.data_files import check_identity, command_of_reload, dataset_files
from kvae.runs.options import (
    check_free,
    check_model,
    check_new,
    check_resumable,
    last_row,
    read_identity,
    read_options,
)
from kvae.system import called, command, console
from kvae.system.keras_settings import check_backend
from kvae.system.signals import Stopped, StopSignals

if TYPE_CHECKING:
    from kvae.data.dataset import Dataset
    from kvae.data.shards import Shards
    from kvae.models.autoencoder import SequenceAutoencoder
    from kvae.runs.run_folder import RunFolder
    from kvae.training.distribution import Distribution
    from kvae.training.loop import AfterEpoch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line, by default that of the process.

    Returns:
        The exit code, see `kvae.system.command`.
    """
    # TensorFlow's talk about the processor helps nobody; its errors do.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    work = functools.partial(_work, arguments)
    return command.run(work, reassurance=". What was saved before is whole")


def _work(arguments: Sequence[str] | None, signals: StopSignals) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    config = parse(arguments, read_options)
    with console.silenced(config.quiet):
        folder = run(config, signals, given=given_options(arguments))
    if config.quiet and folder is not None:
        print(folder)


def run(
    config: Config,
    signals: StopSignals,
    after_epoch: "AfterEpoch | None" = None,
    given: Collection[str] | None = None,
) -> Path | None:
    """Get the data, train a model or reload one, evaluate it, and leave a run folder.

    Args:
        config: a `Config`.
        signals: a `StopSignals`.
        after_epoch: what `kvae.training.loop.train` calls after every epoch, if anything.
        given: names of the options that were given explicitly, which data may not change; None: all were.

    Returns:
        The path of the run folder; None of a worker that is not the chief, who has none.

    Raises:
        UserError: something that the configuration names cannot be used.
        Stopped: a signal came.
    """
    check_backend()
    resumed, config = config.resume, dataclasses.replace(config, resume="")
    source = resumed or config.reload_model or config.init_model
    known = read_identity(source) if source else None
    if resumed:
        # Of several workers the chief holds the lock.
        if config.strategy != "multiworker":
            check_free(resumed)
        has_checkpoint = check_resumable(resumed, config.to_dict())
        if has_checkpoint and (Path(resumed) / "evaluation.json").exists():
            print(f"The run in {resumed} is finished: it is trained and evaluated")
            _say_what_next(Path(resumed), command_of_reload(resumed))
            return Path(resumed)
        if not has_checkpoint:
            print(f"{resumed} has no checkpoint yet: it starts from the beginning")
    elif source:
        check_model(source)
    if not resumed:
        check_new(config)
    files = dataset_files(config, source, known, training_data.simulated)
    found = identity.identity(*files, config.use_controls)
    check_identity(config, resumed, source, known, found)
    where = _devices(config)
    train_data, validation, test_data = training_data.load(config, *files, known)
    if train_data is not None:
        found |= {"classes": train_data.classes} if train_data.classes else {}
        if not source:
            config = training_data.of_size(
                training_data.fitted(config, train_data, given or ()), train_data, validation, given
            )
    for data in (train_data, test_data):
        if data is not None:
            training_data.check_masks(config, data)
    config = for_frames(config, test_data.shape[2:])
    if note := words_of_padding(config, test_data.shape[2:]):
        print(note)
    if warning := words_of_grey(config, test_data.is_two_valued):
        print(f"Warning: {warning}", file=sys.stderr)
    model = _make_model(config, train_data, test_data, where, resumed)
    with _open_folder(config, model, where, resumed, found) as folder:
        if train_data is None:
            again = command_of_reload(config.reload_model, config)
            _report(model, test_data, folder, 0, {"reloaded": config.reload_model}, again)
        else:
            best_epoch = _train(model, train_data, validation, test_data, folder, signals, after_epoch, where)
            if not where.is_chief:
                return None
            best_model = _load_best(folder, best_epoch, is_chosen=validation is not None)
            # That of the last row: the refinement's updates count too.
            last_step = last_row(folder.path, "step")
            again = command_of_reload(folder.path)
            _report(best_model, test_data, folder, last_step, {"best_epoch": best_epoch}, again)
    return folder.path


def _devices(config: Config) -> "Distribution":
    """Import TensorFlow, without its talk, and say what it may use."""
    with console.held_back(wants_gpu=config.gpu not in ("", "cpu")):
        from kvae.system import device
        from kvae.training import distribution, loop  # noqa: F401  What follows, so that nothing talks later.

        device.select(config.gpu, config.deterministic)
        # Looks for GPUs, which is when TensorFlow says that there is no driver for any.
        device.has_gpu()
    return distribution.make(config.strategy)


def _make_model(
    config: Config,
    train_data: "Dataset | Shards | None",
    test_data: "Dataset",
    where: "Distribution",
    resumed: str,
) -> "SequenceAutoencoder":
    """Return the model that is reloaded, that of config.init_model, or a new one, built for these data."""
    from kvae.models.factory import make_model
    from kvae.models.fit import check_fit
    from kvae.runs.load import load
    from kvae.runs.run_folder import RunFolder

    if train_data is None:
        model = load(config.reload_model, config)
    else:
        where.check_batch_size(config.batch_size)
        with where.guard(), where.scope():
            # A run with a checkpoint needs the one that it began with no more.
            if config.init_model and not (resumed and RunFolder(resumed).checkpoint.exists()):
                model = load(config.init_model, config)
            else:
                model = make_model(config)
                model.build(train_data.shape)
        check_fit(model, train_data)
    check_fit(model, test_data)
    return model


def _open_folder(
    config: Config,
    model: "SequenceAutoencoder",
    where: "Distribution",
    resumed: str,
    found: identity.Identity,
) -> "RunFolder":
    """Return the run's folder, made unless it is resumed, and tell where it is."""
    from kvae.runs.run_folder import RunFolder, check_links
    from kvae.system import device

    precision = "bfloat16" if "bfloat16" in model.trunk_dtype else "float32"
    if resumed:
        check_links(resumed)
    if resumed or not where.is_chief:
        # Who is not the chief reads a checkpoint, if there is one, and writes nothing.
        folder = RunFolder(resumed or os.devnull)
        if where.is_chief:
            folder.own()
    else:
        folder = RunFolder.create(config)
        folder.write_config(config, precision, found)
        if config.reload_model:
            folder.events.add_options(config)
    if where.is_chief:
        devices = ", ".join(device.gpu_names()) or "the processor"
        print(f"Writing to {folder.path}; on {devices}, convolutions in {precision}", flush=True)
    else:
        print("Working for the chief, the first worker, which alone writes", flush=True)
    return folder


def _train(
    model: "SequenceAutoencoder",
    train_data: "Dataset | Shards",
    validation: "Dataset | None",
    test_data: "Dataset",
    folder: "RunFolder",
    signals: StopSignals,
    after_epoch: "AfterEpoch | None",
    where: "Distribution",
) -> int:
    """Train the model, say how to go on where that ends early, and return the epoch that is kept."""
    from kvae.training.distribution import WorkerLost
    from kvae.training.loop import train

    try:
        with where.guard():
            return train(model, train_data, test_data, folder, signals, after_epoch, where, validation)
    except (Stopped, WorkerLost, OSError):
        if where.is_chief:
            name = shlex.quote(str(folder.path))
            print(f"Go on with:  {called.command('train')} --resume {name}", file=sys.stderr)
        raise


def _load_best(folder: "RunFolder", best_epoch: int, is_chosen: bool) -> "SequenceAutoencoder":
    """Return the model that a training keeps, the one in the folder, and tell which it is."""
    from kvae.runs.load import load

    model = load(folder.path)
    which = f"that of epoch {best_epoch}" if best_epoch else "the one it began with"
    print(f"Evaluating the {'best' if is_chosen else 'last'} model, {which}", flush=True)
    return model


def _report(
    model: "SequenceAutoencoder",
    test_data: "Dataset",
    folder: "RunFolder",
    step: int,
    facts: dict[str, Any],
    again: str,
) -> None:
    """Draw and evaluate a model into its folder, and tell what is there."""
    from kvae.evaluation import pictures, report

    pictures.draw(model, test_data, folder, step, prefix="final_")
    print(f"Films and plots are in {folder.path}. Now the curves, on the whole test set: minutes", flush=True)
    for line in report.evaluate(model, test_data, folder, step, facts):
        print(line, flush=True)
    folder.close()
    what = "plots and curves" if "reloaded" in facts else "plots, curves and the model"
    print(f"\nFilms, {what} are in {folder.path}")
    _say_what_next(folder.path, again)


def _say_what_next(path: Path, again: str) -> None:
    print(f"See them all:    tensorboard --logdir {shlex.quote(str(path.parent))}")
    print(f"Evaluate again:  {again}")
