"""What is said without need: by TensorFlow while it loads, and by a command that is to be quiet.

TF_CPP_MIN_LOG_LEVEL does not reach TensorFlow's first words: what is logged before it has set up its logging
goes to standard error whatever its level. Imports no TensorFlow.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import IO

from kvae.system import imports

_HARMLESS = re.compile(rb"WARNING: All log messages before absl|I\d{4} ")
"""Beginnings of the lines that are not passed on: information."""
_NO_GPU = re.compile(rb"E\d{4} .*(cuInit|cuda_|CUDA)")
"""Those that say that there is no driver of a GPU."""


_holds = False
"""Whether somebody holds back already."""


def without_talk() -> None:
    """Let TensorFlow load without its talk, whoever imports it from now on.

    A variable that says how much it is to tell stays as it is.
    """
    # Of the processor, which helps nobody; its errors do.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "tensorflow" not in sys.modules:
        imports.around("tensorflow", _quietly)


def _quietly(execute: Callable[[], None], module: ModuleType) -> None:
    with held_back():
        execute()


@contextlib.contextmanager
def held_back(wants_gpu: bool = False) -> Iterator[None]:
    """Hold back what any library writes to standard error in the block; afterwards pass on what matters.

    After an error everything is passed on. Inside of another such block it is that one's business; where
    there is no standard error nothing is held back.

    Args:
        wants_gpu: a GPU was asked for, so that it matters if there is none.
    """
    global _holds
    with contextlib.ExitStack() as stack:
        kept = None if _holds else _spool(stack)
        if kept is None:
            yield
            return
        said, stderr = kept
        os.dup2(said.fileno(), 2)
        harmless: tuple[re.Pattern[bytes], ...] = (_HARMLESS,) if wants_gpu else (_HARMLESS, _NO_GPU)
        _holds = True
        try:
            yield
        except Exception:
            harmless = ()
            raise
        finally:
            _holds = False
            _flush()
            os.dup2(stderr.fileno(), 2)
            said.seek(0)
            for line in said:
                if not any(pattern.match(line) for pattern in harmless):
                    stderr.write(line)


def _spool(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]] | None:
    """Return a file for what is held back, and standard error itself; None where one of them cannot be."""
    _flush()
    try:
        said = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        return said, stack.enter_context(os.fdopen(os.dup(2), "wb"))
    except OSError:
        return None


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


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
