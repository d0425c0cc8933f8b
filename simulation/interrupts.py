"""Interrupts that come while something must not be left half done."""

import contextlib
import multiprocessing.resource_tracker
import signal
import threading
from collections.abc import Iterator

from kvae.system.command import stopping


class HeldBackSignals:
    """Hold SIGINT, SIGTERM and SIGHUP back until `deliver` is called, or to the end.

    pymunk draws through callbacks from C, which swallow exceptions, the one of Ctrl-C among them; and a zip
    that is interrupted between two of its steps can't be closed. A context manager; within another one,
    which holds them back already, it leaves that to it, and in other threads than the main one, where no
    signal arrives, it does nothing.
    """

    def __init__(self):
        self._came = None
        self._before = {}
        self._outer = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            holder = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
            if isinstance(holder, HeldBackSignals):
                self._outer = holder
            else:
                for number in stopping():
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception):
        self._stop()
        if exception == (None, None, None):
            self.deliver()

    def deliver(self):
        """If a signal came, let it do what it would have done."""
        if self._outer is not None:
            self._outer.deliver()
        elif self._came is not None:
            self._stop()
            number, self._came = self._came, None
            signal.raise_signal(number)

    def _stop(self):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number, frame):
        self._came = number


@contextlib.contextmanager
def withheld_from_children() -> Iterator[None]:
    """Let no SIGINT and no SIGHUP ever reach the processes that are started in the block.

    Ctrl-C and the end of a terminal reach all processes in it; the one that started them decides. They could
    ignore the signals themselves, but only once their imports, which take most of a second, are done.
    """
    of_terminals = {signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, of_terminals)
    try:
        # A process too; its start lets SIGINT through to this thread again.
        multiprocessing.resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, of_terminals)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
