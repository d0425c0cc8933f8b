"""How the commands are called where this program runs, for messages and --help. Imports no TensorFlow."""

import sys
from pathlib import Path

DISTRIBUTION = "kalman-vae"
"""What pip calls the package; `kvae` is another one's name there."""

_ROOT = Path(__file__).resolve().parents[2]

_IN_REPOSITORY = {
    "train": "python run_kvae.py",
    "generate": "python -m simulation.generate",
}
_ANYWHERE = {
    "apply": "python -m kvae.apply",
    "explore": "python -m kvae.explore",
}


def command(name: str) -> str:
    """Return the words that call one of the four commands: those of the user where one says how.

    Args:
        name: train, apply, explore or generate.

    Examples:
        >>> command("apply")
        'python -m kvae.apply'
    """
    if program := _typed():
        return f"{program} {name}"
    own = _ANYWHERE | (_IN_REPOSITORY if is_repository() else {})
    return own.get(name, f"kvae {name}")


def install(extra: str) -> str:
    """Return the command that installs what an extra of this package names."""
    return f'pip install -e ".[{extra}]"' if is_repository() else f'pip install "{DISTRIBUTION}[{extra}]"'


def is_repository() -> bool:
    """Return whether this is the repository, with run_kvae.py and `simulation` beside this package."""
    return (_ROOT / "run_kvae.py").is_file()


def _typed() -> str:
    """Return how the program of all four commands was called; empty: it was not."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None and spec.name == "kvae.__main__":
        return "python -m kvae"
    return "kvae" if Path(next(iter(sys.argv), "")).stem == "kvae" else ""
