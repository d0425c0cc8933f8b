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

_HARMLESS = re.compile(
    rb"WARNING: All log messages before absl"
    # Information; and that there is no driver of a GPU, where none was asked for.
    rb"|I\d{4} |E\d{4} .*(cuInit|cuda_|CUDA)"
)
"""Beginnings of the lines that are not passed on."""


@contextlib.contextmanager
def held_back(show: bool = False) -> Iterator[None]:
    """Hold back what any library writes to standard error in the block; afterwards pass on what matters.

    After an exception everything is passed on.

    Args:
        show: pass everything on at once.
    """
    if show:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(said.fileno(), 2)
        harmless: re.Pattern[bytes] | None = None
        try:
            yield
            harmless = _HARMLESS
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), 2)
            said.seek(0)
            for line in said:
                if harmless is None or not harmless.match(line):
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
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
