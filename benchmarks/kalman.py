"""Time the Kalman filters and smoothers of this project, TensorFlow Probability and dynamax.

python -m benchmarks.kalman --dynamax_env DIR --output_dir results/kalman

All get the same problem: time-varying A and C, every step observed (dynamax knows no missing ones).
Before anything is timed, everybody's results are compared with our sequential filter's in float64; at
the shortest length a disagreement ends the program. Then all run in turn, so that what else the machine
does falls on all alike.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
import tyro
from matplotlib.figure import Figure

from kvae import kalman, kalman_parallel
from kvae.files import replacing
from kvae.plots import save_png

tfd = tfp.distributions

DYNAMAX = ["dynamax==1.0.3", "jax==0.10.2", "jaxlib==0.10.2"]
"""What is installed into the environment of dynamax."""

TASKS = ("log-likelihood", "smoother", "gradient")

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


class Problem(NamedTuple):
    """The arguments of `kalman.filter`."""

    y: tf.Tensor
    mask: tf.Tensor
    A: tf.Tensor
    B: tf.Tensor
    C: tf.Tensor
    Q: tf.Tensor
    R: tf.Tensor
    mu0: tf.Tensor
    Sigma0: tf.Tensor
    u: tf.Tensor


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


def random_problem(batch_size, num_steps, dim_z, dim_y, seed=0):
    """Draw a stable model with noise of ordinary size, and observations from it, in float64 numpy arrays."""
    rng = np.random.default_rng(seed)
    A = 0.95 * np.linalg.qr(rng.normal(size=[batch_size, num_steps, dim_z, dim_z]))[0]
    C = rng.normal(size=[batch_size, num_steps, dim_y, dim_z])
    z = rng.normal(size=[batch_size, dim_z])
    y = np.empty([batch_size, num_steps, dim_y])
    for t in range(num_steps):
        if t:
            z = np.einsum("bij,bj->bi", A[:, t], z) + 0.3 * rng.normal(size=z.shape)
        y[:, t] = np.einsum("bij,bj->bi", C[:, t], z) + 0.3 * rng.normal(size=[batch_size, dim_y])
    return Problem(
        y=y,
        mask=np.ones([batch_size, num_steps]),
        A=A,
        B=np.zeros([batch_size, num_steps, dim_z, 1]),
        C=C,
        Q=0.09 * np.eye(dim_z),
        R=0.09 * np.eye(dim_y),
        mu0=np.zeros([dim_z]),
        Sigma0=np.eye(dim_z),
        u=np.zeros([batch_size, num_steps, 1]),
    )


def tensors(problem, dtype=tf.float32):
    """Return a problem of arrays as one of tensors."""
    return Problem(*(tf.constant(array, dtype) for array in problem))


# Candidates. Each is a dictionary of up to three functions from a `Problem` to a tuple of tensors:
# the log-likelihood of each sequence [B]; the smoothed means and covariances; the gradient of the summed
# log-likelihood with respect to y and A.


def with_gradient(log_likelihood, smoother):
    """Return the tasks of a candidate from its log-likelihood and its smoother."""

    def gradient(problem):
        with tf.GradientTape() as tape:
            tape.watch([problem.y, problem.A])
            total = tf.reduce_sum(log_likelihood(problem))
        return tuple(tape.gradient(total, [problem.y, problem.A]))

    return {
        "log-likelihood": lambda problem: (log_likelihood(problem),),
        "smoother": smoother,
        "gradient": gradient,
    }


def ours(module):
    """Return the tasks of `kalman` or `kalman_parallel`."""

    def log_likelihood(problem):
        return tf.reduce_sum(module.filter(*problem).log_likelihood, axis=1)

    def smoother(problem):
        smoothed = module.smooth(*problem)
        return smoothed.smoothed_mean, smoothed.smoothed_cov

    return with_gradient(log_likelihood, smoother)


def time_first(tensor):
    """Turn [B, T, ...] into [T, B, ...]."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def tfp_state_space_model():
    """Return the tasks of `LinearGaussianStateSpaceModel`, its time-varying matrices given as callables."""

    def model(problem):
        # A transition of TFP's leads out of the step whose number it has.
        A, C = time_first(kalman.next_step(problem.A)), time_first(problem.C)
        return tfd.LinearGaussianStateSpaceModel(
            num_timesteps=problem.y.shape[1],
            transition_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(tf.gather(A, t)),
            transition_noise=noise(problem.Q),
            observation_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(tf.gather(C, t)),
            observation_noise=noise(problem.R),
            initial_state_prior=tfd.MultivariateNormalTriL(problem.mu0, tf.linalg.cholesky(problem.Sigma0)),
        )

    def noise(cov):
        return tfd.MultivariateNormalTriL(tf.zeros_like(cov[0]), tf.linalg.cholesky(cov))

    return with_gradient(
        lambda problem: model(problem).log_prob(problem.y),
        lambda problem: model(problem).posterior_marginals(problem.y),
    )


