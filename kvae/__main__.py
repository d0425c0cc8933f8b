"""The program `kvae`: all commands of an installed package under one name; also `python -m kvae`.

Of a command it imports nothing before that is called, so that `kvae --version` is quick.
"""

import difflib
import importlib
import os
import sys
from collections.abc import Sequence

import kvae
from kvae.system import command

_COMMANDS = {
    "train": ("kvae.commands.train", "train a model on videos, and show what it has learned"),
    "apply": ("kvae.apply.__main__", "fill in hidden frames of a clip, and imagine how it goes on"),
    "explore": ("kvae.explore.__main__", "a page in the browser: hide frames, see how they are filled in"),
    "generate": ("kvae.simulation.generate", "simulate a world into dataset files"),
}
"""Modules whose `main` takes the arguments, and what that does."""


def program() -> int:
    """Run the command of this process; return its exit code."""
    command.begin()
    return main(sys.argv[1:])


def main(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names; return its exit code, see `kvae.system.command`."""
    name = next(iter(arguments), "")
    if name not in _COMMANDS:
        return command.run(lambda signals: _without_command(name))
    # Worlds of one's own, MODULE:NAME, are in this folder. Last, so that nothing there hides a package.
    if not {"", os.getcwd()} & {*sys.path}:
        sys.path.append(os.getcwd())
    module, _ = _COMMANDS[name]
    return importlib.import_module(module).main(arguments[1:])


def _without_command(name: str) -> int:
    """Answer what names no command; return the exit code."""
    if name == "--version":
        print(f"kvae {kvae.__version__}")
        return 0
    if name in ("-h", "--help"):
        print(_help())
        return 0
    close = difflib.get_close_matches(name, _COMMANDS, n=1)
    suggestion = f" Did you mean {close[0]}?" if close else ""
    what = f"There is no command {name!r}.{suggestion}" if name else "Say which command."
    print(f"{_help()}\n\nError: {what}", file=sys.stderr)
    return 2


def _help() -> str:
    commands = "\n".join(f"  {name:11}{what}" for name, (_, what) in _COMMANDS.items())
    return f"""usage: kvae COMMAND [OPTIONS]

The Kalman variational auto-encoder: it learns from videos how things move, and fills in what is hidden.

{commands}

  --version  print the version
  --help     print this; of a command, its options: kvae train --help"""


if __name__ == "__main__":
    sys.exit(program())
