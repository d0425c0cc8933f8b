"""Leaving when the system or the user says so, at a moment when nothing is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self


class Stopped(BaseException):
    """SIGTERM or SIGINT (Ctrl-C) came; `exit_code` is what a shell expects then, 143 or 130.

    Like KeyboardInterrupt no `Exception`: libraries that catch those must not catch this.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class StopSignals:
    """Turn SIGTERM and SIGINT into `Stopped`, at once or, inside `deferred()`, when asked.

    A context manager; before and after it the signals do what they did. Outside the main thread, where
    Python can't handle signals, it does nothing.
    """

    def __init__(self) -> None:
        self._came: int | None = None
        self._is_deferred = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        # Ctrl-C reaches children too: an ffmpeg that it ends fails here, but is not what happened.
        if self._came is not None and isinstance(error, Exception):
            raise Stopped(self._came) from error

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold signals back until the end of the block, unless `came` is looked at before."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self._came is not None:
            raise Stopped(self._came)

    @property
    def came(self) -> bool:
        """Whether a signal is being held back."""
        return self._came is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._came = number
        if not self._is_deferred:
            raise Stopped(number)
