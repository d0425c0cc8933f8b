"""Leaving when the system or the user says so, at a moment when nothing is lost."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

_ONE_WISH = 1.0
"""Seconds in which signals say the same: who presses Ctrl-C twice must not interrupt the tidying up."""
_AGAIN = 0.02
"""Seconds after which a signal that could not be raised comes again."""


def stopping() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a command here: the system's, the user's, a closed terminal's.

    The last is not among them where it is ignored: `nohup` lets a command outlive its terminal.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return tuple(numbers)


class Stopped(BaseException):
    """SIGTERM, SIGINT (Ctrl-C) or SIGHUP came; `exit_code` is what a shell expects: 143, 130 or 129.

    Like KeyboardInterrupt no `Exception`: libraries that catch those must not catch this.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class StopSignals:
    """Turn SIGTERM, SIGINT and SIGHUP into `Stopped`, at once or, inside `deferred()`, when asked.

    A context manager; before and after it the signals do what they did. Outside the main thread, where
    Python can't handle signals, it does nothing.
    """

    def __init__(self) -> None:
        self._came: int | None = None
        self._is_deferred = False
        self._raised_at = -float("inf")
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in stopping():
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
            self._stop(self._came)

    @property
    def came(self) -> bool:
        """Whether a signal is being held back."""
        return self._came is not None

    def repeat(self, number: int) -> None:
        """Let a signal come again whose exception was lost where Python can raise none."""
        self._raised_at = -float("inf")
        again = threading.Timer(_AGAIN, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() - self._raised_at < _ONE_WISH:
            return
        self._came = number
        if not self._is_deferred:
            self._stop(number)

    def _stop(self, number: int) -> NoReturn:
        self._raised_at = time.monotonic()
        raise Stopped(number)
