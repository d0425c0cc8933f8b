"""What is said without need: by TensorFlow while it loads, and by a command that is to be quiet.

TF_CPP_MIN_LOG_LEVEL does not reach TensorFlow's first words: what is logged before it has set up its logging
goes to standard error whatever its level. Imports no TensorFlow.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_HARMLESS = re.compile(rb"WARNING: All log messages before absl|I\d{4} ")
"""Beginnings of the lines that are not passed on: information."""
_NO_GPU = re.compile(rb"E\d{4} .*(cuInit|cuda_|CUDA)")
"""Those that say that there is no driver of a GPU."""


@contextlib.contextmanager
def held_back(wants_gpu: bool = False) -> Iterator[None]:
    """Hold back what any library writes to standard error in the block; afterwards pass on what matters.

    After an error everything is passed on.

    Args:
        wants_gpu: a GPU was asked for, so that it matters if there is none.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(said.fileno(), 2)
        harmless: tuple[re.Pattern[bytes], ...] = (_HARMLESS,) if wants_gpu else (_HARMLESS, _NO_GPU)
        try:
            yield
        except Exception:
            harmless = ()
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), 2)
            said.seek(0)
            for line in said:
                if not any(pattern.match(line) for pattern in harmless):
                    stderr.write(line)


@contextlib.contextmanager
def silenced(silent: bool = True) -> Iterator[None]:
    """Let nothing that Python code writes to standard output in the block arrive there.

    Args:
        silent: False: let it.
    """
    if not silent:
        yield
        return
    # It must take what a standard stream takes, names that are no text among it.
    with (
        open(os.devnull, "w", encoding="utf-8", errors="backslashreplace") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        yield
