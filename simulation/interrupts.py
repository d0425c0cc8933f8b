"""Interrupts that come while something must not be left half done."""

import signal
import threading


class HeldBackSignals:
    """Hold SIGINT and SIGTERM back until `deliver` is called, or to the end.

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
                for number in (signal.SIGINT, signal.SIGTERM):
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
