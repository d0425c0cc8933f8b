"""Interrupts that come while pymunk draws."""

import signal
import threading


class HeldBackSignals:
    """Hold SIGINT and SIGTERM back until `deliver` is called.

    pymunk draws through callbacks from C, which swallow exceptions, the one of Ctrl-C among them. A
    context manager; in other threads than the main one, where no signal arrives, it does nothing.
    """

    def __init__(self):
        self._came = None
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def deliver(self):
        """If a signal came, let it do what it would have done."""
        if self._came is not None:
            self.__exit__()
            signal.raise_signal(self._came)

    def _note(self, number, frame):
        self._came = number
