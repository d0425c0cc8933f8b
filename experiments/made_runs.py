"""Runs that an experiment is made of: trained where they are not there, gone on with where they stopped."""

import shlex
import subprocess
import sys
from pathlib import Path

from kvae.errors import UserError

ROOT = Path(__file__).parents[1]


class MadeRunError(UserError):
    """A run could not be made, or is not what was asked for."""


def trained(folder: Path, arguments: list[str]) -> Path:
    """Return the folder of a finished run, after making it or what is left of it.

    Args:
        folder: where the arguments put it.
        arguments: of run_kvae.py.

    Raises:
        MadeRunError: another run is there, or this one failed.
    """
    if folder.exists():
        check_options(folder, arguments)
        if (folder / "evaluation.json").exists():
            return folder
        arguments = ["--resume", str(folder)]
    print(f"python run_kvae.py {shlex.join(arguments)}", flush=True)
    if code := run_kvae(arguments):
        raise MadeRunError(f"run_kvae.py ended with exit code {code}; given again, this command goes on")
    return folder


def run_kvae(arguments: list[str]) -> int:
    """Run the main job in a process of its own; return its exit code."""
    command = [sys.executable, str(ROOT / "run_kvae.py"), *arguments]
    return subprocess.run(command, check=False).returncode


def check_options(folder: Path, arguments: list[str]) -> None:
    """Raise MadeRunError where a run that is there is not the one that was asked for."""
    from kvae.config.all_options import marked
    from kvae.config.command_line import given_options, parse
    from kvae.config.marks import Mark
    from kvae.runs.options import read_options

    found, wanted = read_options(folder), parse(arguments, read_options).to_dict()
    # What was looked at on the way, and where it lies, does not matter.
    ignored = {"dataset"} | marked(Mark.PLACE) | marked(Mark.COMMAND)
    for name in sorted({*given_options(arguments)} - ignored):
        if found.get(name) != wanted[name]:
            raise MadeRunError(
                f"{folder} is there already, with {name} {found.get(name)!r} and not {wanted[name]!r}: "
                "delete it, or name another --log_dir"
            )
