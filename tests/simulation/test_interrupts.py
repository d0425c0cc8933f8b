import signal

import pytest

from simulation.interrupts import HeldBackSignals


@pytest.fixture(autouse=True)
def heeded():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_a_signal_waits_until_it_is_delivered():
    done = []
    with pytest.raises(KeyboardInterrupt), HeldBackSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        done.append("more")
        signals.deliver()
        done.append("too much")
    assert done == ["more"]


def test_a_signal_waits_to_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), HeldBackSignals():
        signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done == ["all"]


def test_an_error_goes_before_a_signal():
    with pytest.raises(BlockingIOError), HeldBackSignals():
        signal.raise_signal(signal.SIGINT)
        raise BlockingIOError


@pytest.mark.parametrize("earlier", [True, False])
def test_within_another(earlier):
    def chunks():
        with HeldBackSignals() as inner:
            yield 1
            inner.deliver()
            yield 2

    done = []
    with pytest.raises(KeyboardInterrupt), HeldBackSignals() as outer:
        if earlier:
            signal.raise_signal(signal.SIGINT)
        for chunk in chunks():
            done.append(chunk)
            if not earlier:
                signal.raise_signal(signal.SIGINT)
        outer.deliver()
    assert done == [1]
