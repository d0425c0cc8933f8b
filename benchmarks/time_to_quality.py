"""Time how long a user waits until the model fills gaps as well as the original code's does in the end.

python -m benchmarks.time_to_quality
python -m benchmarks.time_to_quality --seeds 0 1 -- --dataset box --batch_size 8

Each seed is a run of run_kvae.py in a process and a folder of its own. The clock starts with the process,
so importing, simulating the data, the test bounds and the films on the way all count; the measurement
that is made here after every epoch does not. The yardstick, 0.0209 of the pixels wrong when smoothing over
12 hidden frames of the whole test set of box, is where the original code stands after its 66 minutes.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro

import run_kvae
from benchmarks.report import heading, publish, write
from kvae.config.command_line import parse
from kvae.errors import UserError
from kvae.runs.options import read_options
from kvae.system.signals import StopSignals
from simulation.dataset import dataset_path

DEFAULT = "--dataset box --preset quick"
"""Arguments of run_kvae.py."""


@dataclass(frozen=True)
class Options:
    """Time how long run_kvae.py takes until smoothing has few enough wrong pixels.

    What follows a -- are the arguments of run_kvae.py.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of run_kvae.py, one run for each."""
    target: float = 0.0209
    """Fraction of wrong pixels to reach."""
    hidden: int = 12
    """Hidden frames to smooth over, after the first t_init_mask."""
    output: Path | None = None
    """A file for the report, which is printed too."""


class Point(NamedTuple):
    """A run after one epoch.

    Attributes:
        seconds: since the process started, without the time that measuring took.
        wrong_pixels: smoothing, fraction over the hidden frames of the test set.
    """

    seconds: float
    wrong_pixels: float


class Stopwatch:
    """Measure a model after every epoch, with its own time left out of the clock.

    Args:
        measure: a function from a model to its fraction of wrong pixels.
        started: what `clock` said when the run began.
        clock: a function that tells the time in seconds.

    Attributes:
        points: a `Point` for every epoch.
    """

    def __init__(self, measure, started, clock=time.time):
        self.points = []
        self._measure, self._started, self._clock = measure, started, clock

    def after_epoch(self, model, epoch):
        """Note where the model stands."""
        now = self._clock()
        self.points.append(Point(now - self._started, self._measure(model)))
        self._started += self._clock() - now

    def seconds(self):
        """Return the time since the run began, measuring left out."""
        return self._clock() - self._started


def one_run(arguments, hidden, started):
    """Run run_kvae.py in this process, in a new folder.

    Args:
        arguments: list of strings.
        hidden: frames to smooth over.
        started: `time.time()` when the run began.

    Returns:
        The list of `Point`, and the seconds of the whole command, final evaluation included.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        signals = stack.enter_context(StopSignals())
        places = ["--data_dir", f"{folder}/data", "--log_dir", f"{folder}/logs"]
        config = parse([*places, *arguments], read_options)

        def measure(model):
            from kvae import data, evaluation
            from kvae.data import masks

            test = data.load(dataset_path(config.data_dir, config.dataset, "test"))
            mask = masks.planning_mask(*test.images.shape[:2], config.t_init_mask, hidden)
            (errors,) = evaluation.imputation_errors(model, test, [mask], ("smoothing",))
            return errors["smoothing"].wrong_pixels

        watch = Stopwatch(measure, started)
        run_kvae.run(config, signals, watch.after_epoch)
        return watch.points, watch.seconds()


def report_of(runs, options, given, of_run):
    """Return the lines of the report.

    Args:
        runs: {seed: (points, seconds of the whole command)}.
        options: the `Options`.
        given: the arguments of this program.
        of_run: those of run_kvae.py.
    """
    lines = [
        *heading("time_to_quality", given, ("tensorflow", "keras", "numpy")),
        f"python run_kvae.py {shlex.join(of_run)} --seed S",
        "Seconds since the command was given, and fraction of wrong pixels, smoothing over "
        f"{options.hidden} hidden frames of the whole test set.",
        "",
        "epoch" + "".join(f"{f'seed {seed}':>20}" for seed in runs),
    ]
    for epoch, points in enumerate(zip(*(points for points, _ in runs.values()), strict=True), start=1):
        cells = (f"{f'{point.seconds:.0f} s':>12}{point.wrong_pixels:8.4f}" for point in points)
        lines.append(f"{epoch:5}" + "".join(cells))
    lines.append("")
    for seed, (points, seconds) in runs.items():
        first = next((i for i, point in enumerate(points) if point.wrong_pixels <= options.target), None)
        when = "never" if first is None else f"after {points[first].seconds:.0f} s, in epoch {first + 1}"
        lines.append(f"seed {seed}: {options.target} reached {when}; the whole command took {seconds:.0f} s")
    return lines


def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    own, of_run = given, shlex.split(DEFAULT)
    if "--" in given:
        own, of_run = given[: given.index("--")], given[given.index("--") + 1 :]
    options = tyro.cli(Options, args=own, use_underscores=True)
    commands = {seed: [*of_run, "--seed", str(seed)] for seed in options.seeds}
    runs = {}
    with concurrent.futures.ProcessPoolExecutor(
        max_workers=1, max_tasks_per_child=1, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        for seed, command in commands.items():
            try:
                # Here too, so that a wrong option is told before a process starts.
                parse(command, read_options)
                runs[seed] = pool.submit(one_run, command, options.hidden, time.time()).result()
            except UserError as error:
                print(f"Error: {error}", file=sys.stderr)
                return 2
            report = report_of(runs, options, given, of_run)
            # After every run: they take minutes, and an interruption must not cost those before.
            write(report, options.output)
    publish(report)
    return 0


if __name__ == "__main__":
    # What TensorFlow says about the processor helps nobody; the processes of the runs inherit this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
