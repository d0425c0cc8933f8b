"""Frames in colour as grey ones, and the other way. Imports no TensorFlow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LUMA = (19595, 38470, 7471)
"""Of red, green and blue in 65536ths: ITU-R 601, as Pillow's mode "L" has it."""

_BYTES_AT_ONCE = 2**24
"""Of colour that are converted together: a bound on memory."""


def to_grey(images: NDArray[Any]) -> NDArray[Any]:
    """Return the luma of frames in colour, ITU-R 601, as Pillow's mode "L".

    Args:
        images: [..., H, W, 3], uint8 or floats.

    Returns:
        [..., H, W], of the same type.

    Examples:
        >>> to_grey(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))
        array([[ 76, 150]], dtype=uint8)
    """
    if images.dtype != np.uint8:
        return (images @ np.array(_LUMA, images.dtype) / 65536).astype(images.dtype)
    grey = np.empty(images.shape[:-1], np.uint8)
    pixels, into = images.reshape(-1, 3), grey.reshape(-1)
    for first in range(0, len(pixels), _BYTES_AT_ONCE // 3):
        part = slice(first, first + _BYTES_AT_ONCE // 3)
        into[part] = (pixels[part].astype(np.uint32) @ np.array(_LUMA, np.uint32) + 0x8000) >> 16
    return grey


def with_channels(images: NDArray[Any], frame_rank: int, channels: int) -> NDArray[Any]:
    """Return frames with so many channels: colour as its luma, grey as three that are alike.

    Args:
        images: [..., H, W] or [..., H, W, 3].
        frame_rank: axes of one of these frames: 2 if they are grey, 3 if they are in colour.
        channels: 1 or 3.
    """
    if channels == 1 and frame_rank == 3:
        return to_grey(images)
    if channels == 3 and frame_rank == 2:
        return np.repeat(images[..., None], 3, axis=-1)
    return images


def per_pixel(values: Any, frames: Any) -> Any:
    """Return what is said of each frame, such as a mask [B, T], as what goes with the pixels of those frames.

    Args:
        values: [...], an array or a tensor.
        frames: [..., H, W] or [..., H, W, 3].

    Returns:
        [..., 1, 1] or [..., 1, 1, 1], a view.
    """
    return values[(..., *(None,) * (len(frames.shape) - len(values.shape)))]
