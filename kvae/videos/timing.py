"""Frames at uneven times put on an even grid."""

from collections.abc import Sequence

import numpy as np

from kvae.videos.sources import VideoError

_LARGEST_GROWTH = 20
"""How many times more frames than there are the grid may have, before it is taken for damage."""


def repeats(name: str, times: Sequence[float], last: float | None = None) -> tuple[list[int], float]:
    """Return how often each frame is shown on an even grid, each at least once, and the grid's step.

    The step is the mean of the shortest intervals that are common; rounded times do not add up to a drift.

    Args:
        name: what messages call the clip.
        times: when each frame begins, seconds, from any start.
        last: seconds that the last frame is shown; by default one step.

    Raises:
        VideoError: the gaps are so long that the grid would be nearly all repeats.
    """
    if len(times) < 2:
        return [1] * len(times), 0.0
    start = np.asarray(times, np.float64)
    intervals = np.diff(start)
    if last is not None:
        intervals = np.append(intervals, last)
    intervals = intervals[intervals > 0]
    if not len(intervals):
        return [1] * len(times), 0.0
    common = np.quantile(intervals, 0.1, method="higher")
    near = intervals[(intervals > common / 1.4) & (intervals < common * 1.4)]
    step = float(near.mean())
    ends = [*start[1:], start[-1] + (step if last is None else last)]
    counts: list[int] = []
    shown = 0
    for end in ends:
        # A frame that comes too early takes the next place; nothing is lost.
        count = max(1, round((end - start[0]) / step) - shown)
        counts.append(count)
        shown += count
    if shown > _LARGEST_GROWTH * len(counts) + 1000:
        raise VideoError(
            f"{name} has {len(counts):,} frames, but gaps between them that take {shown - len(counts):,} "
            f"repeats at {1 / step:.4g} frames a second: cut it where the gaps are"
        )
    return counts, step
