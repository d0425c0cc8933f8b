"""What callers of the library gave, checked once, where it comes in: arrays of NumPy, tensors, numbers.

Everything here takes what `numpy.asarray` takes, and tensors of TensorFlow. Inside a `tf.function` values are
not known: there shapes and types alone are checked. Masked arrays are refused, as nothing here looks at their
mask. Imports no TensorFlow.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvae.errors import UserError

_SLACK = 1e-5
"""By which a pixel may lie outside of [0, 1]: rounding of whoever scaled it."""


class ArgumentError(UserError):
    """An argument of a function that cannot be used; the message says what was expected, and received."""


def known(value: Any, name: str) -> NDArray | None:
    """Return an argument as an array; None of a tensor whose values are not known yet.

    Args:
        value: what was given.
        name: of the argument.

    Raises:
        ArgumentError: it is no array of numbers, or a masked one.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(
            f"{name} is a masked array, whose mask nothing here would look at. Give {name}.filled(0), and "
            "what is missing as `mask`, 1 = observed"
        )
    if _is_symbolic(value):
        return None
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except (TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"{name} must be an array of numbers. Received: {_brief(value)}") from error
    if array.dtype.kind == "V" and array.dtype.names is None:
        # bfloat16, which NumPy has no type of its own for.
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise ArgumentError(f"{name} must be an array of numbers. Received: {_brief(value)} of {array.dtype}")
    return array


def shaped_frames(images: Any, name: str = "images", rank: int = 4) -> Any:
    """Return frames [B, T, H, W], or [B, T, H, W, 3], as they are; their values are not looked at.

    Args:
        images: what was given.
        name: of the argument.
        rank: of an array of grey frames: 4, or that of fewer leading axes.

    Returns:
        An array, or a tensor as it is.

    Raises:
        ArgumentError: they are no numbers, or have not these axes, or there is none.
    """
    array = known(images, name)
    shape = _shape(images) if array is None else array.shape
    if shape is None:
        return images
    wanted = _AXES_OF_FRAMES[rank]
    if len(shape) != rank and not (len(shape) == rank + 1 and shape[-1] in (3, None)):
        raise ArgumentError(f"{name} must be {wanted}. Received: shape {shape}{_hint(shape, name, rank)}")
    if 0 in shape:
        raise ArgumentError(f"{name} must be {wanted} and hold a frame. Received: shape {shape}")
    return images if _is_tensor(images) else array


def frames(images: Any, seen: NDArray | None = None, name: str = "images", rank: int = 4) -> Any:
    """Return frames [B, T, H, W], or [B, T, H, W, 3], as an array, or a tensor as it is.

    Args:
        images: what was given: integers in 0..255, booleans, or floats in [0, 1].
        seen: [B, T], 1 where a frame is looked at; the others may hold anything. None: all are.
        name: of the argument.
        rank: of an array of grey frames: 4, or that of fewer leading axes.

    Raises:
        ArgumentError: they are no such frames.
    """
    images = shaped_frames(images, name, rank)
    array = known(images, name)
    if array is None or array.dtype in (np.uint8, np.bool_) or _are_pixels(array):
        return images
    if seen is not None:
        array = array[np.asarray(seen) > 0]
        if array.size == 0 or _are_pixels(array):
            return images
    if not np.isfinite(array).all():
        raise ArgumentError(
            f"{name} must be finite where frames are seen. Received: NaN or infinity; hide such frames with "
            "a mask"
        )
    expected = "floats in [0, 1]" if array.dtype.kind == "f" else "integers in 0..255"
    raise ArgumentError(
        f"{name} of {array.dtype} must be {expected}. Received: values from {array.min()} to {array.max()}; "
        "scale them"
    )


def check_axes(shape: Sequence[int | None]) -> None:
    """Raise ArgumentError where what would be grey frames three pixels wide are more likely one in colour.

    Args:
        shape: of frames whose channels nobody has named.
    """
    height, width = shape[-2:]
    if len(shape) == 4 and width == 3 and (height or 0) >= 8:
        raise ArgumentError(
            "images [B, T, H, W] that are three pixels wide look like one sequence in colour, which is "
            f"images[None]; Config(channels=1) takes them as grey frames. Received: shape {tuple(shape)}"
        )


def _are_pixels(array: NDArray) -> bool:
    """Tell whether all values lie in the range of pixels; NaN lies in none."""
    largest, slack = (1, _SLACK) if array.dtype.kind == "f" else (255, 0)
    return bool(array.min() >= -slack and array.max() <= largest + slack)


_AXES_OF_FRAMES = {
    2: "[H, W], or [H, W, 3] in colour",
    3: "[T, H, W], or [T, H, W, 3] in colour",
    4: "[B, T, H, W], or [B, T, H, W, 3] in colour",
}


def _hint(shape: tuple[int | None, ...], name: str, rank: int) -> str:
    """Return what makes frames of an array that has other axes than those, as far as its shape tells."""
    if len(shape) == rank + 1 and shape[-1] in (1, 2):
        return f": {name}[..., 0] are grey frames"
    if len(shape) == rank + 1 and shape[-1] == 4:
        return f": {name}[..., :3] are red, green and blue without the opacity"
    if len(shape) == rank + 1 and shape[-3] in (1, 3, 4):
        channels = "0" if shape[-3] == 1 else ":3"
        first = f"{name}[..., {channels}, :, :]"
        return f": channels come last; {first if shape[-3] == 1 else f'numpy.moveaxis({first}, -3, -1)'}"
    return f": one sequence is {name}[None]" if len(shape) == rank - 1 and rank == 4 else ""


