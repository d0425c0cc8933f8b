"""The main job: train a model and show what it has learned, as `run_kvae.py` and `kvae train` do."""

import dataclasses
import functools
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvae.commands import training_data
from kvae.config import Config
from kvae.config.command_line import given_options, parse
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
    from kvae.models.autoencoder import SequenceAutoencoder
    from kvae.runs.run_folder import RunFolder
    from kvae.training.distribution import Distribution
    from kvae.training.loop import AfterEpoch
    from kvae.training.stages import Data


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line, by default that of the process.

    Returns:
        The exit code, see `kvae.system.command`.
    """
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
    # What needs TensorFlow, which has been imported now.
    from kvae.training import stages

    train_data, validation, test_data = training_data.load(config, *files, known)
    if train_data is not None:
        found |= {"classes": train_data.classes} if train_data.classes else {}
        if not source:
            config = stages.with_controls(config, train_data.dim_u, "dim_u" in (given or ()))
            config = training_data.of_size(config, train_data, validation, given)
    data = None if train_data is None else stages.Data(train_data, validation, test_data)
    for part in (train_data, test_data):
        if part is not None:
            stages.check_masks(config, part.shape[1])
    config = stages.settled(config, test_data.shape[2:], test_data.is_two_valued)
    if data is None:
        model = _reloaded(config, test_data)
    else:
        model = stages.new_model(config, data, where, resumed)
    with stages.open_folder(config, model, where, resumed, found) as folder:
        stages.say_where(folder, model, where)
        if data is None:
            again = command_of_reload(config.reload_model, config)
            _report(model, test_data, folder, 0, {"reloaded": config.reload_model}, again)
        else:
            best_epoch = _train(model, data, folder, signals, after_epoch, where)
            if not where.is_chief:
                return None
            print(f"Evaluating {stages.words_of_kept(best_epoch, data)}", flush=True)
            # That of the last row: the refinement's updates count too.
            last_step = last_row(folder.path, "step")
            again = command_of_reload(folder.path)
            best = stages.kept(model, folder, where)
            _report(best, test_data, folder, last_step, {"best_epoch": best_epoch}, again)
    return folder.path


def _devices(config: Config) -> "Distribution":
    """Import TensorFlow, without its talk, and say what it may use."""
    with console.held_back(wants_gpu=config.gpu not in ("", "cpu")):
        from kvae.training import stages  # And all that follows, so that nothing talks later.

        return stages.devices(config)


def _reloaded(config: Config, test_data: "Dataset") -> "SequenceAutoencoder":
    """Return the model of config.reload_model, which test data fit."""
    from kvae.models.fit import check_fit
    from kvae.runs.load import load

    model = load(config.reload_model, config)
    check_fit(model, test_data)
    return model


def _train(
    model: "SequenceAutoencoder",
    data: "Data",
    folder: "RunFolder",
    signals: StopSignals,
    after_epoch: "AfterEpoch | None",
    where: "Distribution",
) -> int:
    """Train the model, say how to go on where that ends early, and return the epoch that is kept."""
    from kvae.training import stages
    from kvae.training.distribution import WorkerLost

    try:
        return stages.learn(model, data, folder, signals, where, after_epoch)
    except (Stopped, WorkerLost, OSError):
        if where.is_chief:
            name = shlex.quote(str(folder.path))
            print(f"Go on with:  {called.command('train')} --resume {name}", file=sys.stderr)
        raise


def _report(
    model: "SequenceAutoencoder",
    test_data: "Dataset",
    folder: "RunFolder",
    step: int,
    facts: dict[str, Any],
    again: str,
) -> None:
    """Draw and evaluate a model into its folder, and tell what is there."""
    from kvae.training import stages

    stages.report(model, test_data, folder, step, facts)
    folder.close()
    what = "plots and curves" if "reloaded" in facts else "plots, curves and the model"
    print(f"\nFilms, {what} are in {folder.path}")
    _say_what_next(folder.path, again)


def _say_what_next(path: Path, again: str) -> None:
    print(f"See them all:    tensorboard --logdir {shlex.quote(str(path.parent))}")
    print(f"Evaluate again:  {again}")
