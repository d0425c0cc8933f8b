"""Time the Kalman filters and smoothers of this project, TensorFlow Probability and dynamax.

python -m benchmarks.kalman --dynamax_env DIR --output_dir results/kalman

All get the same problem: time-varying A and C, every step observed (dynamax knows no missing ones).
Before anything is timed, everybody's results are compared with our sequential filter's in float64; at
the shortest length a disagreement ends the program. Then all run in turn, so that what else the machine
does falls on all alike.
"""

import contextlib
import importlib.metadata
import os
import shlex
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tyro

from benchmarks.kalman.dynamax_client import DynamaxWorker, dynamax_python
from benchmarks.kalman.measure import Options, benchmark
from benchmarks.kalman.report import figure_of, report_of
from kvae.files import replacing
from kvae.plots import save_png


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
            worker = DynamaxWorker(dynamax_python(options.dynamax_env), 2 * options.limit)
            stack.callback(worker.close)
            versions |= worker.versions
        table = benchmark(options, write, worker)
    print(report_of(table, options, shlex.join(command), versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
