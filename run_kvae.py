"""Train a Kalman variational auto-encoder and show what it has learned: the main job.

python run_kvae.py --dataset box_gravity
python run_kvae.py --dataset my_videos/
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvae.config import Config, ConfigError
from kvae.config.command_line import parse
from kvae.config.datasets import cut_of, is_own_videos
from kvae.errors import UserError
from kvae.runs.options import read_options
from kvae.system import console
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
        The exit code: 0; 2 after a message about what the user gave; 130 after Ctrl-C, 143 after SIGTERM,
        141 where nobody reads its standard output any more.
    """
    # TensorFlow's talk about the processor helps nobody; its errors do.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        try:
            with StopSignals() as signals:
                config = parse(sys.argv[1:] if arguments is None else arguments, read_options)
                with console.silenced(config.quiet):
                    folder = run(config, signals)
                if config.quiet and folder is not None:
                    print(folder)
        finally:
            sys.stdout.flush()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Who reads what is printed, `head` perhaps, has seen enough. Python would say so when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"Error: {error}. What was saved before is whole", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\nStopped by {stopped}", file=sys.stderr)
        return stopped.exit_code
    return 0


def run(config: Config, signals: StopSignals, after_epoch: "AfterEpoch | None" = None) -> Path | None:
    """Get the data, train a model or reload one, evaluate it, and leave a run folder.

    Args:
        config: a `Config`.
        signals: a `StopSignals`.
        after_epoch: what `kvae.training.loop.train` calls after every epoch, if anything.

    Returns:
        The path of the run folder; None of a worker that is not the chief, who has none.

    Raises:
        UserError: something that the configuration names cannot be used.
        Stopped: a signal came.
    """
    resumed, config = config.resume, dataclasses.replace(config, resume="")
    files = _dataset_files(config, foreign=bool(resumed or config.reload_model or config.init_model))
    where = _devices(config)
    train_data, test_data = _load_data(config, *files)
    model = _make_model(config, train_data, test_data, where, resumed)
    folder = _open_folder(config, model, where, resumed)
    with folder:
        if train_data is None:
            _report(model, test_data, folder, 0, {"reloaded": config.reload_model})
        else:
            best_epoch = _train(model, train_data, test_data, folder, signals, after_epoch, where)
            if not where.is_chief:
                return None
            last_step = config.num_epochs * -(-train_data.shape[0] // config.batch_size)
            best_model = _load_best(folder, best_epoch)
            _report(best_model, test_data, folder, last_step, {"best_epoch": best_epoch})
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
    config: Config, train_file: Path, test_file: Path
) -> "tuple[Dataset | Shards | None, Dataset]":
    """Return training data, None where there is nothing to train, and test data."""
    from kvae.data import dataset, shards

    test_data = dataset.load(test_file, config.use_controls)
    _check_masks(config, test_data)
    if config.reload_model:
        return None, test_data
    read = shards.Shards if train_file.is_dir() else dataset.load
    train_data = read(train_file, config.use_controls)
    _check_masks(config, train_data)
    print(f"Learning from {train_file}: {_describe(train_data)}; testing on {_describe(test_data)}")
    return train_data, test_data


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
    config: Config, model: "SequenceAutoencoder", where: "Distribution", resumed: str
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
        folder.write_config(config, precision)
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
    test_data: "Dataset",
    folder: "RunFolder",
    signals: StopSignals,
    after_epoch: "AfterEpoch | None",
    where: "Distribution",
) -> int:
    """Train the model, say how to go on where that ends early, and return the best epoch."""
    from kvae.training.distribution import WorkerLost
    from kvae.training.loop import train

    try:
        with where.guard():
            return train(model, train_data, test_data, folder, signals, after_epoch, where)
    except (Stopped, WorkerLost, OSError):
        if where.is_chief:
            print(f"Go on with:  python run_kvae.py --resume {folder.path}", file=sys.stderr)
        raise


def _load_best(folder: "RunFolder", best_epoch: int) -> "SequenceAutoencoder":
    """Return the best model of a training, the one in the folder, and tell which it is."""
    from kvae.runs.load import load

    model = load(folder.path)
    which = f"that of epoch {best_epoch}" if best_epoch else "the one it began with"
    print(f"Evaluating the best model, {which}", flush=True)
    return model


def _report(
    model: "SequenceAutoencoder", test_data: "Dataset", folder: "RunFolder", step: int, facts: dict[str, Any]
) -> None:
    """Draw and evaluate a model into its folder, and tell what is there."""
    from kvae.evaluation import pictures, report

    pictures.draw(model, test_data, folder, step, prefix="final_")
    print(f"Films and plots are in {folder.path}. Now the curves, on the whole test set: minutes", flush=True)
    for line in report.evaluate(model, test_data, folder, step, facts):
        print(line, flush=True)
    folder.close()
    print(f"\nFilms, plots, curves and the model are in {folder.path}")
    print(f"See them all:    tensorboard --logdir {folder.path.parent}")
    print(f"Evaluate again:  python run_kvae.py --reload_model {folder.path}")


def _dataset_files(config: Config, foreign: bool) -> tuple[Path, Path]:
    """Return the paths of the training and test data, made first if they are not there.

    Args:
        config: a `Config`.
        foreign: it comes from a run folder, perhaps somebody else's: that must not say where in the system
            to write.
    """
    folder = Path(config.data_dir)
    is_outside = foreign and not folder.resolve().is_relative_to(Path.cwd())
    if is_own_videos(config.dataset):
        return _files_of_videos(config, may_write=not is_outside)
    from simulation import dataset

    if is_outside:
        train, test = (dataset.dataset_path(folder, config.dataset, split) for split in ("train", "test"))
        if not (test.exists() and (train.exists() or train.with_suffix("").is_dir())):
            raise ConfigError(
                f"The run's data are not in {folder}. To simulate them there:  python -m simulation.generate "
                f"--dataset {config.dataset} --data_dir {folder}"
            )
    try:
        return dataset.ensure(config.dataset, config.data_dir, quiet=config.quiet)
    except (ValueError, OSError) as error:
        raise ConfigError(f"No data for --dataset {config.dataset}: {error}") from error


def _files_of_videos(config: Config, may_write: bool) -> tuple[Path, Path]:
    """Return the paths of the training and test data of the user's own videos."""
    # None of them imports TensorFlow, whose talk is held back only later.
    from kvae.config.rules import check_frame_sides
    from kvae.videos import dataset as video_dataset

    cut = cut_of(config)
    if config.conv:
        check_frame_sides(cut.look.height, cut.look.width, len(config.num_filters))
    try:
        files = video_dataset.ensure(config.dataset, config.data_dir, cut, may_write)
    except (UserError, OSError) as error:
        raise ConfigError(f"No data for --dataset {config.dataset}: {error}") from error
    return files.train, files.test


def _check_masks(config: Config, dataset: "Dataset | Shards") -> None:
    """Raise ConfigError where the sequences are too short for the frames that are shown and hidden."""
    num_steps = dataset.shape[1]
    if config.t_init_mask + config.t_steps_mask > num_steps:
        raise ConfigError(
            f"The sequences have {num_steps} frames, too few to show {config.t_init_mask} and hide "
            f"{config.t_steps_mask}: choose a smaller --t_init_mask or --t_steps_mask"
        )


def _describe(dataset: "Dataset | Shards") -> str:
    count, num_steps, height, width = dataset.shape
    return f"{count:,} sequences of {num_steps} frames, {height}x{width}"


if __name__ == "__main__":
    sys.exit(main())
