"""Dataset files. Imports no TensorFlow."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kvae.data import fields
from kvae.data.archives import ArchiveError, read_arrays, read_headers
from kvae.data.colour import with_channels
from kvae.data.fields import DataError as DataError


class Dataset(NamedTuple):
    """The sequences of a dataset file.

    Attributes:
        images: [N, T, H, W], or in colour [N, T, H, W, 3]; uint8 in 0..255 or float32 in [0, 1].
        controls: [N, T, dim_u] float32, entry t acts on the transition into step t; dim_u may be 0.
        states: [N, T, S] float32, the true states, or None.
        mask: [N, T] float32, 0 where nobody has the frame, whose pixels are 0 then, else 1; or None: every
            frame is there.
    """

    images: np.ndarray
    controls: np.ndarray
    states: np.ndarray | None = None
    mask: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, T, H, W), or in colour (N, T, H, W, 3)."""
        return self.images.shape

    @property
    def channels(self) -> int:
        """1 of grey frames, 3 of colour."""
        return 3 if self.images.ndim == 5 else 1

    @property
    def dim_u(self) -> int:
        """Entries of a control, 0 if there are none."""
        return self.controls.shape[-1]

    def order_of_epoch(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order of the sequences in an epoch: new in every epoch, the same in every run."""
        return np.random.default_rng([seed, epoch]).permutation(len(self.images))

    def in_channels(self, channels: int) -> "Dataset":
        """Return the sequences with grey frames, 1, or frames in colour, 3, whatever they are now."""
        return self._replace(images=with_channels(self.images, self.images.ndim - 2, channels))

    def first(self, count: int) -> "Dataset":
        """Return the first sequences, without their states."""
        mask = None if self.mask is None else self.mask[:count]
        return Dataset(self.images[:count], self.controls[:count], None, mask)


_ARRAYS = ("images", "mask", "controls", "states", "metadata")


def load(path: str | os.PathLike, use_controls: bool = True) -> Dataset:
    """Read a dataset file, ours or anyone's: `images`, and as they are there `mask`, `controls`, `states`.

    Args:
        path: the file.
        use_controls: False: leave the controls out, as if there were none.

    Raises:
        DataError: the file is missing, or does not hold what it should.
    """
    path = Path(path)
    try:
        there = read_headers(path)
        # Arrays of objects, as the original's controls are: reading those would run code.
        objects = [name for name in _ARRAYS[1:] if name in there and there[name].dtype.hasobject]
        arrays = read_arrays(path, [name for name in _ARRAYS if name not in objects])
    except FileNotFoundError:
        raise DataError(f"There is no dataset file {path}") from None
    except ArchiveError as error:
        raise DataError(str(error)) from error
    if "images" not in arrays:
        raise DataError(f"{path} has no array named images. Received: {', '.join(there) or 'none'}")
    for name in arrays.keys() - {"metadata"}:
        if arrays[name].dtype.kind not in "buif":
            raise DataError(f"{path}: {name} must be numbers. Received: {arrays[name].dtype}")
    if objects:
        print(f"Warning: {path}: {', '.join(objects)} left out: Python objects are not read", file=sys.stderr)
    if unknown := [name for name in there if name not in _ARRAYS]:
        known = ", ".join(_ARRAYS)
        print(f"Warning: {path}: {', '.join(unknown)} left out: what is read is {known}", file=sys.stderr)
    shape = fields.shape_of_images(arrays["images"].shape, str(path))
    if "metadata" in arrays:
        _check_metadata(path, arrays["metadata"], shape)
    mask = fields.seen_of(arrays["mask"], shape[:2], str(path)) if "mask" in arrays else None
    images = fields.pixels_of(arrays["images"], mask, str(path))
    controls, states = np.zeros([*shape[:2], 0], np.float32), None
    if use_controls and "controls" in arrays:
        controls = fields.numbers_of(arrays["controls"], shape[:2], f"{path}: controls", "dim_u")
    if "states" in arrays:
        states = fields.numbers_of(arrays["states"], shape[:2], f"{path}: states", "S")
    return Dataset(images, controls, states, mask)


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
