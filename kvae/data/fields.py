"""The arrays of a dataset file, each checked by itself, whoever made the file. Imports no TensorFlow."""

import numpy as np
from numpy.typing import NDArray

from kvae.errors import UserError

Shape = tuple[int, ...]


class DataError(UserError):
    """A dataset file that cannot be used; the message says why."""


def shape_of_images(shape: Shape, name: str) -> Shape:
    """Return the shape that images of a file have here: [N, T, H, W], or [N, T, H, W, 3] in colour.

    One channel that has an axis of its own is grey.

    Args:
        shape: of the array in the file.
        name: of the file, for messages.

    Raises:
        DataError: they have another one.
    """
    if 0 not in shape and (len(shape) == 4 or (len(shape) == 5 and shape[-1] in (1, 3))):
        return shape[:4] if shape[4:] == (1,) else shape
    hint = ""
    if len(shape) == 5 and shape[2] in (1, 3):
        hint = ": channels come last, numpy.moveaxis(images, 2, -1)"
    elif len(shape) == 3:
        hint = ": one sequence is images[None]"
    raise DataError(
        f"{name}: images must be [N, T, H, W], or [N, T, H, W, 3] in colour. Received: shape {shape}{hint}"
    )


def seen_of(mask: NDArray, shape: Shape, name: str) -> NDArray[np.float32] | None:
    """Return a mask [N, T], 1 = seen, as float32; None where every frame is.

    Args:
        mask: of the file: booleans, integers or floats.
        shape: (N, T).
        name: of the file, for messages.

    Raises:
        DataError: it has another shape or other values, or no frame is seen.
    """
    if mask.dtype.kind not in "buif":
        raise DataError(f"{name}: mask must be numbers. Received: {mask.dtype}")
    if mask.shape != shape:
        raise DataError(
            f"{name}: mask must be [N, T] = {list(shape)}, 1 = seen. Received: shape {mask.shape}"
        )
    if not np.isin(mask, (0, 1)).all():
        odd = mask[~np.isin(mask, (0, 1))].flat[0]
        raise DataError(
            f"{name}: mask must be 1 where a frame is seen, and 0 where it is missing. Received: {odd}"
        )
    if not mask.any():
        raise DataError(f"{name}: mask hides every frame: it is 1 where a frame is seen")
    return None if mask.all() else mask.astype(np.float32)


def pixels_of(images: NDArray, mask: NDArray | None, name: str) -> NDArray:
    """Return images as uint8, or as float32 in [0, 1]; zero where the mask hides them, whatever stood there.

    Args:
        images: of the file, of a shape that `shape_of_images` has found good.
        mask: [N, T], or None: every frame is seen.
        name: of the file, for messages.

    Raises:
        DataError: a pixel of a frame that is seen is no such number.
    """
    images = images.reshape(shape_of_images(images.shape, name))
    # Whatever stands in a frame that is missing.
    with np.errstate(over="ignore", invalid="ignore"):
        kept = images if images.dtype == np.uint8 else images.astype(np.float32)
    if mask is not None:
        kept = kept.copy() if kept is images else kept
        kept[mask == 0] = 0
    # The comparison is false for what is not a number.
    if kept.dtype == np.uint8 or (kept.min() >= 0 and kept.max() <= 1):
        return kept
    hint = "" if np.isfinite(kept).all() else ". Frames that are missing have a 0 in an array `mask` [N, T]"
    raise DataError(
        f"{name}: images that are not uint8 must lie between 0 and 1. "
        f"Received: {images.dtype} from {kept.min():g} to {kept.max():g}{hint}"
    )


def controls_of(array: NDArray, shape: Shape, name: str) -> NDArray:
    """Return controls of a file as [N, T, M], float32, or int64 where they are integers or booleans: classes.

    Those of first frames, into which nothing moves, may be anything: what is no number is zero.

    Args:
        array: of the file, [N, T, M] or [N, T].
        shape: (N, T).
        name: of the file, for messages.

    Raises:
        DataError: it has another shape, or is not finite.
    """
    array = _with_entries(array, shape, f"{name}: controls", "dim_u")
    if array.dtype.kind in "bui":
        return array.astype(np.int64)
    array = array.copy()
    array[:, 0] = np.where(np.isfinite(array[:, 0]), array[:, 0], 0)
    return _finite(array, f"{name}: controls")


def states_of(array: NDArray, shape: Shape, name: str) -> NDArray[np.float32]:
    """Return states of a file as [N, T, S] float32; arguments and errors as `controls_of`."""
    return _finite(_with_entries(array, shape, f"{name}: states", "S"), f"{name}: states")


def _with_entries(array: NDArray, shape: Shape, name: str, size: str) -> NDArray:
    if array.dtype.kind not in "buif":
        raise DataError(f"{name} must be numbers. Received: {array.dtype}")
    if array.shape == shape:
        return array[..., None]
    if array.ndim == 3 and array.shape[:2] == shape:
        return array
    hint = ""
    if array.ndim in (2, 3) and array.shape[:2] == (shape[0], shape[1] - 1):
        hint = (
            ". Entry t acts on the way into frame t, so one for the first frame goes before them: "
            "numpy.concatenate([array[:, :1] * 0, array], axis=1)"
        )
    raise DataError(
        f"{name} must be [N, T, {size}] = [{shape[0]}, {shape[1]}, ...]. Received: shape {array.shape}{hint}"
    )


def _finite(array: NDArray, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise DataError(f"{name} must be finite numbers that float32 can hold, also where a frame is missing")
    return numbers
