"""Time what a newcomer does first: from each command to what it is for.

python -m benchmarks.first_minutes

The commands are those of the first pages, on a trained model that comes along, in their own processes; what
they write goes into a folder that is removed. The yardstick is importing TensorFlow, as all but `--help` do.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro

from benchmarks.report import heading, publish
from kvae.system.command import guarded
from simulation import make_world

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Options:
    """Time the commands that a newcomer gives first."""

    run_folder: Path = Path("pretrained/box")
    """A run folder of run_kvae.py whose frames are 32x32."""
    output: Path | None = None
    """A file for the report, which is printed too."""


class Command(NamedTuple):
    """A command, and what is waited for.

    Attributes:
        words: its command line, after `python`.
        milestones: label -> a part of the line of its standard output that says so; an empty part: its end.
        is_endless: it is stopped after the last milestone.
    """

    words: Sequence[str]
    milestones: dict[str, str]
    is_endless: bool = False


class CommandError(RuntimeError):
    """A command failed or never said what was waited for; its own words stand above."""


def commands_for(run_folder, folder):
    """Return the commands by name; `folder`, where they are given, gets a clip."""
    clip = make_world("box").sample_sequence(np.random.default_rng(0), 20).images[0]
    np.save(folder / "clip.npy", clip)
    program, run_folder = str(ROOT / "run_kvae.py"), str(run_folder)
    asked = "clip.npy --hide 8-15 --continue 40".split()
    found = {
        "import tensorflow": Command(["-c", "import tensorflow"], {"imported": ""}),
        "run_kvae.py --help": Command([program, "--help"], {"shown": ""}),
        "run_kvae.py --reload_model": Command(
            [program, "--reload_model", run_folder],
            {"films and plots": "Films and plots are in", "curves over the whole test set": ""},
        ),
        "kvae.apply": Command(
            ["-m", "kvae.apply", run_folder, *asked], {"a clip of 20 frames filled in and continued": ""}
        ),
    }
    if importlib.util.find_spec("gradio"):
        words = ["-m", "kvae.explore", run_folder, "--browser", "False"]
        found["kvae.explore"] = Command(words, {"page": "Explore on http"}, is_endless=True)
    return found


def measure(command, folder):
    """Run a command in a folder; return the seconds from its start to each of its milestones.

    Raises:
        CommandError: it failed, or ended without having said what was waited for.
    """
    seconds = {}
    waiting = dict(command.milestones)
    environment = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONPATH=str(ROOT))
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command.words], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stdout:
                for label, part in list(waiting.items()):
                    if part and part in line:
                        seconds[label] = time.perf_counter() - start
                        del waiting[label]
                if command.is_endless and not waiting:
                    process.terminate()
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code and not (command.is_endless and code in (-signal.SIGTERM, 128 + signal.SIGTERM)):
        raise CommandError(f"{' '.join(command.words)} ended with exit code {code}")
    for label in [label for label, part in waiting.items() if not part]:
        seconds[label] = time.perf_counter() - start
        del waiting[label]
    if waiting:
        raise CommandError(f"{' '.join(command.words)} never said {', '.join(waiting.values())!r}")
    return seconds


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    run_folder = options.run_folder.absolute()
    lines = [
        *heading("first_minutes", given, ("tensorflow",)),
        "",
        f"{'command':<30}{'to':<46}{'seconds':>8}{'imports':>9}",
    ]
    try:
        with tempfile.TemporaryDirectory() as folder:
            yardstick = None
            for name, command in commands_for(run_folder, Path(folder)).items():
                for label, seconds in measure(command, folder).items():
                    yardstick = yardstick or seconds
                    lines.append(f"{name:<30}{label:<46}{seconds:8.1f}{seconds / yardstick:9.1f}")
    except CommandError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if "kvae.explore" not in "".join(lines):
        lines += ["", "Without kvae.explore: Gradio is not installed."]
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
