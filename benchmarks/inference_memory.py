"""Measure how much memory the methods of a model take, and how that grows with the sequences they are given.

python -m benchmarks.inference_memory --run_folder pretrained/box

Each method is called once on a few sequences and once on many, in a process of its own; what is told is the
most memory that process ever had, results included, and the time of the larger call.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tyro

from benchmarks import processes
from benchmarks.report import heading, publish
from kvae.system.command import guarded

NUM_STEPS, NUM_HIDDEN = 20, 12
METHODS = ("smooth", "filter", "elbo", "impute", "generate", "sample")


@dataclass(frozen=True)
class Options:
    """Measure the memory of a model's methods on few sequences and on many."""

    run_folder: Path = Path("pretrained/box")
    """A run folder of run_kvae.py."""
    num_sequences: int = 5000
    """Sequences of 20 frames given to one call."""
    methods: tuple[str, ...] = METHODS
    """Methods to call."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def measure(run_folder, method, num_sequences):
    """Call a method; return the most memory that this process ever had, the seconds and the result's size."""
    import tensorflow as tf

    import kvae

    model = kvae.load(run_folder)
    height, width = model.frame_shape
    frame = np.random.default_rng(0).integers(0, 2, [1, NUM_STEPS, height, width]).astype(np.uint8) * 255
    mask = kvae.masks.planning_mask(1, NUM_STEPS, 4, NUM_HIDDEN)

    def call(count):
        if method == "sample":
            return model.sample(count, NUM_STEPS, seed=0)
        images, observed = np.repeat(frame, count, 0), np.repeat(mask, count, 0)
        if method == "generate":
            return model.generate(images, NUM_STEPS, seed=0)
        return getattr(model, method)(images, observed, seed=0)

    call(2)
    start = time.perf_counter()
    found = call(num_sequences)
    seconds = time.perf_counter() - start
    size = sum(tensor.numpy().nbytes for tensor in tf.nest.flatten(found) if tensor is not None)
    return processes.peak_megabytes(), seconds, size / 2**20


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    lines = [
        *heading("inference_memory", given, ("tensorflow",)),
        f"Peak memory of one call on sequences of {NUM_STEPS} frames, {NUM_HIDDEN} of them hidden, MB.",
        "",
        f"{'method':10}{'10 sequences':>16}{options.num_sequences:>12,}{'its result':>14}{'seconds':>10}",
    ]
    for method in options.methods:
        few, _, _ = processes.in_its_own(measure, options.run_folder, method, 10)
        call = (options.run_folder, method, options.num_sequences)
        many, seconds, size = processes.in_its_own(measure, *call)
        lines.append(f"{method:10}{few:16.0f}{many:12.0f}{size:14.0f}{seconds:10.1f}")
        print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