def mask(value: Any, shape: tuple[int | None, ...], name: str = "mask") -> Any:
    """Return a mask, whose values are 0 and 1, as a float32 array; a tensor as it is.

    Args:
        value: what was given: booleans, integers or floats.
        shape: what it has to be, (B, T); None where that is not known.
        name: of the argument.

    Raises:
        ArgumentError: it has another shape, or other values.
    """
    array = known(value, name)
    received = _shape(value) if array is None else array.shape
    axes = "[B, T]" if len(shape) == 2 else "[T]" if len(shape) == 1 else "[B, T, M]"
    if received is not None and not _agree(received, shape):
        sizes = ", ".join("?" if side is None else str(side) for side in shape)
        raise ArgumentError(f"{name} must be {axes} = [{sizes}], 1 = observed. Received: shape {received}")
    if array is None:
        return value
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        odd = array[~np.isin(array, (0, 1))]
        raise ArgumentError(
            f"{name} must hold 1 where a frame is observed and 0 where it is missing. Received: {odd.flat[0]}"
        )
    return value if _is_tensor(value) else array.astype(np.float32)


def controls(
    value: Any,
    shape: tuple[int | None, int | None, int | None],
    name: str = "controls",
    counts: NDArray | None = None,
) -> Any:
    """Return controls [B, T, dim_u] as a float32 array; a tensor as it is, which has a gradient.

    Args:
        value: what was given.
        shape: what it has to be; None where that does not matter.
        name: of the argument.
        counts: [B], above 0 where a sequence counts; the others' may be anything. None: all do.

    Raises:
        ArgumentError: they have another shape, or are not finite where they count.
    """
    array = known(value, name)
    if array is not None and counts is not None and array.ndim == 3 and len(array) == len(counts):
        # Of the others the shape is looked at alone.
        counted = np.where(counts[:, None, None] > 0, array, 0)
        found = array_of(counted, shape, name, "[B, T, dim_u]")
        return value if _is_tensor(value) else np.where(counts[:, None, None] > 0, found, array)
    return array_of(value, shape, name, "[B, T, dim_u]")


def weight(value: Any, size: int | None, name: str = "weight") -> Any:
    """Return the weights [B] of sequences as a float32 array; a tensor as it is.

    Args:
        value: what was given.
        size: B; None where that is not known.
        name: of the argument.

    Raises:
        ArgumentError: they have another shape, or are negative or not finite.
    """
    found = array_of(value, (size,), name, "[B]")
    array = known(value, name)
    if array is not None and (array < 0).any():
        raise ArgumentError(f"{name} must be 0 or above. Received: {array.min()}")
    return found


def array_of(value: Any, shape: tuple[int | None, ...], name: str, axes: str, dtype: Any = np.float32) -> Any:
    """Return finite numbers of a shape as an array; a tensor as it is, which has a gradient.

    Args:
        value: what was given.
        shape: what it has to be; None where that does not matter.
        name: of the argument.
        axes: what the shape is called, such as `[B, T, dim_a]`.
        dtype: to return.

    Raises:
        ArgumentError: they have another shape, or are not finite.
    """
    array = known(value, name)
    received = _shape(value) if array is None else array.shape
    if received is not None and not _agree(received, shape):
        sizes = ", ".join("?" if side is None else str(side) for side in shape)
        raise ArgumentError(f"{name} must be {axes} = [{sizes}]. Received: shape {received}")
    if array is None:
        return value
    with np.errstate(over="ignore"):
        found = array.astype(dtype, copy=False)
    if not np.isfinite(found).all():
        raise ArgumentError(
            f"{name} must be finite numbers that {np.dtype(dtype)} can hold. "
            f"Received: {array[~np.isfinite(found)].flat[0]}"
        )
    return value if _is_tensor(value) else found


def count(value: Any, name: str, least: int = 0, most: int | None = None) -> int:
    """Return a whole number: Python's or NumPy's, or an array or tensor that is one.

    Args:
        value: what was given.
        name: of the argument.
        least: the smallest that makes sense.
        most: the largest; None: there is none.

    Raises:
        ArgumentError: it is no whole number, a bool for example, or out of range.
    """
    expected = f"a whole number, at least {least}" if most is None else f"a whole number in {least}..{most}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value.numpy() if hasattr(value, "numpy") else value)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ArgumentError(f"{name} must be {expected}. Received: {_brief(value)}") from error
    if number < least or (most is not None and number > most):
        raise ArgumentError(f"{name} must be {expected}. Received: {number}")
    return number


def probability(value: Any, name: str) -> float:
    """Return a number from 0 to 1.

    Raises:
        ArgumentError: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be a number from 0 to 1. Received: {_brief(value)}") from error
    if not 0 <= number <= 1:
        raise ArgumentError(f"{name} must be a number from 0 to 1. Received: {number}")
    return number


def _agree(received: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    """Tell whether two shapes may be the same; None is a side that is not known."""
    return len(received) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(received, expected, strict=True)
    )


def _is_tensor(value: Any) -> bool:
    """Tell whether a value is a tensor or a variable of TensorFlow or Keras."""
    return type(value).__module__.split(".")[0] in ("tensorflow", "keras")


def _is_symbolic(value: Any) -> bool:
    """Tell whether a value is a tensor that stands for values to come, of a graph or of Keras."""
    if not _is_tensor(value):
        return False
    if not hasattr(value, "numpy"):
        return hasattr(value, "dtype")
    try:
        # A variable has values, but inside of a `tf.function` not now.
        value.numpy()
    except (NotImplementedError, AttributeError, ValueError, TypeError):
        return True
    return False


def _shape(tensor: Any) -> tuple[int | None, ...] | None:
    """Return the static shape of a tensor; None where not even its rank is known."""
    shape = tensor.shape
    if getattr(shape, "rank", 0) is None:
        return None
    return tuple(shape)


def _brief(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
