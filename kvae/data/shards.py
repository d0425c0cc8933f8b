"""Training data in many files, of which few are in memory at a time. Imports no TensorFlow."""

import bisect
import collections
import copy
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kvae.data import fields
from kvae.data.archives import ArchiveError, read_arrays, read_headers
from kvae.data.dataset import DataError, Dataset, load, read_classes
from kvae.errors import in_words

WINDOW_BYTES = 64 * 2**20
"""Frames that are in memory at a time, in bytes: some 3,000 sequences of 20 frames of 32x32."""


class Shards:
    """The sequences of a folder of files `train-00003-of-00016.npz`, one after the other.

    An epoch shuffles the files, and then the sequences of a window of files, as many as `window_bytes`
    hold; only those are in memory. So memory does not grow with the number of files.

    Args:
        folder: the folder.
        use_controls: False: leave the controls out, as if there were none.
        window_bytes: frames that may be in memory, in bytes; one file is, whatever its size.

    Attributes:
        shape: (N, T, H, W) of all sequences together, or in colour (N, T, H, W, 3).
        dtype: of the frames, uint8 or float32.
        dim_u: entries of a control, 0 if there are none.
        classes: where controls were classes, and are one-hot now: those; else ().
        mask: [N, T], 0 where nobody has the frame; None: every frame is there.

    Raises:
        DataError: a file is missing, or does not go with the others.
    """

    def __init__(
        self, folder: str | os.PathLike, use_controls: bool = True, window_bytes: int = WINDOW_BYTES
    ):
        self._use_controls = use_controls
        self._paths = sorted(Path(folder).glob("train-*.npz"))
        count = len(self._paths)
        expected = [f"train-{i:05d}-of-{count:05d}.npz" for i in range(count)]
        if not count or [path.name for path in self._paths] != expected:
            names = [path.name for path in self._paths[:3]] + ["..."] * (count > 3)
            raise DataError(
                f"{folder} must hold the files train-00000-of-N.npz up to N, all N and no others. "
                f"Received: {', '.join(names) or 'none'}"
            )
        headers = [_headers(path) for path in self._paths]
        for path, header in zip(self._paths, headers, strict=True):
            kind, first = (header[0][1:], *header[1:]), (headers[0][0][1:], *headers[0][1:])
            if kind != first:
                raise DataError(
                    f"{path} does not go with {self._paths[0].name}: its frames, their type and its controls "
                    f"are {kind}, not {first}"
                )
        sizes = [header[0][0] for header in headers]
        # Sequence n is in file i where starts[i] <= n < starts[i + 1].
        self._starts = [0, *np.cumsum(sizes).tolist()]
        (_, *frame), self.dtype, dim_u = headers[0]
        self.classes = read_classes(folder) if use_controls and dim_u else ()
        if self.classes:
            dim_u = sum(max(known, default=-1) + 1 for known in self.classes)
        self.dim_u = dim_u if use_controls else 0
        self.shape: tuple[int, ...] = (self._starts[-1], *frame)
        self.mask = _masks(self._paths, [(size, frame[0]) for size in sizes])
        bytes_of_file = max(sizes) * int(np.prod(frame)) * self.dtype.itemsize
        self._files_in_window = max(1, window_bytes // bytes_of_file)
        self._in_memory: collections.OrderedDict[int, Dataset] = collections.OrderedDict()

    @property
    def channels(self) -> int:
        """1 of grey frames, 3 of colour."""
        return 3 if len(self.shape) == 5 else 1

    def in_channels(self, channels: int) -> "Shards":
        """Give out grey frames, 1, or frames in colour, 3, from now on, whatever the files hold."""
        self.shape = (*self.shape[:4], 3) if channels == 3 else self.shape[:4]
        self._in_memory.clear()
        return self

    def order_of_epoch(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the order of the sequences in an epoch: new in every epoch, the same in every run."""
        rng = np.random.default_rng([seed, epoch])
        files = rng.permutation(len(self._paths))
        order = []
        for first in range(0, len(files), self._files_in_window):
            window = files[first : first + self._files_in_window]
            ends = [min(self._starts[i + 1], self.shape[0]) for i in window]
            numbers = [np.arange(self._starts[i], end) for i, end in zip(window, ends, strict=True)]
            order.append(rng.permutation(np.concatenate(numbers)))
        return np.concatenate(order)

    def split(self, count: int) -> tuple["Shards", Dataset]:
        """Return all sequences but the last `count`, and those, in memory.

        Raises:
            DataError: a file cannot be read any more, or has changed.
        """
        kept, rest = self.shape[0] - count, copy.copy(self)
        images, controls = self.take(np.arange(kept, self.shape[0]))
        mask = None
        if self.mask is not None:
            rest.mask, mask = self.mask[:kept], self.mask[kept:]
        rest.shape, rest._in_memory = (kept, *self.shape[1:]), collections.OrderedDict()
        return rest, Dataset(images, controls, None, mask, self.classes)

    def take(self, indices: Sequence[int] | NDArray) -> tuple[NDArray, NDArray]:
        """Return frames [B, T, H, W] and controls [B, T, dim_u] of the sequences with these numbers.

        Raises:
            DataError: a file cannot be read any more, or has changed.
        """
        images = np.empty([len(indices), *self.shape[1:]], self.dtype)
        controls = np.empty([len(indices), self.shape[1], self.dim_u], np.float32)
        for row, index in enumerate(indices):
            number = bisect.bisect_right(self._starts, index) - 1
            file, position = self._file(number), index - self._starts[number]
            images[row], controls[row] = file.images[position], file.controls[position]
        return images, controls

    def _file(self, number: int) -> Dataset:
        """Return the `Dataset` of a file, the one used least recently making room for it."""
        if number not in self._in_memory:
            while len(self._in_memory) >= self._files_in_window:
                self._in_memory.popitem(last=False)
            found = load(self._paths[number], self._use_controls, self.classes).in_channels(self.channels)
            expected = (self._starts[number + 1] - self._starts[number], *self.shape[1:])
            if found.images.shape != expected:
                raise DataError(
                    f"{self._paths[number]} has changed: images were {expected}. "
                    f"Received: shape {found.images.shape}"
                )
            # The states are of no use to training.
            self._in_memory[number] = found._replace(states=None)
        self._in_memory.move_to_end(number)
        return self._in_memory[number]


def _headers(path: Path) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return the shape of the frames, their type in memory, and dim_u, without reading the arrays."""
    try:
        headers = read_headers(path)
        shape, dtype = headers["images"]
        controls = headers.get("controls")
        dim_u = 0 if controls is None or controls.dtype.hasobject else [*controls.shape, 1, 1][2]
    except (ArchiveError, OSError) as error:
        raise DataError(in_words(error)) from error
    except (KeyError, IndexError) as error:
        raise DataError(f"{path} is not a dataset file: {error}") from error
    shape = fields.shape_of_images(shape, str(path))
    return shape, np.dtype(np.uint8 if dtype == np.uint8 else np.float32), dim_u


def _masks(paths: Sequence[Path], shapes: Sequence[tuple[int, int]]) -> NDArray[np.float32] | None:
    """Return the masks of files, whose (N, T) are given, one after the other; None: every frame is there."""
    masks = []
    try:
        for path, shape in zip(paths, shapes, strict=True):
            found = read_arrays(path, ("mask",)).get("mask")
            masks.append(None if found is None else fields.seen_of(found, shape, str(path)))
    except (ArchiveError, OSError) as error:
        raise DataError(in_words(error)) from error
    if all(mask is None for mask in masks):
        return None
    whole = [
        np.ones(shape, np.float32) if mask is None else mask
        for mask, shape in zip(masks, shapes, strict=True)
    ]
    return np.concatenate(whole)
