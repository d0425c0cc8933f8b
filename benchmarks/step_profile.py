"""Say where the time of a training step goes.

python -m benchmarks.step_profile

TensorFlow's own profiler watches some steps; here the time of every operation is added up by the part of
the model that it belongs to. Operations of independent parts run side by side, so their times, waiting for
a core included, add up to more than the step takes. They say what weighs most; what would be saved by
leaving something out is less. (TensorBoard shows such a profile of a run: `run_kvae.py --profile`.)
"""

import collections
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
import tyro
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks.report import heading, publish
from benchmarks.training_step import training_step
from kvae.system import device
from kvae.system.command import guarded

COMPILED = "CpuExecutable::ExecuteAsyncOnStream"
"""Event of what XLA compiled. In this step that is the state space model, and nothing else."""

PARTS = (
    ("encoder, convolutions", r"encoder.*Conv2D"),
    ("encoder, the rest", r"encoder"),
    ("decoder, convolutions", r"decoder.*Conv2D"),
    ("decoder, the rest", r"decoder"),
    ("pixels' likelihood", r"Bernoulli|log_prob"),
    ("state space model, compiled", f"^{COMPILED}$"),
    ("optimizer", r"(?i)adam|clip|global_norm"),
)
"""What belongs where, by the first pattern that an operation's name matches; the rest is `other`."""


@dataclass(frozen=True)
class Options:
    """Profile a training step."""

    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Number format of the convolutions."""
    steps: int = 20
    """Steps to profile."""
    batch_size: int = 32
    """Sequences in a batch."""
    num_steps: int = 20
    """Frames in a sequence."""
    top: int = 12
    """How many single operations to show."""


def part_of(operation):
    """Return the part of the model that an operation, named `scope/name:Type`, belongs to."""
    return next((part for part, pattern in PARTS if re.search(pattern, operation)), "other")


def operations(folder):
    """Return the seconds spent in each operation that a profile in a folder has seen.

    Args:
        folder: what `tf.profiler.experimental.start` was given.

    Returns:
        `scope/name:Type`, or `COMPILED`, -> seconds.
    """
    (path,) = Path(folder).rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # Operations are the events called name:Type; other events hold them, and would count twice.
                is_operation = re.fullmatch(r"[^:]+:[^:]+", name) and not name.startswith("EagerLocalExecute")
                if is_operation or name == COMPILED:
                    seconds[name] += event.duration_ps / 1e12
    return seconds


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    shape = (options.batch_size, options.num_steps, 32, 32)
    images = tf.constant(((np.random.default_rng(0).random(shape) < 0.1) * 255).astype(np.uint8))
    step = training_step(options.precision, images, None)
    for _ in range(3):
        step()
    plain = []
    for _ in range(options.steps):
        start = time.perf_counter()
        step()
        plain.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(options.steps):
            step()
        tf.profiler.experimental.stop()
        found = operations(folder)

    parts = collections.Counter()
    for name, seconds in found.items():
        parts[part_of(name)] += seconds
    total, per_step = sum(parts.values()), 1e3 / options.steps
    publish(heading("step_profile", given, ("tensorflow", "keras", "numpy"), device.gpu_names()))
    print(f"Batch {shape}, {options.precision}, {options.steps} steps.")
    print(f"A step takes {1e3 * np.median(plain):.0f} ms (median, not profiled).\n")
    print(f"{'':32}{'ms a step':>10}{'share':>8}")
    for part, seconds in parts.most_common():
        print(f"{part:32}{seconds * per_step:10.1f}{seconds / total:8.1%}")
    print(f"\nThe {options.top} operations that take most:\n")
    for name, seconds in found.most_common(options.top):
        print(f"{seconds * per_step:8.1f} ms  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
