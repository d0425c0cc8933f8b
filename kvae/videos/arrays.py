"""Videos in files of arrays, .npy, .npz or HDF5, with what else the file says of them."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvae.data import fields
from kvae.data.files import read_arrays, read_headers
from kvae.errors import in_words
from kvae.videos import stills, timing
from kvae.videos.errors import VideoError
from kvae.videos.timing import Grid

KNOWN = ("images", "mask", "controls", "states", "times", "metadata")
"""Arrays that are understood."""


class ArrayVideo(NamedTuple):
    """One video.

    Attributes:
        frames: [T, H, W], or with channels last.
        grid: which of them stands at each step.
        seen: [T], 1 where a frame is there; None: all are.
        controls: [T, M], float32, or int64 where they are classes; or None.
        states: [T, S] float32, or None.
    """

    frames: NDArray
    grid: Grid
    seen: NDArray[np.float32] | None
    controls: NDArray | None
    states: NDArray[np.float32] | None


def videos_of(path: Path, rate: float = 0) -> list[ArrayVideo]:
    """Return the videos in a file: one of images [T, ..], N of images [N, T, ..].

    Args:
        path: the file.
        rate: steps in a unit of the file's `times`; 0: by their median spacing.

    Raises:
        VideoError: the file, or an array in it, cannot be used.
        DataError: an array in it cannot.
    """
    images, others = _arrays_of(path)
    rank = _rank(path, images)
    if not others:
        _warn_of_swapped(path, images, rank)
    if rank == 3:
        images, others = images[None], {name: array[None] for name, array in others.items()}
    shape = images.shape[:2]
    mask = fields.seen_of(others["mask"], shape, str(path)) if "mask" in others else None
    controls = fields.controls_of(others["controls"], shape, str(path)) if "controls" in others else None
    states = fields.states_of(others["states"], shape, str(path)) if "states" in others else None
    if "times" in others:
        grids = _grids(path, others["times"], mask, shape, rate)
    else:
        grids = [Grid.of(np.arange(shape[1]))] * shape[0]
        if rate:
            _warn(f"{path} has no array `times`: --rate does nothing to it")
    return [
        ArrayVideo(
            images[number],
            grid,
            *(None if array is None else array[number] for array in (mask, controls, states)),
        )
        for number, grid in enumerate(grids)
    ]


def _arrays_of(path: Path) -> tuple[NDArray, dict[str, NDArray]]:
    """Return the images of a file, those of an .npy on the disk still, and what is beside them."""
    if path.suffix.lower() == ".npy":
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False)), {}
        except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
            raise VideoError(f"{path} cannot be read as an .npy: {in_words(error)}") from error
    headers = read_headers(path)
    if "images" not in headers and len(headers) != 1:
        named = ", ".join(headers) or "none"
        raise VideoError(f"{path} must hold an array named images, or a single one. Received: {named}")
    images = "images" if "images" in headers else next(iter(headers))
    # The original's controls are arrays of objects, which would have to be unpickled.
    objects = [name for name in headers if name in KNOWN[1:] and headers[name].dtype.hasobject]
    unknown = [name for name in headers if name not in KNOWN and name != images]
    if objects:
        _warn(f"{path}: {', '.join(objects)} left out: Python objects are not read")
    if unknown:
        _warn(f"{path}: {', '.join(unknown)} left out: what is read is {', '.join(KNOWN)}")
    wanted = [name for name in (images, *KNOWN[1:-1]) if name in headers and name not in objects]
    arrays = read_arrays(path, wanted)
    return arrays.pop(images), arrays


def _rank(path: Path, images: NDArray) -> int:
    """Return the axes of images without that of channels: 3 of one video, 4 of several.

    Raises:
        VideoError: they are no images.
    """
    if images.dtype.kind not in "fb" and images.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise VideoError(
            f"{path} must hold uint8 or uint16, or floats between 0 and 1. Received: {images.dtype}. "
            "Where its pixels are 0 to 255, images.astype(numpy.uint8) works"
        )
    shape = images.shape
    has_channels = images.ndim >= 4 and shape[-1] in (1, 3, 4)
    if images.ndim >= 4 and not has_channels and shape[-3] in (1, 3, 4):
        raise VideoError(
            f"{path} has {shape[-3]} where frames or channels may be meant. Received: shape "
            f"{shape}. Put channels last, numpy.moveaxis(images, -3, -1); to grey "
            "frames give one, images[..., None]"
        )
    rank = images.ndim - has_channels
    if rank not in (3, 4) or 0 in shape:
        raise VideoError(
            f"{path} must hold an array [N, T, H, W] or [T, H, W], perhaps with 1, 3 or 4 channels last. "
            f"Received: shape {shape}"
        )
    stills.check_sides(path, (shape[rank - 1], shape[rank - 2]))
    return rank


def _warn_of_swapped(path: Path, images: NDArray, rank: int) -> None:
    """Warn where time may be the first axis, of which nothing but the pixels tells."""
    shape = images.shape
    if rank == 4 and min(shape[:2]) > 1:
        some = np.asarray(images[:8, :8], np.float32)
        across, along = (float(np.abs(np.diff(some, axis=axis)).mean()) for axis in (0, 1))
        if across < along / 2:
            _warn(
                f"{path}, of shape {shape}, looks like [T, N, H, W], and is read as [N, T, H, W]: if "
                "it is the former, numpy.swapaxes(images, 0, 1) first"
            )


def _grids(
    path: Path, times: NDArray, mask: NDArray | None, shape: tuple[int, ...], rate: float
) -> list[Grid]:
    """Return the grid of each of N videos, and say what it does to them.

    Args:
        path: for messages.
        times: [N, T] or [T].
        mask: [N, T] or None; where it is 0 a time need not be one.
        shape: (N, T).
        rate: as `videos_of`.
    """
    if times.dtype.kind not in "buif":
        raise VideoError(f"{path}: times must be numbers. Received: {times.dtype}")
    if times.shape in (shape[1:], (1, *shape[1:])):
        times = np.broadcast_to(times, shape)
    if times.shape != shape:
        raise VideoError(
            f"{path}: times must be [N, T] = {list(shape)}, or [T] for all. Received: shape {times.shape}"
        )
    stamps = times.astype(np.float64)
    chosen = [_with_times(path, stamps[i], None if mask is None else mask[i]) for i in range(shape[0])]
    step = 1 / rate if rate else timing.step_of([stamps[i][numbers] for i, numbers in enumerate(chosen)])
    grids = []
    for i, numbers in enumerate(chosen):
        seen = None if mask is None else mask[i][numbers]
        grid = timing.on_grid(str(path), stamps[i][numbers], step, seen)
        frames, following = numbers[grid.frames], numbers[grid.following]
        grids.append(Grid(np.where(grid.frames < 0, -1, frames), following, grid.dropped))
    missing, dropped = (
        sum(counts) for counts in zip(*((g.num_missing, g.dropped) for g in grids), strict=True)
    )
    if missing or dropped:
        say_grid(path, step, missing, dropped)
    return grids


def _with_times(path: Path, times: NDArray[np.float64], seen: NDArray | None) -> NDArray[np.int64]:
    """Return the numbers of the frames of a video whose times count.

    All, if their times are good; else those that are seen, as what stands beside frames that are missing may
    be nothing but padding.
    """
    for numbers in (np.arange(len(times)), np.arange(len(times)) if seen is None else np.flatnonzero(seen)):
        of_frames = times[numbers]
        if np.isfinite(of_frames).all() and (np.diff(of_frames) > 0).all():
            return numbers if len(numbers) else np.arange(1)
    if not np.isfinite(of_frames).all():
        raise VideoError(f"{path}: times must be finite. Received: {of_frames[~np.isfinite(of_frames)][0]}")
    first = int(np.argmin(np.diff(of_frames) > 0))
    raise VideoError(
        f"{path}: times must increase. Received: {of_frames[first]:g}, and then {of_frames[first + 1]:g}"
    )


def say_grid(
    path: str | os.PathLike, step: float, missing: int, dropped: int, unit: str = "frames a unit of time"
) -> None:
    """Warn of what a grid does to frames at uneven times."""
    words = [f"{missing:,} frame{'s are' if missing > 1 else ' is'} missing"] * (missing > 0)
    if dropped:
        words.append(
            f"{dropped:,} {'are' if dropped > 1 else 'is'} left out, another being nearer to the step"
        )
    _warn(
        f"{path} has frames at other times than the grid's: read at {1 / step:.4g} {unit}, where "
        f"{' and '.join(words)}"
    )


def _warn(message: str) -> None:
    print(f"Warning: {message}", file=sys.stderr)
