"""Check what every candidate returns, and time those that are right, in turn."""

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from benchmarks.kalman.candidates import ours, random_problem, tensorflow_runs, tensors
from benchmarks.kalman.dynamax_client import DynamaxWorker, dynamax_python
from kvae.inference import kalman
from kvae.system.device import use_full_float32

TOLERANCE = 1e-3
"""Largest error of a result, relative to the largest entry of the right one."""


@dataclass(frozen=True)
class Options:
    """Time Kalman filters and smoothers against the length of the sequence."""

    lengths: tuple[int, ...] = (10, 30, 100, 300, 1000, 3000, 10000)
    """Steps in a sequence."""
    batch_size: int = 32
    """Sequences in a batch."""
    dim_z: int = 4
    """Dimension of the states."""
    dim_y: int = 2
    """Dimension of the observations."""
    one_model: bool = False
    """The same A and C in all sequences and steps, and dynamax is told so; else others in each."""
    min_runs: int = 3
    """How often each is timed at least."""
    max_runs: int = 50
    """How often each is timed at most."""
    seconds: float = 3
    """What has run for so long altogether, at one length, is not timed any more."""
    limit: float = 60
    """Leave out what would take longer than this, in seconds, to be compiled and run once, going by the
    length before."""
    dynamax_env: Path | None = None
    """A virtual environment for dynamax, made if there is none; without it, dynamax is left out."""
    output_dir: Path | None = None
    """Where to write the table, kalman.md, and the figure, kalman.png."""


class Measured(NamedTuple):
    """What was measured of one candidate, task and length.

    Attributes:
        first: seconds of the first call, with tracing and compiling; NaN if it was left out.
        error: the results' largest error, as `error_of` defines it.
        seconds: of the later calls; empty if the results were wrong.
    """

    first: float = float("nan")
    error: float = float("nan")
    seconds: tuple[float, ...] = ()


def error_of(found, expected):
    """Return the largest error, relative to the largest entry that is expected, over several arrays."""
    errors = [
        np.abs(np.asarray(array) - right).max() / np.abs(right).max()
        for array, right in zip(found, expected, strict=True)
    ]
    return float(np.max(errors))


def measure(runs, expected, left_out, options):
    """Run each candidate once, check what it returns, and time the right ones in turn.

    Args:
        runs: {(candidate, task): run}. A run that raises TimeoutError is left out from then on.
        expected: {task: arrays}.
        left_out: keys of `runs` that are not to be run.
        options: the `Options`.

    Returns:
        {(candidate, task): Measured}.
    """
    measured = {}
    for key, run in runs.items():
        if key in left_out:
            measured[key] = Measured()
            continue
        try:
            first, results = run()
        except TimeoutError:
            measured[key] = Measured()
            continue
        measured[key] = Measured(first, error_of(results, expected[key[1]]))
        del results
    seconds = {key: [] for key, found in measured.items() if found.error <= TOLERANCE}
    for count in range(options.max_runs):
        for key, times in list(seconds.items()):
            if count < options.min_runs or sum(times) < options.seconds:
                try:
                    times.append(runs[key]()[0])
                except TimeoutError:
                    del seconds[key]
                    measured[key] = Measured()
    return measured | {key: measured[key]._replace(seconds=tuple(times)) for key, times in seconds.items()}


def forecast(cells):
    """Return the seconds of the next length's first call, if it grows by the factor by which it grew last.

    NaN, which is less than no limit, for what was left out: it stays out.

    Args:
        cells: `Measured` of a candidate and task at the lengths so far.
    """
    last, before = cells[-1].first, cells[-2].first if len(cells) > 1 else cells[-1].first
    return last * np.maximum(1, last / before)


def benchmark(options, report, in_process):
    """Measure all candidates at all lengths.

    Args:
        options: the `Options`.
        report: called with the table so far after each length.
        in_process: calls `at_length`, with all its arguments. Every length is to have a process of its own:
            what XLA has compiled is never freed, and at last no more memory can be mapped.

    Returns:
        {length: {(candidate, task): Measured}}.

    Raises:
        RuntimeError: If a candidate's results are wrong at the shortest length.
    """
    table = {}
    for length in sorted(options.lengths):
        left_out = set()
        if table:
            forecasts = {key: forecast([found[key] for found in table.values()]) for key in table[min(table)]}
            left_out = {key for key, seconds in forecasts.items() if not seconds < options.limit}
        found = in_process(at_length, options, length, left_out)
        wrong = {key: cell.error for key, cell in found.items() if not np.isnan(cell.first)}
        wrong = {key: error for key, error in wrong.items() if not error <= TOLERANCE}
        if wrong and not table:
            raise RuntimeError(f"At {length} steps these disagree, by so much: {wrong}")
        table[length] = found
        report(table)
    return table


def at_length(options, length, left_out):
    """Measure all candidates at one length; return {(candidate, task): Measured}.

    Args:
        options: the `Options`.
        length: steps in a sequence.
        left_out: keys of the result that are not to be measured.
    """
    tf.get_logger().setLevel("ERROR")  # Candidates are traced more than once, on purpose.
    # Ours multiplies no matrices by a GPU's matrix units; the others do, and are to be as exact.
    use_full_float32()
    problem = random_problem(options.batch_size, length, options.dim_z, options.dim_y, options.one_model)
    expected = {
        task: [tensor.numpy() for tensor in tf.function(function)(tensors(problem, tf.float64))]
        for task, function in ours(kalman).items()
    }
    runs = tensorflow_runs(problem)
    with contextlib.ExitStack() as stack:
        if options.dynamax_env is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            worker = DynamaxWorker(dynamax_python(options.dynamax_env), 2 * options.limit)
            stack.callback(worker.close)
            runs |= worker.runs(problem, folder, options.one_model)
        return measure(runs, expected, left_out, options)
