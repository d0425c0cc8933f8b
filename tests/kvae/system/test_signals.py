import os
import signal
import threading

import pytest

from kvae.system.signals import Stopped, StopSignals


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_at_once_or_at_the_end_of_a_deferred_block(number, exit_code):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        with pytest.raises(Stopped) as stopped:
            os.kill(os.getpid(), number)
        assert stopped.value.exit_code == exit_code
    assert signal.getsignal(number) is before

    done = []
    with StopSignals() as signals:
        with pytest.raises(Stopped), signals.deferred():
            assert not signals.came
            os.kill(os.getpid(), number)
            assert signals.came
            done.append("the rest of the block")
        assert done
    assert signal.getsignal(number) is before


def test_an_error_inside_a_deferred_block_is_not_hidden():
    with StopSignals() as signals, pytest.raises(ZeroDivisionError), signals.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        1 / 0  # noqa: B018


def test_other_threads_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)

    def work():
        with StopSignals() as signals, signals.deferred():
            assert signal.getsignal(signal.SIGTERM) is before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_what_fails_because_of_a_signal_is_the_signal():
    with pytest.raises(Stopped, match="SIGINT") as stopped, StopSignals() as signals, signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        raise OSError("a child process has gone")
    assert stopped.value.exit_code == 130


def test_libraries_do_not_catch_it():
    with StopSignals(), pytest.raises(Stopped):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            raise OSError("the library's own words") from error
