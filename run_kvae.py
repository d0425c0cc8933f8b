"""Train a Kalman variational auto-encoder and show what it has learned: the main job.

python run_kvae.py --dataset box_gravity
python run_kvae.py --dataset my_videos/
"""

import dataclasses
import os
import sys
from pathlib import Path

from kvae.config import ConfigError
from kvae.config.command_line import parse
from kvae.config.datasets import cut_of, is_own_videos
from kvae.errors import UserError
from kvae.runs.options import read_options
from kvae.system import console
from kvae.system.signals import Stopped, StopSignals


def main(arguments=None):
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


def run(config, signals, after_epoch=None):
    """Get the data, train a model or reload one, evaluate it, and leave a run folder.

    Args:
        config: a `Config`.
        signals: a `StopSignals`.
        after_epoch: what `training.train` calls after every epoch, if anything.

    Returns:
        The path of the run folder; None of a worker that is not the chief, who has none.

    Raises:
        UserError: something that the configuration names cannot be used.
        Stopped: a signal came.
    """
    resumed, config = config.resume, dataclasses.replace(config, resume="")
    train_file, test_file = _dataset_files(
        config, foreign=bool(resumed or config.reload_model or config.init_model)
    )

    with console.held_back(wants_gpu=config.gpu not in ("", "cpu")):
        from kvae.data import dataset as data
        from kvae.data import shards
        from kvae.evaluation import report as reporting
        from kvae.runs import run_folder
        from kvae.system import device
        from kvae.training import distribution
        from kvae.training import loop as training

        device.select(config.gpu, config.deterministic)
        # Looks for GPUs, which is when TensorFlow says that there is no driver for any.
        device.has_gpu()
    where = distribution.make(config.strategy)
    test_data = data.load(test_file, config.use_controls)
    _check_against_data(config, test_data)
    if config.reload_model:
        model = run_folder.load(config.reload_model, config)
        _check_frames(model, test_data)
    else:
        read = shards.Shards if train_file.is_dir() else data.load
        train_data = read(train_file, config.use_controls)
        _check_against_data(config, train_data)
        where.check_batch_size(config.batch_size)
        with where.guard(), where.scope():
            model = _model_to_train(config, train_data, resumed)
        print(f"Learning from {train_file}: {_describe(train_data)}; testing on {_describe(test_data)}")
    precision = "bfloat16" if "bfloat16" in model.trunk_dtype else "float32"
    if resumed:
        run_folder.check_links(resumed)
    if resumed or not where.is_chief:
        # Who is not the chief reads a checkpoint, if there is one, and writes nothing.
        folder = run_folder.RunFolder(resumed or os.devnull)
    else:
        folder = run_folder.RunFolder.create(config)
        folder.write_config(config, precision)
        if config.reload_model:
            folder.events.add_options(config)
    if where.is_chief:
        devices = ", ".join(device.gpu_names()) or "the processor"
        print(f"Writing to {folder.path}; on {devices}, convolutions in {precision}", flush=True)
    else:
        print("Working for the chief, the first worker, which alone writes", flush=True)

    facts, step = {"reloaded": config.reload_model}, 0
    if not config.reload_model:
        try:
            with where.guard():
                best_epoch = training.train(model, train_data, test_data, folder, signals, after_epoch, where)
        except (Stopped, distribution.WorkerLost, OSError):
            if where.is_chief:
                print(f"Go on with:  python run_kvae.py --resume {folder.path}", file=sys.stderr)
            raise
        if not where.is_chief:
            return None
        model = run_folder.load(folder.path)
        facts = {"best_epoch": best_epoch}
        step = config.num_epochs * -(-train_data.shape[0] // config.batch_size)
        which = f"that of epoch {best_epoch}" if best_epoch else "the one it began with"
        print(f"Evaluating the best model, {which}", flush=True)
    reporting.picture(model, test_data, folder, step, prefix="final_")
    print(f"Films and plots are in {folder.path}. Now the curves, on the whole test set: minutes", flush=True)
    for line in reporting.evaluate(model, test_data, folder, step, facts):
        print(line, flush=True)
    folder.close()
    print(f"\nFilms, plots, curves and the model are in {folder.path}")
    print(f"See them all:    tensorboard --logdir {folder.path.parent}")
    print(f"Evaluate again:  python run_kvae.py --reload_model {folder.path}")
    return folder.path


def _model_to_train(config, train_data, resumed):
    """Return a new model, or that of config.init_model, built for these sequences."""
    from kvae.models.factory import make_model
    from kvae.runs import run_folder

    # A run with a checkpoint needs the one that it began with no more.
    if config.init_model and not (resumed and run_folder.RunFolder(resumed).checkpoint.exists()):
        model = run_folder.load(config.init_model, config)
        _check_frames(model, train_data)
    else:
        model = make_model(config)
        model.build(train_data.shape)
    return model


def _dataset_files(config, foreign):
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


def _files_of_videos(config, may_write):
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


def _check_frames(model, dataset):
    """Raise ConfigError where the model of an earlier run was trained on frames of other sides."""
    expected = (model.decoder.height, model.decoder.width)
    if dataset.shape[2:] != expected:
        raise ConfigError(
            f"The model was trained on frames of {expected[0]}x{expected[1]}, those of the dataset are "
            f"{dataset.shape[2]}x{dataset.shape[3]}. Your own videos fit with --frame_size "
            f"{expected[0]},{expected[1]}"
        )


def _check_against_data(config, dataset):
    """Raise ConfigError where options and data do not go together."""
    num_steps, dim_u = dataset.shape[1], dataset.dim_u
    if config.t_init_mask + config.t_steps_mask > num_steps:
        raise ConfigError(
            f"The sequences have {num_steps} frames, too few to show {config.t_init_mask} and hide "
            f"{config.t_steps_mask}: choose a smaller --t_init_mask or --t_steps_mask"
        )
    if dim_u and dim_u != config.dim_u:
        raise ConfigError(f"The dataset has {dim_u} controls per step: use --dim_u {dim_u}")


def _describe(dataset):
    count, num_steps, height, width = dataset.shape
    return f"{count:,} sequences of {num_steps} frames, {height}x{width}"


if __name__ == "__main__":
    sys.exit(main())
