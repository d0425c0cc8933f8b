"""Which files a run's data lie in, made first where they are not there, and whether they are its own.

Imports no TensorFlow.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvae.config import Config, ConfigError
from kvae.config.datasets import IN_MEMORY, cut_of, is_own_videos
from kvae.data import identity
from kvae.errors import UserError, in_words
from kvae.runs.options import read_options
from kvae.system import called
from kvae.system.files import file_name
from kvae.videos import dataset as video_dataset

Simulate = Callable[[Config, dict[str, Any] | None, bool], tuple[Path, Path]]
"""Returns the training and the test file of a world, which it simulates where they are not there.

Its arguments: the options; those of `simulation.dataset.generate` that make a run's own data anew, or None;
and whether the user names the world, whose code may be run then.
"""


def dataset_files(
    config: Config, source: str, known: identity.Identity | None, simulate: Simulate
) -> tuple[Path, Path]:
    """Return the paths of the training and test data, made first if they are not there.

    Args:
        config: a `Config`.
        source: the run folder it comes from, perhaps somebody else's: that must not say where in the system
            to write. Empty: none.
        known: what that run's data were, if it is known and they are to be simulated anew.
        simulate: see `Simulate`.

    Raises:
        ConfigError: they are not there, and cannot be made.
    """
    folder = Path(config.data_dir)
    is_outside = bool(source) and not folder.resolve().is_relative_to(Path.cwd())
    is_own = bool(source) and read_options(source).get("dataset", Config.dataset) == config.dataset
    if is_own_videos(config.dataset) or (is_own and identity.is_of_videos(known)):
        return _files_of_videos(config, not is_outside, known)
    recipe = identity.arguments_of_recipe(known) if is_own else None
    if _are_there(folder, config.dataset):
        return simulate(config, None, not source)
    if is_outside:
        command = identity.command_of_recipe(known, folder) if recipe else None
        default = f"{called.command('generate')} --dataset {config.dataset} --data_dir {folder}"
        raise ConfigError(
            f"The run's data are not in {folder}. To simulate them there:  {command or default}"
        )
    if is_own and known and not recipe:
        raise ConfigError(f"The run's data are not in {folder}. {_how_to_get_back(config, known)}")
    if source and not recipe:
        print(f"The data are not in {folder}: they are simulated with the defaults of {config.dataset}")
    if recipe and recipe["world_name"] == config.dataset:
        print(f"The run's data are not in {folder}: they are simulated anew, as the run's were", flush=True)
        return simulate(config, recipe, not source)
    return simulate(config, None, not source)


def check_identity(
    config: Config, resumed: str, source: str, known: identity.Identity | None, found: identity.Identity
) -> None:
    """Refuse a run that is resumed on other data than its own, and warn where a model meets other data.

    Args:
        config: a `Config`.
        resumed: the run folder that is resumed; empty: none.
        source: the run folder that the model comes from, `resumed` or another one; empty: none.
        known: what that run's data were; None: it does not say.
        found: what the data are.

    Raises:
        ConfigError: a run would be resumed on other data.
    """
    if not source:
        return
    if known is None:
        print(f"Note: {source} does not say what its data were: whether these are the same is not known")
        return
    changes = "; ".join(identity.differences(known, found))
    if not changes:
        return
    if not resumed:
        print(f"Warning: these are not the data of the run in {source}: {changes}", file=sys.stderr)
        return
    raise ConfigError(
        f"The data of --dataset {config.dataset} in {config.data_dir} are not those that the run in "
        f"{resumed} learned from: {changes}. {_how_to_get_back(config, known)}"
    )


def command_of_reload(path: str | Path, config: Config | None = None) -> str:
    """Return the command that evaluates the model of a run folder, on the data of `config` if given."""
    words = ["--reload_model", str(path)]
    if config is not None:
        own = read_options(path)
        for name in ("dataset", "data_dir"):
            if own.get(name) != getattr(config, name):
                words += [f"--{name}", getattr(config, name)]
    return f"{called.command('train')} {shlex.join(words)}"


def _are_there(folder: Path, world: str) -> bool:
    """Return whether the files of a world are there, the training data in one or in shards."""
    name = file_name(world)
    return (folder / f"{name}_test.npz").exists() and (
        (folder / f"{name}.npz").exists() or (folder / name).is_dir()
    )


def _files_of_videos(config: Config, may_write: bool, known: identity.Identity | None) -> tuple[Path, Path]:
    """Return the paths of the training and test data of the user's own videos."""
    cut = cut_of(config)
    if known is not None and not Path(config.dataset).exists():
        for files in video_dataset.find_files(config.dataset, config.data_dir, cut):
            if not identity.differences(known, identity.identity(*files[:2], config.use_controls)):
                print(f"{config.dataset} is not there, but the run's sequences of it are: {files.train}")
                return files.train, files.test
    if config.dataset == IN_MEMORY and not Path(IN_MEMORY).exists():
        raise ConfigError(
            "The run learned from arrays in memory, by kvae.train: name a file or folder with such videos by "
            "--dataset. With --resume it cannot go on"
        )
    try:
        files = video_dataset.ensure(config.dataset, config.data_dir, cut, may_write)
    except (UserError, OSError) as error:
        raise ConfigError(f"No data for --dataset {config.dataset}: {in_words(error)}") from error
    return files.train, files.test


def _how_to_get_back(config: Config, known: identity.Identity | None) -> str:
    """Say how a run gets its own data again."""
    if identity.is_of_videos(known):
        return f"Put the videos back as they were, or the run's files back into {config.data_dir}"
    if command := identity.command_of_recipe(known, config.data_dir):
        return f"Move those away that are there; then simulate the run's own:  {command}"
    return f"Put the run's own files back into {config.data_dir}"
