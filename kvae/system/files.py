"""Files that appear under their name only when they are whole and on the disk.

A power cut loses what a program wrote and did not ask to be stored: the content of a file, and its name in
the folder, each by itself. So both are asked for, in that order.
"""

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the name of a temporary file beside `path`, and move it there once the block has ended well.

    The temporary name keeps the suffix, by which writers choose a format. The folder is made where there
    is none; after an error nothing is left, and what was there before stays. After the block the file is on
    the disk: a power cut leaves it, and before that the one that was there.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the message names the file.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        sync_file(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def file_name(name: str) -> str:
    """Return what the files of a dataset are called: its name, with dashes for what no file's name may hold.

    Only a name with a colon, that of an environment or of a world of somebody's own, can hold such.

    Examples:
        >>> file_name("gym:ALE/Pong-v5"), file_name("box")
        ('gym-ALE-Pong-v5', 'box')
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", name) if ":" in name else name


def make_folder(path: Path, exist_ok: bool = True) -> None:
    """Make a folder and those above it that are not there, on the disk.

    Raises:
        FileExistsError: it is there already, and `exist_ok` is false; or a file is.
        OSError: it cannot be made.
    """
    above = path.parent
    if not above.is_dir():
        make_folder(above)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not exist_ok or not path.is_dir():
            raise
    else:
        sync_folder(above)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    # To write: Windows stores nothing of a file that is opened to be read.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "nt":
        # Which opens no folders, and stores names by itself.
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        # Some network disks do not know it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(folder)
