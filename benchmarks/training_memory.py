"""Measure how much memory training takes, and how that grows with the data.

python -m benchmarks.training_memory

Data of one size and of ten times that, in one file, which is held in memory, and in shards, of which a
window is. Each is trained on for an epoch by a small model, in a process of its own; what is told is the
most memory that process ever had, and how much more than with hardly any data.
"""

import contextlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tyro

from benchmarks import processes
from benchmarks.report import heading, publish
from kvae.system.command import guarded
from simulation.dataset import generate


@dataclass(frozen=True)
class Options:
    """Measure the memory of training on data of one size and of ten times that."""

    num_train: int = 5000
    """Training sequences of the smaller data."""
    per_shard: int = 500
    """Sequences in a shard."""
    jobs: int = 2
    """Processes that simulate."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def peak_megabytes(folder):
    """Train on the data in a folder for an epoch; return the most memory that this process ever had."""
    import run_kvae
    from kvae.config import Config
    from kvae.system.signals import StopSignals

    small = {"num_filters": (4, 4, 4), "alpha_units": 8, "precision": "float32"}
    config = Config(data_dir=str(folder), log_dir=str(folder / "logs"), num_epochs=1, **small)
    found = []
    with StopSignals() as signals, contextlib.redirect_stdout(sys.stderr):
        run_kvae.run(config, signals, lambda model, epoch: found.append(processes.peak_megabytes()))
    return found[0]


def measure(num_train, shards, jobs):
    """Simulate so many sequences, train on them, and return the peak memory in megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        generate("box", folder, num_train, num_test=32, shards=shards, jobs=jobs, report=lambda file: None)
        return processes.in_its_own(peak_megabytes, Path(folder))


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    sizes = (options.num_train, 10 * options.num_train)
    nothing = measure(64, None, 1)
    lines = [
        *heading("training_memory", given, ("tensorflow",)),
        f"Peak memory of training, MB (above the {nothing:.0f} MB of training on 64 sequences); sequences of "
        "20 frames of 32x32, 20 kB each as held.",
        "",
        f"{'training sequences':32}" + "".join(f"{size:>20,}" for size in sizes),
    ]
    for name, per_file in (("in one file", None), (f"in shards of {options.per_shard}", options.per_shard)):
        cells = []
        for size in sizes:
            peak = measure(size, None if per_file is None else -(-size // per_file), options.jobs)
            cells.append(f"{f'{peak:.0f} (+{peak - nothing:.0f})':>20}")
        lines.append(f"{name:32}" + "".join(cells))
        print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
