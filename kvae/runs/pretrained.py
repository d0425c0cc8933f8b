"""The trained models that come with the program, by name. Imports no TensorFlow."""

import os
from pathlib import Path

_INSTALLED = Path(__file__).resolve().parents[1] / "trained"
_IN_REPOSITORY = Path(__file__).resolve().parents[2] / "pretrained"


def pretrained() -> list[str]:
    """Return the names of the trained models, one of each simulated world, which `kvae.load` takes.

    Examples:
        >>> pretrained()
        ['box', 'box_gravity', 'pendulum', 'polygon', 'pong']
    """
    return sorted(path.parent.name for path in folder().glob("*/model.keras"))


def folder() -> Path:
    """Return the folder that holds a run folder for each of the trained models."""
    return _INSTALLED if _INSTALLED.is_dir() else _IN_REPOSITORY


def find(path: str | os.PathLike) -> Path:
    """Return the run folder of a trained model where its name is given, and else the path that is given.

    What is there under the path wins: a name never hides a run of the user's.
    """
    # ./box is no name.
    is_name = os.fspath(path) in pretrained() and not Path(path).exists()
    return folder() / path if is_name else Path(path)


def hint(path: str | os.PathLike) -> str:
    """Return what to say beside that a path is no run: of the trained models, if one may have been meant."""
    name = os.fspath(path)
    if Path(path).exists():
        is_hidden = name in pretrained()
        return f"; the trained model of that name, which it hides, is {folder() / name}" if is_hidden else ""
    is_name = len(Path(path).parts) == 1
    return f"; nor is it a trained model: those are {', '.join(pretrained())}" if is_name else ""