def tfp_parallel_filter():
    """Return the only task of TFP's parallel filter: it has no smoother, and its gradient is wrong.

    In TFP 0.25 the backward pass of `tfp.math.hpsd_quadratic_form_solve`, with which the filter makes its
    elements, takes the gradient that comes in for a symmetric matrix, and here it is none.
    """

    def log_likelihood(problem):
        num_steps = problem.y.shape[1]

        def every_step(tensor):
            return tf.broadcast_to(tensor, [num_steps, *tensor.shape])

        results = tfp.experimental.parallel_filter.kalman_filter(
            transition_matrix=time_first(kalman.next_step(problem.A)),
            transition_mean=every_step(tf.zeros_like(problem.mu0)),
            transition_cov=every_step(problem.Q),
            observation_matrix=time_first(problem.C),
            observation_mean=every_step(tf.zeros_like(problem.R[0])),
            observation_cov=every_step(problem.R),
            initial_mean=problem.mu0,
            initial_cov=problem.Sigma0,
            y=time_first(problem.y),
            mask=None,
        )
        return tf.reduce_sum(results.log_likelihoods, axis=0)

    return {"log-likelihood": lambda problem: (log_likelihood(problem),)}


TENSORFLOW = {
    "ours, sequential": lambda: ours(kalman),
    "ours, parallel": lambda: ours(kalman_parallel),
    "TFP, sequential": tfp_state_space_model,
    "TFP, parallel": tfp_parallel_filter,
}


def tensorflow_runs(problem):
    """Return {(candidate, task): run}, plain and compiled; `run()` returns seconds and arrays."""
    problem = tensors(problem)
    runs = {}
    for name, tasks in TENSORFLOW.items():
        for suffix, compiled in (("", None), (", XLA", True)):
            for task, function in tasks().items():
                # The arrays are arguments: constants would be folded, their transposes among them.
                runs[name + suffix, task] = timed(tf.function(function, jit_compile=compiled), problem)
    return runs


def timed(function, problem):
    """Return a function that calls `function(problem)` and returns the seconds it took and its arrays."""

    def run():
        start = time.perf_counter()
        results = function(problem)
        # On a GPU, calls return before they are done.
        tf.test.experimental.sync_devices()
        return time.perf_counter() - start, results

    return run


