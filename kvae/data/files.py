"""The arrays of a file by name, in .npz or, where the suffix says so, HDF5. Imports no TensorFlow."""

import os
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

import numpy as np

from kvae.data import archives, hdf5
from kvae.data.archives import Header


def read_headers(path: str | os.PathLike) -> dict[str, Header]:
    """Return the headers of all arrays in a file; see `archives.read_headers` and `hdf5.read_headers`."""
    headers: dict[str, Header] = _reader(path).read_headers(path)
    return headers


def read_arrays(path: str | os.PathLike, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays of a file, by name; see `archives.read_arrays` and `hdf5.read_arrays`."""
    arrays: dict[str, np.ndarray] = _reader(path).read_arrays(path, names)
    return arrays


def _reader(path: str | os.PathLike) -> ModuleType:
    return hdf5 if Path(path).suffix.lower() in hdf5.SUFFIXES else archives
