"""Reading .npz files that anyone may have made: no code of theirs runs, and memory is not exhausted.

Imports no TensorFlow.
"""

import math
import os
import stat
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kvae.errors import UserError


class ArchiveError(UserError):
    """A file that is no .npz, or a damaged one, or one that cannot be read safely; the message says why."""


class Header(NamedTuple):
    """What an array says of itself.

    Attributes:
        shape: its sides.
        dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes that the array takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: str | os.PathLike) -> dict[str, Header]:
    """Return the headers of all arrays in a file, by name, without reading the arrays.

    Raises:
        ArchiveError: it is no .npz, or a damaged one.
        FileNotFoundError: there is no such file.
    """
    with _opened(path) as archive:
        return {name: _header(archive, name) for name in _names(archive)}


def read_arrays(path: str | os.PathLike, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays of a file, by name; those that are not there are left out.

    An array is read only if it takes as many bytes as its header says, and if all of them together fit into
    the memory that is free: neither a header nor a small file that expands can use it up.

    Args:
        path: the file.
        names: those to read, by default all.

    Raises:
        ArchiveError: it is no .npz, or a damaged one; an array holds Python objects, which are never
            unpickled; or the arrays are larger than the free memory.
        FileNotFoundError: there is no such file.
    """
    with _opened(path) as archive:
        wanted = [name for name in _names(archive) if names is None or name in names]
        headers = {name: _header(archive, name) for name in wanted}
        for name, header in headers.items():
            if header.dtype.hasobject:
                raise ArchiveError(f"{path}: {name} holds Python objects, which are never unpickled")
        size = sum(header.size for header in headers.values())
        if size > free_memory():
            raise ArchiveError(
                f"{path} expands to {size / 1e9:,.1f} GB, more than the memory that is free "
                f"({free_memory() / 1e9:,.1f} GB): share its sequences among several files"
            )
        arrays = {}
        for name in wanted:
            with archive.open(f"{name}.npy") as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays


def check_is_file(path: str | os.PathLike) -> None:
    """Raise an ArchiveError where a path is a pipe or a device, of which nothing may ever come."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ArchiveError(f"{path} is no file, but a pipe, a socket or a device: copy it to a file")


def free_memory() -> float:
    """Return the bytes of memory that this process may still take; infinity where the system does not say."""
    free = [math.inf]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            free.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # No such limit, or `max`.
            continue
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    except OSError:
        pass
    return min(free)


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    try:
        check_is_file(path)
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (FileNotFoundError, UserError):
        raise
    # What a damaged zip file raises depends on the byte that is damaged.
    except Exception as error:
        raise ArchiveError(f"{path} is not a readable .npz file: {error or type(error).__name__}") from error


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    """Return what an array says of itself, if that agrees with its size."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ArchiveError(f"{archive.filename}: {name} is of the format {version}, which is not read")
        shape, _, dtype = read[version](member)
        header = Header(shape, dtype)
        size = archive.getinfo(f"{name}.npy").file_size - member.tell()
    # The size of pickled objects is not known.
    if min(shape, default=0) < 0 or (header.size != size and not dtype.hasobject):
        raise ArchiveError(
            f"{archive.filename}: {name} is damaged: {size} bytes are no array {list(shape)} of {dtype}"
        )
    return header
