"""Videos that lie in memory, arrays or lists of clips, as sequences to learn from. Imports no TensorFlow."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvae import arguments
from kvae.arguments import ArgumentError
from kvae.data.dataset import Dataset
from kvae.videos.dataset import LEAST_SEEN
from kvae.videos.steps import warn


def sizes_of(videos: Any, usual: int, name: str = "videos") -> dict[str, Any]:
    """Return what videos say of the options that cut them, `frame_size` and `timesteps`.

    Args:
        videos: as `dataset_of` takes them.
        usual: timesteps of clips in a list, where one is so long.
        name: what messages call them.

    Raises:
        ArgumentError: they are no videos.
    """
    if isinstance(videos, list | tuple):
        shapes = [_shape(clip, f"{name}[{i}]", 3) for i, clip in enumerate(videos)]
        if not shapes:
            raise _no_clips(name)
        return {"frame_size": shapes[0][1:3], "timesteps": min(usual, max(shape[0] for shape in shapes))}
    shape = _shape(videos, name, 4)
    return {"frame_size": shape[2:4], "timesteps": shape[1]}


def dataset_of(
    videos: Any,
    mask: Any = None,
    controls: Any = None,
    timesteps: int = 0,
    stride: int = 0,
    name: str = "videos",
    report: Callable[[str], object] = warn,
) -> Dataset:
    """Return videos in memory as sequences of one length.

    Those of an array that is no longer than `timesteps` are sequences as they are. Clips in a list, and
    longer ones in an array, are cut, as videos in files are: those that are too short are left out, with a
    warning, and so are sequences with fewer than two frames that are there.

    Args:
        videos: frames [N, T, H, W], or in colour [N, T, H, W, 3]; or a list of N clips [T, H, W] or
            [T, H, W, 3], each of its own length. Integers in 0..255, booleans, or floats in [0, 1].
        mask: [N, T], or a list of N such [T], 1 where a frame is there, 0 where it is missing, and may hold
            anything; None: all are there.
        controls: [N, T, dim_u], or a list of N such [T, dim_u], entry t acting on the transition into step
            t; None: there are none.
        timesteps: frames in a sequence; 0: as many as an array has. Of a list it must be given.
        stride: frames between the beginnings of two sequences of a clip; 0: `timesteps`.
        name: what messages call the videos.
        report: called with what is left out.

    Raises:
        ArgumentError: they are no such arrays, or no sequence is left.
    """
    if isinstance(videos, list | tuple):
        clips = _clips(videos, mask, controls, name)
    else:
        whole = _dataset(videos, mask, controls, name, "mask", "controls")
        if whole.mask is not None and not whole.mask.any():
            raise ArgumentError("mask hides every frame: it is 1 where a frame is observed")
        if not timesteps or whole.shape[1] <= timesteps:
            return whole
        clips = [_part(whole, i) for i in range(whole.shape[0])]
    return _cut(clips, timesteps, stride or timesteps, name, report)


def _clips(videos: Sequence[Any], mask: Any, controls: Any, name: str) -> list[Dataset]:
    """Return each clip of a list, checked, as a dataset of one sequence; arguments as `dataset_of`."""
    for what, values in (("mask", mask), ("controls", controls)):
        if values is not None and len(values) != len(videos):
            raise ArgumentError(
                f"{what} must be a list, one for each of the {len(videos)} clips. Received: {len(values)}"
            )
    if not videos:
        raise _no_clips(name)
    clips: list[Dataset] = []
    for i, clip in enumerate(videos):
        _shape(clip, f"{name}[{i}]", 3)
        names = (f"{name}[{i}]", f"mask[{i}]", f"controls[{i}]")
        seen, acts = (
            None if values is None else np.asarray(arguments.known(values[i], what))[None]
            for values, what in ((mask, names[1]), (controls, names[2]))
        )
        clips.append(_dataset(np.asarray(arguments.known(clip, names[0]))[None], seen, acts, *names))
        for what, first, this in (
            ("frames", clips[0].shape[2:], clips[i].shape[2:]),
            ("controls", clips[0].dim_u, clips[i].dim_u),
        ):
            if first != this:
                raise ArgumentError(
                    f"{name}[{i}] must have {what} as {name}[0] has, {first}. Received: {this}"
                )
    if any(clip.images.dtype == np.float32 for clip in clips):
        return [clip._replace(images=_as_float(clip.images)) for clip in clips]
    return clips


def _no_clips(name: str) -> ArgumentError:
    return ArgumentError(f"{name} must hold a clip. Received: an empty list")


def _dataset(
    videos: Any, mask: Any, controls: Any, name: str, name_of_mask: str, name_of_controls: str
) -> Dataset:
    """Return sequences of one length, checked, with blank frames where the mask hides them."""
    count, num_steps, *_ = _shape(videos, name, 4)
    seen = None
    if mask is not None:
        seen = np.asarray(arguments.mask(mask, (count, num_steps), name_of_mask), np.float32)
    images = _pixels(np.asarray(arguments.frames(videos, seen, name)), seen)
    if controls is None:
        numbers = np.zeros([count, num_steps, 0], np.float32)
    else:
        checked = arguments.controls(controls, (count, num_steps, None), name_of_controls)
        numbers = np.asarray(checked, np.float32)
    return Dataset(images, numbers, None, None if seen is None or seen.all() else seen)


def _shape(videos: Any, name: str, rank: int) -> tuple[int, ...]:
    shape = tuple(arguments.shaped_frames(videos, name, rank).shape)
    if None in shape:
        raise ArgumentError(f"{name} must be an array. Received: a tensor of a graph, of shape {shape}")
    return shape


def _pixels(images: NDArray, seen: NDArray | None) -> NDArray:
    """Return frames as uint8, or as float32 in [0, 1]; 0 where they are hidden, whatever stood there."""
    if seen is not None:
        images = np.where(seen.reshape([*seen.shape, *[1] * (images.ndim - 2)]) > 0, images, 0)
    if images.dtype == np.bool_:
        return images.astype(np.uint8) * 255
    if images.dtype.kind in "ui":
        return images.astype(np.uint8, copy=False)
    # What `arguments.frames` lets pass is rounding.
    return np.clip(images.astype(np.float32), 0, 1)


def _as_float(images: NDArray) -> NDArray:
    return images if images.dtype == np.float32 else images.astype(np.float32) / 255


def _part(whole: Dataset, number: int) -> Dataset:
    part = slice(number, number + 1)
    mask = None if whole.mask is None else whole.mask[part]
    return Dataset(whole.images[part], whole.controls[part], None, mask)


def _cut(
    clips: list[Dataset], timesteps: int, stride: int, name: str, report: Callable[[str], object]
) -> Dataset:
    """Return the sequences of clips, each of `timesteps` frames, that begin every `stride` frames."""
    long_enough = [clip for clip in clips if clip.shape[1] >= timesteps]
    if not long_enough:
        raise ArgumentError(
            f"No clip of {name} has {timesteps} frames, a sequence's length: choose smaller timesteps, at "
            f"most {max(clip.shape[1] for clip in clips)}, the length of the longest"
        )
    if short := len(clips) - len(long_enough):
        report(f"{short} of {len(clips)} clips of {name} have fewer than {timesteps} frames: left out")
    parts: list[list[NDArray]] = []
    empty = 0
    for clip in long_enough:
        mask = np.ones([1, clip.shape[1]], np.float32) if clip.mask is None else clip.mask
        for first in range(0, clip.shape[1] - timesteps + 1, stride):
            window = slice(first, first + timesteps)
            if mask[0, window].sum() < LEAST_SEEN:
                empty += 1
            else:
                parts.append([array[0, window] for array in (clip.images, clip.controls, mask)])
    if not parts:
        raise ArgumentError(
            f"So many frames of {name} are missing that no sequence has {LEAST_SEEN} of them: choose larger "
            "timesteps"
        )
    if empty:
        report(f"{empty} sequences of {name} have fewer than {LEAST_SEEN} frames, and are left out")
    images, controls, mask = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return Dataset(images, controls, None, None if mask.all() else mask)
