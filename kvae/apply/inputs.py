"""What goes with a clip, its mask and its controls, from files that anyone may have made. No TensorFlow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kvae.data import controls as control_classes
from kvae.data import hdf5
from kvae.data.controls import Classes
from kvae.data.fields import DataError
from kvae.data.files import read_arrays
from kvae.errors import UserError, in_words

_TEXT = (".csv", ".txt")
_UNDERSTOOD = ".npy, .npz or .h5, or numbers in lines, with commas, in a .csv or .txt"


class InputError(UserError):
    """A file of controls, or of a mask, that cannot be used; the message says why."""


def read_array(path: Path, name: str) -> NDArray:
    """Return the array of this name in a file, or its only one.

    Raises:
        InputError: there is no such file, or no such array of numbers in it.
        ArchiveError: the file is damaged.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"There is no file {path}")
    try:
        if suffix in _TEXT:
            array = np.loadtxt(path, delimiter=",", ndmin=1)
        elif suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        elif suffix in (".npz", *hdf5.SUFFIXES):
            arrays = read_arrays(path)
            if name not in arrays and len(arrays) != 1:
                named = ", ".join(arrays) or "none"
                raise InputError(
                    f"{path} must hold an array named {name}, or a single one. Received: {named}"
                )
            array = arrays[name] if name in arrays else next(iter(arrays.values()))
        else:
            raise InputError(f"{path} is none of the files that {name} are read from: {_UNDERSTOOD}")
    except (ValueError, OSError, EOFError, MemoryError) as error:
        raise InputError(f"{path} cannot be read: {in_words(error)}") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: {name} must be numbers. Received: {array.dtype}")
    return array


def mask_of(array: NDArray, num_frames: int, name: str) -> NDArray[np.float32]:
    """Return a mask [T], 1 where a frame is seen, of T frames.

    Args:
        array: as read, [T], or [1, T] or [T, 1].
        num_frames: T.
        name: of the file, for messages.

    Raises:
        InputError: it has another length or other values.
    """
    flat = array.reshape(-1) if array.size == max(array.shape, default=0) else array
    if flat.shape != (num_frames,):
        raise InputError(
            f"{name}: mask must be [T] = [{num_frames}], a number for each frame. "
            f"Received: shape {array.shape}"
        )
    if not np.isin(flat, (0, 1)).all():
        odd = flat[~np.isin(flat, (0, 1))][0]
        raise InputError(
            f"{name}: mask must be 1 where a frame is seen, and 0 where it is missing. Received: {odd}"
        )
    return flat.astype(np.float32)


def controls_of(
    array: NDArray, num_frames: int, num_future: int, dim_u: int, classes: Classes | None, name: str
) -> NDArray[np.float32]:
    """Return controls [S, dim_u] as inputs of a model, S the frames of a clip, or with those after its end.

    Args:
        array: as read, [S, M] or [S]: inputs, or classes.
        num_frames: T, of the clip.
        num_future: N, frames after its end: S is T, or from T + 1 to T + N.
        dim_u: of the model.
        classes: that the model learned from; None: of numbers, or unknown.
        name: of the file, for messages.

    Raises:
        InputError: it has another shape, is not finite, or is of classes that the model does not know.
    """
    array = array[:, None] if array.ndim == 1 else array
    array = array[0] if array.ndim == 3 and len(array) == 1 else array
    lengths = f"{num_frames}" + (f", or up to {num_frames + num_future}" if num_future else "")
    if array.ndim != 2 or not num_frames <= len(array) <= num_frames + num_future:
        raise InputError(
            f"{name}: controls must be [T, dim_u], T = {lengths}: entry t acts on the way into frame t. "
            f"Received: shape {array.shape}"
        )
    if classes is None and array.dtype.kind in "bui" and array.shape[1] == 1 < dim_u:
        classes = (tuple(range(dim_u)),)
    if classes and array.shape[1] == len(classes) and (array == np.rint(array)).all():
        try:
            array = control_classes.one_hot(array.astype(np.int64)[None], classes, name)[0]
        except DataError as error:
            raise InputError(str(error)) from error
    if array.shape[1] != dim_u:
        raise InputError(f"{name}: the model takes {dim_u} controls a step. Received: {array.shape[1]}")
    numbers = array.astype(np.float32)
    # Nothing moves into the first frame.
    numbers[0] = np.where(np.isfinite(numbers[0]), numbers[0], 0)
    if not np.isfinite(numbers).all():
        raise InputError(f"{name}: controls must be finite numbers, also where a frame is missing")
    return numbers
