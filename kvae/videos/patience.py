"""Waiting for a file, or for a process that reads one, but not for ever."""

import io
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from kvae.videos.errors import VideoError

LIMIT = 60.0
"""Seconds in which nothing comes. What takes long as a whole may: a long film is read to its end."""

_TICK = 0.5
_CHUNK = 2**16
_AHEAD = 16

T = TypeVar("T")


def answer(path: Path, ask: Callable[[], T]) -> T:
    """Return what a function returns that asks the system for a file: a disk that is gone may never answer.

    Args:
        path: what messages call the file.
        ask: is called in a thread, which is left behind where it does not end.

    Raises:
        VideoError: it has not returned within `LIMIT`.
    """
    found: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            found.append(ask())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for seconds in _waits():
        thread.join(seconds)
        if errors:
            raise errors[0]
        if found:
            return found[0]
    raise _late(path, "the system says nothing of it")


class Output(io.RawIOBase):
    """What a process writes, read by a thread of its own: no system call waits for a while on all systems.

    A read raises `VideoError` where nothing has come for `LIMIT`.

    Args:
        pipe: of the process, without a buffer; the thread closes it.
        path: what messages call the file that the process reads.
        other_signs: a number that changes where the process is alive in another way than by writing here.
    """

    def __init__(self, pipe: IO[bytes], path: Path, other_signs: Callable[[], int]):
        super().__init__()
        self._pipe, self._path, self._other_signs = pipe, path, other_signs
        self._chunks: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._rest = memoryview(b"")
        self._is_wanted, self._is_whole = True, False
        threading.Thread(target=self._copy, daemon=True).start()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of a buffer with what comes next; return how many bytes, 0 at the end."""
        if not self._rest and not self._is_whole:
            self._rest = memoryview(self._next())
            self._is_whole = not self._rest
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Let the thread end: what it waits for is a place, or a process that has been ended before."""
        self._is_wanted = False
        while not self._chunks.empty():
            self._chunks.get()
        super().close()

    def _copy(self) -> None:
        try:
            with self._pipe:
                while self._is_wanted and (chunk := self._pipe.read(_CHUNK)):
                    self._chunks.put(chunk)
        finally:
            self._chunks.put(b"")

    def _next(self) -> bytes:
        seen = None
        while (now := self._other_signs()) != seen:
            seen = now
            for seconds in _waits():
                try:
                    return self._chunks.get(timeout=seconds)
                except queue.Empty:
                    continue
        raise _late(self._path, "ffmpeg has given nothing of it")


def _waits() -> Iterator[float]:
    """Yield seconds to wait, one after the other, `LIMIT` in all.

    They are counted, as clocks go on while a program is stopped, and what it waits for is stopped too.
    """
    left = LIMIT
    while left > 0:
        yield min(left, _TICK)
        left -= _TICK


def _late(path: Path, what: str) -> VideoError:
    return VideoError(
        f"{path} cannot be read: {what} for {LIMIT:g} seconds. Where the disk that it lies on is slow, "
        "or gone, a copy on another one can be read"
    )
