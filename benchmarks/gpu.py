"""Measure what a device makes of a training step, of sampling, and of filter and smoother: for a new GPU.

python -m benchmarks.gpu

How long a step compiles and takes, by sequences in a batch and by the side of a frame, in both precisions;
what filling in takes; and the filter and smoother one step after the other against those that run in
parallel in time, by the length of a sequence, which says from where on the latter are worth it
(`kvae.models.lgssm.PARALLEL_FROM`). Without a GPU it measures the processor, and says so.
"""

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tyro

from benchmarks.kalman.candidates import ours, random_problem, tensors
from benchmarks.report import heading, publish
from kvae.config import Config
from kvae.data.masks import planning_mask
from kvae.inference import kalman, kalman_parallel
from kvae.models.kvae import KVAE
from kvae.system import device
from kvae.system.command import guarded

NUM_STEPS = 20
OF_BOX = {"K": 9, "alpha_units": 100, "learn_noise": True, "learn_offset": True}
"""The dynamics that the worlds with a ball start from."""


@dataclass(frozen=True)
class Options:
    """Time training steps, sampling, filter and smoother on one device."""

    batch_sizes: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    """Sequences of 20 frames in a batch, of 32x32 pixels."""
    sides: tuple[int, ...] = (16, 32, 64, 128)
    """Sides of the frames, in batches of the first size."""
    lengths: tuple[int, ...] = (20, 50, 100, 300, 1000, 3000)
    """Steps of the sequences that are filtered and smoothed, 32 at once."""
    num_paths: int = 1000
    """Paths of hidden codes that sampling follows."""
    repeats: int = 10
    """How often each is timed, after a first time that compiles."""
    gpu: str = ""
    """As for `run_kvae.py`: empty is whatever is there, `cpu` the processor."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def timed(run, repeats):
    """Return the seconds of a first call, and the median of `repeats` others."""
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[0], statistics.median(seconds[1:])


def frames(batch_size, side):
    """Return random frames [batch_size, 20, side, side], black and white."""
    shape = (batch_size, NUM_STEPS, side, side)
    return tf.constant(((np.random.default_rng(0).random(shape) < 0.1) * 255).astype(np.uint8))


def built(precision, images):
    """Return a new model of such frames, compiled."""
    model = KVAE(Config(**OF_BOX, precision=precision))
    model.build(images.shape)
    model.compile()
    model.optimizer.build(model.trainable_variables)
    return model


def training_step(precision, images):
    """Return a function that takes a training step, as training compiles it, and waits for its end."""
    model = built(precision, images)
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)
    return lambda: float(step({"images": images})["total"])


def sampling(images, num_paths):
    """Return a function that fills in 12 hidden frames of each sequence."""
    model, mask = built("float32", images), planning_mask(len(images), NUM_STEPS, 4, 12)
    return lambda: model.impute(images, mask, num_paths=num_paths, seed=0).images.numpy()


def smoother(module, length):
    """Return a function that filters and smooths 32 sequences, each with models of its own."""
    problem = tensors(random_problem(32, length, 4, 2))
    smooth = tf.function(ours(module)["smoother"], jit_compile=True, autograph=False)
    return lambda: [tensor.numpy() for tensor in tf.nest.flatten(smooth(problem))]


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    device.select(options.gpu)
    gpus = device.gpu_names()
    lines = [*heading("gpu", given, ("tensorflow", "keras", "numpy"), gpus), ""]
    if not gpus:
        lines += ["There is no GPU here: these are times of the processor.", ""]
    for table in (_steps, _smoothers):
        lines += [*table(options), ""]
    publish(lines[:-1], options.output)
    return 0


def _steps(options):
    """Return a table of training steps, and of sampling, by batch and by frame."""
    lines = [
        f"A training step, its first call (it compiles) and the median of {options.repeats} others; and "
        f"filling in 12 hidden frames by {options.num_paths} paths, in float32.",
        "",
        f"{'':24}{'float32':^26}{'bfloat16':^26}{'sampling':>14}",
        f"{'batch':24}" + f"{'first, s':>10}{'ms':>8}{'/ seq.':>8}" * 2 + f"{'ms / seq.':>14}",
    ]
    first = options.batch_sizes[0]
    sizes = [*((size, 32) for size in options.batch_sizes), *((first, side) for side in options.sides)]
    for batch_size, side in dict.fromkeys(sizes):
        images = frames(batch_size, side)
        cells = ""
        for precision in ("float32", "bfloat16"):
            compiling, step = timed(training_step(precision, images), options.repeats)
            cells += f"{compiling:10.1f}{1e3 * step:8.1f}{1e3 * step / batch_size:8.2f}"
        _, filling = timed(sampling(images, options.num_paths), options.repeats)
        lines.append(
            f"{f'{batch_size} x {NUM_STEPS} x {side}x{side}':24}{cells}{1e3 * filling / batch_size:14.1f}"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def _smoothers(options):
    """Return a table of filter and smoother by the length of the sequences."""
    lines = [
        "Filter and smoother of 32 sequences, one step after the other and in parallel in time, ms.",
        "",
        f"{'steps':>8}{'sequential':>14}{'parallel':>14}{'ratio':>8}",
    ]
    for length in options.lengths:
        one, other = (timed(smoother(m, length), options.repeats)[1] for m in (kalman, kalman_parallel))
        lines.append(f"{length:8}{1e3 * one:14.1f}{1e3 * other:14.1f}{other / one:8.2f}")
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


if __name__ == "__main__":
    sys.exit(main())
