"""Dataset files. Imports no TensorFlow."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kvae.data.archives import ArchiveError, read_arrays, read_headers
from kvae.errors import UserError


class DataError(UserError):
    """A dataset file that cannot be used; the message says why."""


class Dataset(NamedTuple):
    """The sequences of a dataset file.

    Attributes:
        images: [N, T, H, W], uint8 in 0..255 or float32 in [0, 1].
        controls: [N, T, dim_u] float32; dim_u may be 0.
        states: [N, T, S] float32, the simulator's true states, or None.
    """

    images: np.ndarray
    controls: np.ndarray
    states: np.ndarray | None

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, T, H, W)."""
        return self.images.shape

    @property
    def dim_u(self) -> int:
        """Entries of a control, 0 if there are none."""
        return self.controls.shape[-1]

    def order_of_epoch(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order of the sequences in an epoch: new in every epoch, the same in every run."""
        return np.random.default_rng([seed, epoch]).permutation(len(self.images))


def load(path: str | os.PathLike, use_controls: bool = True) -> Dataset:
    """Read a dataset file, ours or one of the original code's (`images` in float32, no metadata).

    Args:
        path: the file.
        use_controls: False: leave the controls out, as if there were none.

    Raises:
        DataError: the file is missing, or does not hold what it should.
    """
    path = Path(path)
    try:
        there = read_headers(path)
        ours = "metadata" in there
        # The original's controls are arrays of objects: reading those would run code.
        arrays = read_arrays(path, ("images", "controls", "states", "metadata") if ours else ("images",))
    except FileNotFoundError:
        raise DataError(f"There is no dataset file {path}") from None
    except ArchiveError as error:
        raise DataError(str(error)) from error
    for name in ("images", "controls", "states") if ours else ("images",):
        if name not in arrays:
            raise DataError(f"{path} has no array named {name}. Received: {', '.join(there) or 'none'}")
        if arrays[name].dtype.kind not in "buif":
            raise DataError(f"{path}: {name} must be numbers. Received: {arrays[name].dtype}")
    images = arrays["images"]
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(f"{path}: images must be [N, T, H, W]. Received: shape {images.shape}")
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
        if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
            raise DataError(f"{path}: images that are not uint8 must lie between 0 and 1")
    if not ours:
        return Dataset(images, np.zeros([*images.shape[:2], 0], np.float32), None)
    _check_metadata(path, arrays["metadata"], images.shape)
    sequences = {}
    for name, size in (("controls", "dim_u"), ("states", "S")):
        array = arrays[name]
        if array.ndim != 3 or array.shape[:2] != images.shape[:2]:
            raise DataError(
                f"{path}: {name} must be [N, T, {size}] = [{images.shape[0]}, {images.shape[1]}, ...]. "
                f"Received: shape {array.shape}"
            )
        with np.errstate(over="ignore"):
            sequences[name] = array.astype(np.float32)
        if not np.isfinite(sequences[name]).all():
            raise DataError(f"{path}: {name} must be finite numbers that float32 can hold")
    if not use_controls:
        sequences["controls"] = sequences["controls"][..., :0]
    return Dataset(images, **sequences)


def _check_metadata(path: Path, metadata: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise DataError where a file says of itself what its frames are not."""
    try:
        facts = dict(json.loads(str(metadata)))
    except (ValueError, TypeError, RecursionError) as error:
        received = str(metadata)[:40]
        raise DataError(f"{path}: metadata must be a JSON object. Received: {received!r}") from error
    for name, size in (("num_sequences", shape[0]), ("num_steps", shape[1])):
        if facts.get(name, size) != size:
            raise DataError(f"{path}: {name} is {facts[name]!r} in its metadata, but images are {shape}")
