"""Dataset files. Imports no TensorFlow."""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kvae.data import controls as control_classes
from kvae.data import fields
from kvae.data.archives import ArchiveError
from kvae.data.colour import with_channels
from kvae.data.controls import Classes
from kvae.data.fields import DataError as DataError
from kvae.data.files import read_arrays, read_headers
from kvae.system import called


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
    classes: Classes = ()

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

    @property
    def is_two_valued(self) -> bool:
        """Whether every pixel is black or white."""
        white = 255 if self.images.dtype == np.uint8 else 1
        return bool(np.all((self.images == 0) | (self.images == white)))

    def order_of_epoch(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order of the sequences in an epoch: new in every epoch, the same in every run."""
        return np.random.default_rng([seed, epoch]).permutation(len(self.images))

    def in_channels(self, channels: int) -> "Dataset":
        """Return the sequences with grey frames, 1, or frames in colour, 3, whatever they are now."""
        return self._replace(images=with_channels(self.images, self.images.ndim - 2, channels))

    def first(self, count: int) -> "Dataset":
        """Return the first sequences, without their states."""
        mask = None if self.mask is None else self.mask[:count]
        return Dataset(self.images[:count], self.controls[:count], None, mask, self.classes)

    def split(self, count: int) -> tuple["Dataset", "Dataset"]:
        """Return all sequences but the last `count`, and those."""
        kept = len(self.images) - count
        parts = []
        for part in (slice(None, kept), slice(kept, None)):
            states, mask = (None if array is None else array[part] for array in (self.states, self.mask))
            parts.append(Dataset(self.images[part], self.controls[part], states, mask, self.classes))
        return parts[0], parts[1]


ARRAYS = ("images", "mask", "controls", "states", "metadata")
"""What is read of a dataset file."""


def load(path: str | os.PathLike, use_controls: bool = True, classes: Classes | None = None) -> Dataset:
    """Read a dataset file, ours or anyone's: `images`, and as they are there `mask`, `controls`, `states`.

    Controls that are integers or booleans are classes, and become one-hot.

    Args:
        path: the file, .npz or .h5.
        use_controls: False: leave the controls out, as if there were none.
        classes: `Dataset.classes` of the training data, whose inputs these are to be; None: it is those.

    Raises:
        DataError: the file is missing, or does not hold what it should.
    """
    path = Path(path)
    arrays = _read(path)
    if arrays["images"].dtype.kind not in "buif":
        raise DataError(f"{path}: images must be numbers. Received: {arrays['images'].dtype}")
    shape = fields.shape_of_images(arrays["images"].shape, str(path))
    if "metadata" in arrays:
        _check_metadata(path, arrays["metadata"], shape)
    mask = fields.seen_of(arrays["mask"], shape[:2], str(path)) if "mask" in arrays else None
    images = fields.pixels_of(arrays["images"], mask, str(path))
    states = fields.states_of(arrays["states"], shape[:2], str(path)) if "states" in arrays else None
    if not use_controls or "controls" not in arrays:
        return Dataset(images, np.zeros([*shape[:2], 0], np.float32), states, mask)
    controls = fields.controls_of(arrays["controls"], shape[:2], str(path))
    controls, classes = _inputs(controls, classes, str(path))
    return Dataset(images, controls, states, mask, classes)


def read_classes(path: str | os.PathLike) -> Classes:
    """Return the classes that the controls of a training file, or of a folder of shards, are.

    Raises:
        DataError: a file cannot be read, or its controls are none.
    """
    path = Path(path)
    found = []
    for file in sorted(path.glob("train-*.npz")) if path.is_dir() else [path]:
        try:
            header = read_headers(file).get("controls")
            if header is None or header.dtype.kind not in "bui":
                return ()
            array = read_arrays(file, ("controls",))["controls"]
        except (ArchiveError, OSError) as error:
            raise DataError(str(error)) from error
        found.append(fields.controls_of(array, array.shape[:2], str(file)))
    return control_classes.classes_of(found, str(path))


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that are understood, and warn of others."""
    try:
        there = read_headers(path)
        # As the original's controls are: reading them would run code.
        objects = [name for name in ARRAYS[1:] if name in there and there[name].dtype.hasobject]
        arrays = read_arrays(path, [name for name in ARRAYS if name not in objects])
    except FileNotFoundError:
        raise DataError(f"There is no dataset file {path}") from None
    except ArchiveError as error:
        raise DataError(str(error)) from error
    if objects:
        print(f"Warning: {path}: {', '.join(objects)} left out: Python objects are not read", file=sys.stderr)
    if "images" not in there:
        raise DataError(f"{path} has no array named images. Received: {', '.join(there) or 'none'}")
    if "times" in there:
        print(
            f"Warning: {path}: times left out: {called.command('train')} --dataset {path} and "
            f"{called.command('apply')} go by them",
            file=sys.stderr,
        )
    if unknown := [name for name in there if name not in (*ARRAYS, "times")]:
        known = ", ".join(ARRAYS)
        print(f"Warning: {path}: {', '.join(unknown)} left out: what is read is {known}", file=sys.stderr)
    return arrays


def _inputs(controls: np.ndarray, classes: Classes | None, name: str) -> tuple[np.ndarray, Classes]:
    """Return controls of a file as inputs, and the classes that they were."""
    if not control_classes.are_classes(controls):
        if classes:
            raise DataError(
                f"{name}: controls are of {controls.dtype}, those of the training data integers, classes"
            )
        return controls, ()
    if classes is None:
        classes = control_classes.classes_of([controls], name)
    elif not classes:
        raise DataError(
            f"{name}: controls are integers, so classes; those of the training data are numbers. Where these "
            "are too, controls.astype(numpy.float32)"
        )
    inputs = control_classes.one_hot(controls, classes, name)
    if unknown := control_classes.unknown_classes(controls, classes):
        named = ", ".join(map(str, unknown))
        print(f"Warning: {name}: controls of classes that no training has: {named}", file=sys.stderr)
    return inputs, classes


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