class DynamaxWorker:
    """`dynamax_worker.py`, running on the interpreter of another virtual environment.

    Attributes:
        versions: name to version of its packages.
    """

    def __init__(self, python):
        worker = Path(__file__).with_name("dynamax_worker.py")
        self._process = subprocess.Popen(
            [python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.versions = self._ask(do="versions")["versions"]

    def runs(self, problem, folder):
        """Return what `tensorflow_runs` does; arrays are exchanged as files in `folder`."""
        arrays = {name: np.float32(array) for name, array in problem._asdict().items()}
        np.savez(folder / "problem.npz", **arrays)
        self._ask(do="load", problem=str(folder / "problem.npz"))
        return {
            (f"dynamax, {candidate}", task): self._run(candidate, task, folder / "results.npz")
            for candidate in ("sequential", "parallel")
            for task in TASKS
        }

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _run(self, candidate, task, keep):
        is_first = True

        def run():
            nonlocal is_first
            path = str(keep) if is_first else None
            seconds = self._ask(do="run", candidate=candidate, task=task, keep=path)["seconds"]
            if not is_first:
                return seconds, ()
            is_first = False
            with np.load(keep) as arrays:
                return seconds, [arrays[name] for name in arrays.files]

        return run

    def _ask(self, **request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("The dynamax worker ended; what it said is above.")
        return json.loads(answer)


def dynamax_python(folder):
    """Return the interpreter of the environment in `folder`, which is made if there is none."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *DYNAMAX], check=True)
    return python


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
        runs: {(candidate, task): run}.
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
        first, results = run()
        measured[key] = Measured(first, error_of(results, expected[key[1]]))
        del results
    seconds = {key: [] for key, found in measured.items() if found.error <= TOLERANCE}
    for count in range(options.max_runs):
        for key, times in seconds.items():
            if count < options.min_runs or sum(times) < options.seconds:
                times.append(runs[key]()[0])
    return measured | {key: measured[key]._replace(seconds=tuple(times)) for key, times in seconds.items()}


def forecast(cells):
    """Return the seconds of the next length's first call, if it grows by the factor by which it grew last.

    NaN, which is less than no limit, for what was left out: it stays out.

    Args:
        cells: `Measured` of a candidate and task at the lengths so far.
    """
    last, before = cells[-1].first, cells[-2].first if len(cells) > 1 else cells[-1].first
    return last * np.maximum(1, last / before)


def benchmark(options, report, worker=None):
    """Measure all candidates at all lengths.

    Args:
        options: the `Options`.
        report: called with the table so far after each length.
        worker: a `DynamaxWorker`, or None.

    Returns:
        {length: {(candidate, task): Measured}}.

    Raises:
        RuntimeError: If a candidate's results are wrong at the shortest length.
    """
    table = {}
    for length in sorted(options.lengths):
        problem = random_problem(options.batch_size, length, options.dim_z, options.dim_y)
        reference = ours(kalman)
        expected = {
            task: [tensor.numpy() for tensor in tf.function(function)(tensors(problem, tf.float64))]
            for task, function in reference.items()
        }
        with tempfile.TemporaryDirectory() as folder:
            runs = tensorflow_runs(problem)
            if worker is not None:
                runs |= worker.runs(problem, Path(folder))
            left_out = set()
            if table:
                forecasts = {key: forecast([found[key] for found in table.values()]) for key in runs}
                left_out = {key for key, seconds in forecasts.items() if not seconds < options.limit}
            found = measure(runs, expected, left_out, options)
        wrong = {key: cell.error for key, cell in found.items() if not np.isnan(cell.first)}
        wrong = {key: error for key, error in wrong.items() if not error <= TOLERANCE}
        if wrong and not table:
            raise RuntimeError(f"At {length} steps these disagree, by so much: {wrong}")
        table[length] = found
        report(table)
    return table


def cell_text(cell):
    """Return median and quartiles in milliseconds, or why there are none."""
    if np.isnan(cell.first):
        return "-"
    if not cell.seconds:
        return f"wrong by {cell.error:.0e}"
    low, middle, high = (f"{1e3 * s:.3g}" for s in np.percentile(cell.seconds, [25, 50, 75]))
    return f"{_plain(middle)} ({_plain(low)} - {_plain(high)})"


def _plain(number):
    """Write a number of three digits without an exponent."""
    return f"{float(number):.0f}" if float(number) >= 100 else number


def first_call_text(cell):
    """Return the seconds of the first call, or a dash."""
    return "-" if np.isnan(cell.first) else f"{cell.first:.2g}"


def markdown(table, text):
    """Return the table as Markdown, a row for each task and candidate, a column for each length.

    Args:
        table: what `benchmark` returns.
        text: a function from a `Measured` to what stands in its cell.
    """
    lengths = list(table)
    rows = [["", *(f"T = {length}" for length in lengths)]]
    for task in TASKS:
        rows.append([f"**{task}**", *[""] * len(lengths)])
        for key in table[lengths[0]]:
            if key[1] == task:
                rows.append([key[0], *(text(table[length][key]) for length in lengths)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(lengths) + 1)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def figure_of(table):
    """Plot the medians against the length, a panel for each task."""
    colours = {
        "ours, sequential": "#0072B2",
        "ours, parallel": "#56B4E9",
        "TFP, sequential": "#D55E00",
        "TFP, parallel": "#E69F00",
        "dynamax, sequential": "#009E73",
        "dynamax, parallel": "#CC79A7",
    }
    lengths = list(table)
    figure = Figure(figsize=(12.5, 4.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharex=True, sharey=True)
    handles = {}
    for axes, task in zip(panels, TASKS, strict=True):
        for name, of_task in table[lengths[0]]:
            if of_task != task:
                continue
            cells = [table[length][name, task].seconds for length in lengths]
            medians = [1e3 * np.median(seconds) if seconds else np.nan for seconds in cells]
            (handles[name],) = axes.plot(
                lengths,
                medians,
                color=colours[name.removesuffix(", XLA")],
                linestyle="-" if name.endswith("XLA") or name.startswith("dynamax") else "--",
                marker="^" if "parallel" in name else "o",
                markersize=4.5,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(task, fontsize=11)
        axes.set_xlabel("steps $T$")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#EBEBEB", linewidth=0.8)
    panels[0].set_ylabel("milliseconds")
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9.5)
    return figure


def report_of(table, options, command, versions):
    """Return the text of kalman.md."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    notes = [
        f"Batch {options.batch_size}, states of {options.dim_z} dimensions, observations of {options.dim_y}, "
        "float32, time-varying A and C; every step observed, as dynamax knows no missing ones.",
        "The gradient is that of the summed log-likelihood with respect to y and A.",
        f"Everything timed agrees with a float64 filter to {TOLERANCE:g}, relative to the largest entry.",
        f"A dash: left out, as its first call would have taken more than {options.limit:g} s.",
        "TFP's parallel filter has no smoother, and its gradient is wrong in TFP 0.25.",
    ]
    if "dynamax" not in versions:
        notes.append("dynamax was left out: `--dynamax_env` was not given.")
    return "\n".join(
        [
            "# Kalman filters and smoothers\n",
            f"    {command}\n",
            f"{platform.platform()}, {os.cpu_count()} cores, {gpus} GPUs;",
            ", ".join(f"{name} {version}" for name, version in versions.items()) + ".\n",
            *(f"- {note}" for note in notes),
            "\n## Milliseconds: median (quartiles), run in turn\n",
            markdown(table, cell_text),
            "\n## Seconds of the first call, with tracing and compiling\n",
            markdown(table, first_call_text) + "\n",
        ]
    )


def main(arguments=None):
    """Run the benchmark; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    tf.get_logger().setLevel("ERROR")  # Every length is traced anew, on purpose.
    packages = ("tensorflow", "tensorflow-probability", "numpy")
    versions = {package: importlib.metadata.version(package) for package in packages}
    command = ["python", "-m", "benchmarks.kalman", *(sys.argv[1:] if arguments is None else arguments)]

    def write(table):
        print(f"T = {max(table)} done", file=sys.stderr, flush=True)
        if options.output_dir is not None:
            with replacing(options.output_dir / "kalman.md") as path:
                path.write_text(report_of(table, options, shlex.join(command), versions), encoding="utf-8")
            save_png(options.output_dir / "kalman.png", figure_of(table))

    with contextlib.ExitStack() as stack:
        worker = None
        if options.dynamax_env is not None:
            worker = DynamaxWorker(dynamax_python(options.dynamax_env))
            stack.callback(worker.close)
            versions |= worker.versions
        table = benchmark(options, write, worker)
    print(report_of(table, options, shlex.join(command), versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
