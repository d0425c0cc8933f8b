"""What options say of frames, once it is known which there are: channels, convolutions, padding."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

from kvae.config.options import ModelOptions
from kvae.config.rules import ShapeError

Options = TypeVar("Options", bound=ModelOptions)

FILTERS = 32
"""Filters of each convolution, unless `num_filters` says otherwise."""
_LEAST_CONVOLUTIONS = 3


def for_frames(options: Options, frame_shape: Sequence[Any]) -> Options:
    """Return the options of a model for frames of this shape, with numbers in place of what was left to them.

    Args:
        options: `ModelOptions`, such as a `Config`.
        frame_shape: (H, W), or (H, W, 3) of frames in colour.

    Raises:
        ShapeError: it is none, or the options are for frames with other channels.
    """
    shape = tuple(frame_shape)
    sides_are_known = len(shape) >= 2 and all(isinstance(side, int) and side >= 1 for side in shape[:2])
    if len(shape) not in (2, 3) or shape[2:] not in ((), (3,)) or not sides_are_known:
        raise ShapeError(
            f"Frames must be (height, width), or (height, width, 3) in colour. Received: {shape}"
        )
    channels = 3 if len(shape) == 3 else 1
    if options.channels not in ("auto", channels):
        raise ShapeError(
            f"With channels={options.channels} the frames must be "
            f"{'(height, width)' if options.channels == 1 else '(height, width, 3)'}. Received: {shape}"
        )
    changes: dict[str, Any] = {"channels": channels}
    if options.conv and not options.num_filters:
        changes["num_filters"] = (FILTERS,) * num_convolutions(*shape[:2])
    return dataclasses.replace(options, **changes)


def num_convolutions(height: int, width: int) -> int:
    """Return how many convolutions of stride 2 frames have by themselves: they end in sides of 4 and more.

    Three, as the original code has for 32x32; four where both sides are 64 at least, five from 128 on.
    """
    # 2^n is the smaller side, rounded down to a power of two.
    n = min(height, width).bit_length() - 1
    return max(_LEAST_CONVOLUTIONS, n - 2)


def padded_sides(height: int, width: int, num_halvings: int) -> tuple[int, int]:
    """Return the sides of a frame made so large that both can be halved that often."""
    multiple = 2**num_halvings
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def words_of_grey(options: ModelOptions, is_two_valued: bool) -> str:
    """Return what is to be said of grey frames that a model would see in black and white; else nothing.

    Args:
        options: `ModelOptions`.
        is_two_valued: whether every pixel of the frames is black or white.
    """
    if is_two_valued or not options.is_binary:
        return ""
    return (
        "The frames have more shades than black and white, and with --out_distr bernoulli any pixel above 0 "
        "is taken as white: --grey_targets True takes them as they are, so does --out_distr gaussian"
    )


def words_of_padding(options: ModelOptions, frame_shape: Sequence[int]) -> str:
    """Return what is to be said of frames that the convolutions cannot halve as they are; else nothing.

    Args:
        options: `ModelOptions` of `for_frames`.
        frame_shape: (H, W) or (H, W, 3).
    """
    height, width = frame_shape[:2]
    padded = padded_sides(height, width, len(options.num_filters)) if options.conv else (height, width)
    if padded == (height, width):
        return ""
    return (
        f"Frames of {height}x{width} are padded with black to {padded[0]}x{padded[1]}, multiples of "
        f"{2 ** len(options.num_filters)}, for {len(options.num_filters)} convolutions of stride 2; what is "
        "decoded is cut to their size"
    )
