"""What a run folder says of its run: its options, its data, where it stands. Imports no TensorFlow."""

import csv
import json
import os
import shlex
from pathlib import Path
from typing import Any

from kvae.config import Config, ConfigError
from kvae.data.identity import Identity, is_identity
from kvae.errors import UserError
from kvae.runs.pretrained import find, hint
from kvae.system import called
from kvae.system.lock import holder


class RunFolderError(UserError):
    """A run folder cannot be made or read; the message says why."""


def read_options(path: str | os.PathLike) -> dict[str, Any]:
    """Return the options in the config.json of a run folder, as `Config.from_dict` takes them.

    Args:
        path: the run folder, or the name of a trained model, as in all that reads of a model here.

    Raises:
        RunFolderError: there is no such run, or its config.json cannot be read.
    """
    file = find(path) / "config.json"
    try:
        # A run from before there was a choice is one of grey frames, which learned from all sequences.
        options = {"channels": 1, "validation_split": 0.0, **json.loads(file.read_text())["options"]}
        Config.from_dict(options)
    except FileNotFoundError:
        raise RunFolderError(f"{path} is not a run folder: it has no config.json{hint(path)}") from None
    except ConfigError as error:
        raise RunFolderError(f"{file} holds options of another version: {error}") from error
    # ValueError: broken JSON, or text that is no text, or a number of thousands of digits.
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{file} cannot be read: {error!r}") from error
    return options


def check_free(path: str | os.PathLike) -> None:
    """Raise RunFolderError where another process writes to a run folder."""
    if who := holder(Path(path)):
        raise in_use(path, who)


def in_use(path: str | os.PathLike, who: object) -> RunFolderError:
    """Return the error that says who writes to a run folder."""
    return RunFolderError(f"{path} is being written by {who}: wait until it has ended, or stop it first")


def taken(path: Path) -> RunFolderError:
    """Return the error that says why there can be no new run in a folder that is there."""
    if who := holder(path):
        return RunFolderError(
            f"There is a run in {path}, which is being written by {who}: choose another --run_name"
        )
    return RunFolderError(
        f"There is a run in {path} already: choose another --run_name, or delete it, or go on with "
        f"--resume {path}"
    )


def check_new(config: Config) -> None:
    """Raise RunFolderError where the folder of a new run is there: before anything that takes its time."""
    path = Path(config.log_dir) / f"{config.run_name}_{config.model}"
    # Of several workers the chief may have made it.
    if config.run_name and config.strategy != "multiworker" and path.is_dir():
        raise taken(path)


def read_identity(path: str | os.PathLike) -> Identity | None:
    """Return the identity of a run's data, see `kvae.data.identity`; None where its config.json has none."""
    try:
        value = json.loads((find(path) / "config.json").read_text())["data"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if is_identity(value) else None


def model_file(path: str | os.PathLike) -> Path:
    """Return the file of the model of a run folder, or of a trained model, or the file that is given itself.

    Raises:
        RunFolderError: there is no such run or file, or the run has saved no model.
    """
    file = find(path)
    if file.is_file():
        return file
    if file.suffix == ".keras" and not file.is_dir():
        raise RunFolderError(f"There is no file {file}")
    if not (file / "model.keras").exists():
        # Of a folder that is none of a run, or of one that has saved nothing.
        read_options(path)
        check_model(path)
    return file / "model.keras"


def check_model(path: str | os.PathLike) -> None:
    """Raise RunFolderError where a run has saved no model."""
    if not (find(path) / "model.keras").exists():
        raise RunFolderError(f"{path} has no model.keras: the run has saved none yet, or is kept without it")


def check_resumable(path: str | os.PathLike, options: dict[str, Any]) -> bool:
    """Return whether a run has a checkpoint to go on from; without one it starts from the beginning.

    Args:
        path: the run folder.
        options: those in its config.json.

    Raises:
        RunFolderError: it has no checkpoint, and starting would overwrite what it holds.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise RunFolderError(f"{path} is not the folder of a run that could go on")
    if (folder / "checkpoints" / "last.npz").exists():
        return True
    has_model = (folder / "model.keras").exists()
    # A run that begins with another one's model saves that, as epoch 0, before the first checkpoint.
    is_begun = last_row(path, "epoch") > 0 or (folder / "evaluation.json").exists()
    if not is_begun and (not has_model or options.get("init_model")):
        return False
    words = f"{path} has no checkpoint, so its training cannot go on, and starting again would overwrite it"
    if not has_model:
        raise RunFolderError(f"{words}. Nor has it a model: start a new run, under another --run_name")
    name = shlex.quote(str(path))
    raise RunFolderError(
        f"{words}. To evaluate its model:  {called.command('train')} --reload_model {name}  To train its "
        f"model on, in a new folder:  {called.command('train')} --init_model {name}"
    )


def last_row(path: str | os.PathLike, column: str) -> int:
    """Return a whole number of the last row of a run's metrics.csv; 0 where there is none."""
    try:
        with (Path(path) / "metrics.csv").open(newline="") as file:
            rows = [*csv.DictReader(file)]
        return int(rows[-1][column])
    except (IndexError, KeyError, ValueError, TypeError, OSError, csv.Error):
        return 0
