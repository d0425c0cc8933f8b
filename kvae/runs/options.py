"""The options of a run, from the config.json of its folder. Imports no TensorFlow."""

import json
import os
from pathlib import Path
from typing import Any

from kvae.config import Config, ConfigError
from kvae.errors import UserError


class RunFolderError(UserError):
    """A run folder cannot be made or read; the message says why."""


def read_options(path: str | os.PathLike) -> dict[str, Any]:
    """Return the options in the config.json of a run folder, as `Config.from_dict` takes them.

    Raises:
        RunFolderError: there is no such run, or its config.json cannot be read.
    """
    file = Path(path) / "config.json"
    try:
        options = json.loads(file.read_text())["options"]
        Config.from_dict(options)
    except FileNotFoundError:
        raise RunFolderError(f"{path} is not a run folder: it has no config.json") from None
    except ConfigError as error:
        raise RunFolderError(f"{file} holds options of another version: {error}") from error
    # ValueError: broken JSON, or text that is no text, or a number of thousands of digits.
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{file} cannot be read: {error!r}") from error
    return options
