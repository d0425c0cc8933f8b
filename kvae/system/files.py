"""Files that appear under their name only when they are whole."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the name of a temporary file beside `path`, and move it there once the block has ended well.

    The temporary name keeps the suffix, by which writers choose a format. The folder is made where there
    is none; after an error nothing is left, and what was there before stays.

    Raises:
        OSError: it cannot be written, for example because the disk is full; the message names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
