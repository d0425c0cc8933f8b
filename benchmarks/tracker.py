"""Time `kvae.Tracker`: what a frame costs, early and late in a long video.

python -m benchmarks.tracker --run_folder pretrained/box_gravity

The frames are those of a simulated box with gravity, every tenth missing. The yardstick is filtering all
frames so far anew for every frame, which is what `KVAE.filter` would have to do: here at a length of 100.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.report import heading, publish
from kvae.errors import UserError
from kvae.system.command import guarded

AGAIN = 100
"""Frames that the yardstick filters."""


@dataclass(frozen=True)
class Options:
    """Time Tracker.update."""

    run_folder: Path = Path("pretrained/box_gravity")
    """A run folder of run_kvae.py whose frames are 32x32."""
    num_frames: int = 10_000
    """Length of the video."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def measure(model, frames, num_frames):
    """Return the seconds of each update of a tracker that is shown the frames, over and over."""
    from kvae import Tracker

    tracker, seconds = Tracker(model), []
    tracker.update(frames[0])
    tracker.reset()
    for t in range(num_frames):
        start = time.perf_counter()
        tracker.update(None if t % 10 == 9 else frames[t % len(frames)]).next_image.numpy()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_again(model, frames):
    """Return the median time to filter `AGAIN` frames at once."""
    images = np.resize(frames, [1, AGAIN, *frames.shape[1:]])
    filter_all = _compiled(model)
    filter_all(images)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        filter_all(images).numpy()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _compiled(model):
    import tensorflow as tf

    # With a mask, as frames may be missing.
    mask = tf.ones([1, AGAIN])
    return tf.function(lambda images: model.filter(images, mask).images[:, -1])


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    from kvae import load
    from kvae.system import device
    from simulation import make_world

    try:
        model = load(options.run_folder)
    except (OSError, UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    frames = make_world("box_gravity").sample_sequence(np.random.default_rng(0), 200).images[0]
    seconds = measure(model, frames, options.num_frames)
    lines = [
        *heading("tracker", given, ("tensorflow",), device.gpu_names()),
        "",
        f"{'frames':>16}{'median ms':>12}{'slowest ms':>12}",
    ]
    size = max(1, options.num_frames // 4)
    for first in range(0, options.num_frames, size):
        part = [1e3 * value for value in seconds[first : first + size]]
        label = f"{first + 1}-{first + len(part)}"
        lines.append(f"{label:>16}{statistics.median(part):12.2f}{max(part):12.1f}")
    again = 1e3 * measure_again(model, frames)
    lines += ["", f"Filtering the last {AGAIN} frames at once, for each new one: {again:.1f} ms"]
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
