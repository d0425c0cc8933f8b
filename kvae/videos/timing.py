"""Frames at uneven times put on an even grid, on which steps without a frame are missing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvae.videos.errors import VideoError

_LARGEST_GROWTH = 20
"""How many times more frames than there are the grid may have, before it is taken for damage."""

_NEAR = 1.4
"""Factor between intervals that are meant to be the same."""


_MOST_STEPS = 10
"""In an interval whose steps can be counted without knowing the step exactly."""


class Grid(NamedTuple):
    """Which frame stands at each of G even steps.

    Attributes:
        frames: [G], the number of the step's frame, in order; -1: it is missing. The first and the last are
            there.
        following: [G], the number of the frame that is there next, the step's own where it has one: what was
            done on the way into that frame was done in all the steps before it that are missing.
        dropped: frames that another one, nearer to the step, takes the place of.
    """

    frames: NDArray[np.int64]
    following: NDArray[np.int64]
    dropped: int = 0

    @classmethod
    def of(cls, places: ArrayLike, chosen: ArrayLike | None = None, dropped: int = 0) -> "Grid":
        """Return the grid of frames at places that increase.

        Args:
            places: steps from any start.
            chosen: the numbers of the frames; by default all, from 0 on.
            dropped: as the attribute.
        """
        steps = np.asarray(places, np.int64)
        steps = steps - steps[0]
        numbers = np.arange(len(steps)) if chosen is None else np.asarray(chosen, np.int64)
        frames = np.full(steps[-1] + 1, -1, np.int64)
        frames[steps] = numbers
        return cls(frames, np.repeat(numbers, np.diff(steps, prepend=-1)), dropped)

    @property
    def num_missing(self) -> int:
        """Steps without a frame."""
        return int((self.frames < 0).sum())


def step_of(times: Sequence[NDArray[np.float64]]) -> float:
    """Return the step of clips by their median interval; 0 where there is none.

    An interval near a small multiple of the median is so many steps; the step is the mean over those, which
    does not drift where times are rounded, or jitter.

    Args:
        times: of each clip, when its frames were taken.
    """
    intervals = np.concatenate([np.diff(part) for part in times])
    if not len(intervals):
        return 0.0
    common = float(np.median(intervals))
    counts = np.rint(intervals / common)
    near = (counts >= 1) & (counts <= _MOST_STEPS)
    return float(intervals[near].sum() / counts[near].sum())


def on_grid(name: str, times: NDArray[np.float64], step: float, seen: NDArray | None = None) -> Grid:
    """Return the grid of frames at times that increase; of those that fall into one step the nearest stays.

    Args:
        name: what messages call the clip.
        times: [T], when each frame was taken.
        step: of the grid, which begins at the first frame.
        seen: [T], 0 where a frame is missing itself, and gives way; None: all are there.

    Raises:
        VideoError: the gaps are so long that the grid would be nearly all missing.
    """
    if len(times) < 2 or step <= 0:
        return Grid.of(np.arange(len(times)))
    exact = (times - times[0]) / step
    # As one before the next, so that nothing depends on how halves are rounded.
    places = np.floor(exact + 0.5 + 1e-6)
    _check_growth(name, len(times), float(places[-1]) + 1, step)
    distance = np.abs(exact - places)
    if seen is not None:
        distance = distance + (seen == 0)
    order = np.lexsort((np.arange(len(times)), distance, places))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(places[order]) > 0
    chosen = order[first]
    return Grid.of(places[chosen], chosen, len(times) - len(chosen))


def spaced(name: str, times: Sequence[float], last: float | None = None) -> tuple[Grid, float]:
    """Return the grid of a film, which loses no frame, and its step.

    The step is the mean of the shortest intervals that are common; rounded times do not add up to a drift.

    Args:
        name: what messages call the clip.
        times: when each frame begins, seconds, from any start.
        last: seconds that the last frame is shown; by default one step.

    Raises:
        VideoError: the gaps are so long that the grid would be nearly all missing.
    """
    if len(times) < 2:
        return Grid.of(np.arange(len(times))), 0.0
    start = np.asarray(times, np.float64)
    intervals = np.diff(start)
    if last is not None:
        intervals = np.append(intervals, last)
    intervals = intervals[intervals > 0]
    if not len(intervals):
        return Grid.of(np.arange(len(times))), 0.0
    common = np.quantile(intervals, 0.1, method="higher")
    near = intervals[(intervals > common / _NEAR) & (intervals < common * _NEAR)]
    step = float(near.mean())
    places = [0]
    for time in start[1:]:
        # A frame that comes too early takes the next place; nothing is lost.
        places.append(max(places[-1] + 1, round((time - start[0]) / step)))
    _check_growth(name, len(times), places[-1] + 1, step)
    return Grid.of(places), step


def _check_growth(name: str, count: int, length: float, step: float) -> None:
    if length > _LARGEST_GROWTH * count + 1000:
        raise VideoError(
            f"{name} has {count:,} frames, but with gaps between them that take {length - count:,.0f} more "
            f"at {1 / step:.4g} frames a second: cut it where the gaps are, or give a smaller --rate"
        )
