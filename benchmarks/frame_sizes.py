"""Measure what frames of one size or another, grey or in colour, take: memory and time for each frame.

python -m benchmarks.frame_sizes

A model with the convolutions that it chooses by itself takes training steps, and smooths, each in a process
of its own. What is told is the processor's time, of all cores together, which other work on the machine
hardly changes: the median, divided by the frames of the batch. And the most memory that the process ever had
above what it had once the model was built, divided likewise.
"""

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tyro

from benchmarks import processes
from benchmarks.report import heading, publish
from kvae.system.command import guarded

NUM_STEPS = 20


@dataclass(frozen=True)
class Options:
    """Measure memory and time for each frame, of sizes and channels."""

    sides: tuple[int, ...] = (32, 64, 128)
    """Sides of the frames, which are square."""
    batch_size: int = 8
    """Sequences of 20 frames in a batch."""
    repeats: int = 5
    """Training steps, and batches that are smoothed, of which the median counts; after a first one."""
    output: Path | None = None
    """A file for the report, which is printed too."""


class Measured(NamedTuple):
    """What one use of a model takes.

    Attributes:
        num_filters: of its convolutions.
        num_weights: of the model.
        milliseconds: of the processor's time, for each frame.
        megabytes: for each frame, above what the process had before.
    """

    num_filters: tuple[int, ...]
    num_weights: int
    milliseconds: float
    megabytes: float


def measure(use, side, channels, batch_size, repeats):
    """Return a `Measured` of one use, `train` or `smooth`."""
    import kvae

    shape = (batch_size, NUM_STEPS, side, side, *[3] * (channels == 3))
    images = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8) * 255
    model = kvae.KVAE()
    model.compile()
    model.build(shape)
    before = processes.peak_megabytes()
    seconds = []
    for _ in range(1 + repeats):
        start = time.process_time()
        if use == "train":
            model.train_on_batch({"images": images})
        else:
            model.smooth(images)
        seconds.append(time.process_time() - start)
    num_frames = batch_size * NUM_STEPS
    return Measured(
        model.config.num_filters,
        model.count_params(),
        # The first was traced.
        1000 * statistics.median(seconds[1:]) / num_frames,
        (processes.peak_megabytes() - before) / num_frames,
    )


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    lines = [
        *heading("frame_sizes", given, ("tensorflow",)),
        f"For each frame, in batches of {options.batch_size} sequences of {NUM_STEPS}, without the first; ms "
        "of the processor's time, all cores together. What TensorFlow takes for itself is counted too.",
        "",
        f"{'':22}{'':14}{'':10}{'training':>20}{'smoothing':>20}",
        f"{'frames':22}{'convolutions':>14}{'weights':>10}" + f"{'ms':>10}{'MB':>10}" * 2,
    ]
    for side in options.sides:
        for channels, kind in ((1, "grey"), (3, "colour")):
            call = (side, channels, options.batch_size, options.repeats)
            train, smooth = (processes.in_its_own(measure, use, *call) for use in ("train", "smooth"))
            lines.append(
                f"{f'{side}x{side} {kind}':22}{len(train.num_filters):14}{train.num_weights:10,}"
                + "".join(f"{use.milliseconds:10.2f}{use.megabytes:10.2f}" for use in (train, smooth))
            )
            print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
