"""Who writes to a folder: one process at a time.

The operating system holds the lock and takes it back when the process ends, however that ends.
"""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = ".lock"
"""Of the file in the folder; it says who holds the lock."""

_HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_FAR = 2**30
"""Where Windows locks a byte: what is locked there cannot be read."""


class HeldError(Exception):
    """Another process writes to the folder; the message says which, such as `process 12 on host`."""


class NoLocksError(OSError):
    """The disk knows no locks, as some network disks."""


class FolderLock:
    """The lock on a folder, free at first.

    Args:
        folder: the folder, which must be there.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            HeldError: another one holds it.
            NoLocksError: the disk knows no locks.
            OSError: the folder cannot be written to.
        """
        while self._file is None:
            file = self.path.open("ab+")
            try:
                _take(file, self.path)
                if _is_named(file, self.path):
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
                    file.flush()
                    self._file = file
            finally:
                if self._file is None:
                    file.close()

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is None:
            return
        if sys.platform != "win32":
            # Before it is free: a file that another one has locked meanwhile must stay.
            self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None


def holder(folder: Path) -> str | None:
    """Return who writes to a folder, such as `process 12 on host`; None: nobody does, or nobody can tell."""
    path = folder / NAME
    try:
        with path.open("rb+") as file:
            _take(file, path)
    except HeldError as error:
        return str(error)
    except OSError:
        pass
    return None


def _take(file: IO[bytes], path: Path) -> None:
    try:
        if sys.platform == "win32":
            file.seek(_FAR)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            # By the open file: its holder may be deleting it.
            file.seek(0)
            raise HeldError(file.read().decode(errors="replace") or "another process") from None
        raise NoLocksError(error.errno, error.strerror, str(path)) from error


def _is_named(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is the one of that name: its holder before may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
