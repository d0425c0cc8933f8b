"""Reading .h5 files that anyone may have made, as `kvae.data.archives` reads .npz: from that file alone.

A link to another file is not followed, and memory is not exhausted. Imports no TensorFlow; h5py where
there is such a file.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from kvae.data.archives import ArchiveError, Header, check_is_file, free_memory
from kvae.errors import UserError

SUFFIXES = (".h5", ".hdf5")


def read_headers(path: str | os.PathLike) -> dict[str, Header]:
    """Return the headers of all arrays in a file, by name; a group in it counts as an array of objects.

    Raises:
        ArchiveError: it is no .h5, or a damaged one, or one that names other files.
        FileNotFoundError: there is no such file.
    """
    with _opened(path) as file:
        return {name: _header(file, name) for name in file}


def read_arrays(path: str | os.PathLike, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays of a file, by name; those that are not there are left out.

    Args:
        path: the file.
        names: those to read, by default all.

    Raises:
        ArchiveError: as `read_headers`; or an array holds objects, or they are larger than the free memory.
        FileNotFoundError: there is no such file.
    """
    with _opened(path) as file:
        headers = {name: _header(file, name) for name in file if names is None or name in names}
        for name, header in headers.items():
            if header.dtype.hasobject:
                raise ArchiveError(f"{path}: {name} is a group, or holds objects, and is no array of numbers")
        size = sum(header.size for header in headers.values())
        if size > free_memory():
            raise ArchiveError(
                f"{path} takes {size / 1e9:,.1f} GB, more than the memory that is free "
                f"({free_memory() / 1e9:,.1f} GB): share its sequences among several files"
            )
        return {name: _array(file[name]) for name in headers}


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
    try:
        import h5py
    except ImportError:
        raise ArchiveError(
            f'{path} is read by h5py, which is not there:  pip install "h5py>=3.11,<4"'
        ) from None
    try:
        check_is_file(path)
        with h5py.File(path, "r") as file:
            yield file
    except (FileNotFoundError, UserError):
        raise
    # What a damaged file raises depends on the byte that is damaged.
    except Exception as error:
        raise ArchiveError(f"{path} is not a readable .h5 file: {error or type(error).__name__}") from error


def _header(file: Any, name: str) -> Header:
    import h5py

    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise ArchiveError(f"{file.filename}: {name} is a link to another file, which is not followed")
    item = file[name]
    if not isinstance(item, h5py.Dataset):
        return Header((), np.dtype(object))
    if item.is_virtual or item.external:
        raise ArchiveError(f"{file.filename}: {name} lies in another file, which is not read")
    if item.shape is None:
        raise ArchiveError(f"{file.filename}: {name} is empty")
    if h5py.check_string_dtype(item.dtype):
        return Header(item.shape, np.dtype(str))
    return Header(item.shape, item.dtype)


def _array(item: Any) -> np.ndarray:
    import h5py

    if h5py.check_string_dtype(item.dtype):
        return np.asarray(item.asstr()[()], str)
    return np.asarray(item[()])
