"""Train a Kalman variational auto-encoder and show what it has learned: the main job.

python run_kvae.py --dataset box_gravity
python run_kvae.py --dataset my_videos/
"""

from kvae.system import command

if __name__ == "__main__":
    command.begin()

import dataclasses
import functools
import os
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvae.config import Config, ConfigError
from kvae.config.command_line import given_options, parse
from kvae.config.datasets import environment_options, is_environment
from kvae.config.frames import for_frames, words_of_padding
from kvae.config.size import for_pixels, for_sequences, in_words
from kvae.data import identity
from kvae.runs.data_files import check_identity, command_of_reload, dataset_files
from kvae.runs.options import (
    check_free,
    check_model,
    check_resumable,
    last_row,
    read_identity,
    read_options,
)
from kvae.system import console
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
    files = dataset_files(config, source, known, _simulated)
    found = identity.identity(*files, config.use_controls)
    check_identity(config, resumed, source, known, found)
    where = _devices(config)
    train_data, validation, test_data = _load_data(config, *files, known)
    if train_data is not None:
        found |= {"classes": train_data.classes} if train_data.classes else {}
        if not source:
            config = _of_size(_fitted(config, train_data, given or ()), train_data, validation, given)
    for data in (train_data, test_data):
        if data is not None:
            _check_masks(config, data)
    config = for_frames(config, test_data.shape[2:])
    if note := words_of_padding(config, test_data.shape[2:]):
        print(note)
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


def _load_data(
    config: Config, train_file: Path, test_file: Path, known: identity.Identity | None
) -> "tuple[Dataset | Shards | None, Dataset | None, Dataset]":
    """Return training data, None where there is nothing to train, those held out of them, and test data."""
    from kvae.data import controls, dataset, shards, validation

    # Where the model learns its own, those of the data are not looked at.
    use_controls = config.use_controls and not config.learn_u
    if config.reload_model:
        classes = identity.classes_of(known)
        if classes is None and use_controls:
            classes = dataset.read_classes(train_file)
        test_data = _in_channels(config, dataset.load(test_file, use_controls, classes), test_file)
        return None, None, test_data
    read = shards.Shards if train_file.is_dir() else dataset.load
    train_data = _in_channels(config, read(train_file, use_controls), train_file)
    test_data = _in_channels(config, dataset.load(test_file, use_controls, train_data.classes), test_file)
    if train_data.classes:
        print(f"{train_file}: {controls.in_words(train_data.classes)}")
    train_data, held_out = validation.split(train_data, config.validation_split)
    print(
        f"Learning from {train_file}: {_describe(train_data)}; "
        + (f"choosing the model by {held_out.shape[0]:,} more; " if held_out else "")
        + f"testing on {_describe(test_data)}"
    )
    return train_data, held_out, test_data


def _in_channels(config: Config, data: "Dataset | Shards", file: Path) -> Any:
    """Return data with as many channels as the options ask for, and tell where that changes them."""
    if config.channels in ("auto", data.channels):
        return data
    print(
        f"{file} is in colour: its frames are turned to grey"
        if config.channels == 1
        else f"{file} is grey: its frames are taken as colour, with three channels alike"
    )
    return data.in_channels(int(config.channels))


def _fitted(config: Config, data: "Dataset | Shards", given: Collection[str]) -> Config:
    """Return the options of a new run with what the data decide: the entries of a control."""
    if config.learn_u or data.dim_u in (0, config.dim_u):
        return config
    if "dim_u" in given or config.dim_u != Config.dim_u:
        raise ConfigError(
            f"--dim_u {config.dim_u} contradicts the data, which have {data.dim_u} controls a step: leave it "
            "out, or the controls with --use_controls=False"
        )
    return dataclasses.replace(config, dim_u=data.dim_u)


def _of_size(
    config: Config,
    train_data: "Dataset | Shards",
    validation: "Dataset | None",
    given: Collection[str] | None,
) -> Config:
    """Return the options of a new run with what follows from its data; tell what is news."""
    if given is None:
        return config
    from kvae.data.dataset import Dataset

    count = train_data.shape[0] + (validation.shape[0] if validation else 0)
    found = for_sequences(config, count, train_data.shape[1], given)
    # One's own videos are never shards.
    found = for_pixels(found, isinstance(train_data, Dataset) and train_data.is_two_valued, given)
    for line in in_words(config, found, count):
        print(line)
    return found


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
            print(f"Go on with:  python run_kvae.py --resume {name}", file=sys.stderr)
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


def _simulated(config: Config, recipe: dict[str, Any] | None, is_named_by_user: bool) -> tuple[Path, Path]:
    """Return the files of a world, simulated first where they are not there; see `data_files.Simulate`."""
    from simulation import dataset
    from simulation.worlds.registry import modules_named, trust

    if recipe is not None:
        try:
            return dataset.generate(data_dir=config.data_dir, **recipe)
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"The run's data cannot be simulated anew: {error}") from error
    asked, num_steps = environment_options(config) if is_environment(config.dataset) else ({}, None)
    try:
        if is_named_by_user:
            # A run folder may be anybody's.
            trust(*modules_named(config.dataset, asked))
        return dataset.ensure(
            config.dataset, config.data_dir, quiet=config.quiet, options=asked, num_steps=num_steps
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"No data for --dataset {config.dataset}: {error}") from error


def _check_masks(config: Config, dataset: "Dataset | Shards") -> None:
    """Raise ConfigError where the sequences are too short for the frames that are shown and hidden."""
    num_steps = dataset.shape[1]
    if config.t_init_mask + config.t_steps_mask > num_steps:
        raise ConfigError(
            f"The sequences have {num_steps} frames, too few to show {config.t_init_mask} and hide "
            f"{config.t_steps_mask}: choose a smaller --t_init_mask or --t_steps_mask"
        )


def _describe(dataset: "Dataset | Shards") -> str:
    count, num_steps, height, width, *_ = dataset.shape
    words = [f"{count:,} sequences of {num_steps} frames", f"{height}x{width}"]
    words += ["in colour"] * (dataset.channels == 3)
    words += [f"{dataset.dim_u} control{'s' * (dataset.dim_u > 1)} a step"] * (dataset.dim_u > 0)
    if dataset.mask is not None:
        words.append(f"{1 - dataset.mask.mean():.1%} of the frames missing")
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
