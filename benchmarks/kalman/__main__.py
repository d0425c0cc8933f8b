"""Time the Kalman filters and smoothers of this project, TensorFlow Probability and dynamax.

python -m benchmarks.kalman --dynamax_env DIR --output_dir results/kalman
python -m benchmarks.kalman --dynamax_env DIR --output_dir results/kalman/one_model --one_model

All get the same problem, every step observed (dynamax knows no missing ones); by default A and C are others
in every sequence and step, as the KVAE has them.
Before anything is timed, everybody's results are compared with our sequential filter's in float64; at
the shortest length a disagreement ends the program. Then all run in turn, so that what else the machine
does falls on all alike.
"""

import concurrent.futures
import importlib.metadata
import multiprocessing
import os
import shlex
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from benchmarks.kalman.dynamax_client import dynamax_python, dynamax_versions
from benchmarks.kalman.measure import Options, benchmark
from benchmarks.kalman.report import figure_of, report_of
from kvae.plots.canvas import save_png
from kvae.system.command import guarded
from kvae.system.files import replacing


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    packages = ("tensorflow", "tensorflow-probability", "numpy")
    versions = {package: importlib.metadata.version(package) for package in packages}
    if options.dynamax_env is not None:
        versions |= dynamax_versions(dynamax_python(options.dynamax_env))
    command = ["python", "-m", "benchmarks.kalman", *(sys.argv[1:] if arguments is None else arguments)]

    def write(table):
        print(f"T = {max(table)} done", file=sys.stderr, flush=True)
        if options.output_dir is not None:
            with replacing(options.output_dir / "kalman.md") as path:
                path.write_text(report_of(table, options, shlex.join(command), versions), encoding="utf-8")
            save_png(options.output_dir / "kalman.png", figure_of(table))

    table = benchmark(options, write, _in_process)
    print(report_of(table, options, shlex.join(command), versions))
    return 0


def _in_process(function, *arguments):
    """Call a function in a process of its own."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


if __name__ == "__main__":
    sys.exit(main())
