import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvae.system import console
from kvae.system.signals import Stopped

ROOT = Path(__file__).parents[3]
CHATTER = b"WARNING: All log messages before absl::InitializeLog() is called\nI0000 00:00:1 cpu.cc:1] so\n"
NO_DRIVER = b"E0000 00:00:1 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n"
MATTERS = b"E0000 00:00:1 file.cc:1] disk error\nW0000 00:00:1 file.cc:2] slow\nTraceback\n"


def test_passes_on_what_matters_alone(capfd):
    with console.held_back():
        os.write(2, CHATTER + MATTERS + NO_DRIVER)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == MATTERS.decode() + "after\n"


def test_passes_everything_on_after_an_error(capfd):
    with pytest.raises(KeyError), console.held_back():
        os.write(2, CHATTER)
        raise KeyError
    assert capfd.readouterr().err == CHATTER.decode()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(signal.SIGINT), SystemExit(2)])
def test_who_is_stopped_while_it_loads_says_no_more(capfd, stop):
    with pytest.raises(type(stop)), console.held_back():
        os.write(2, CHATTER + MATTERS)
        raise stop
    assert capfd.readouterr().err == MATTERS.decode()


def test_passes_on_that_there_is_no_driver_where_a_gpu_was_asked_for(capfd):
    with console.held_back(wants_gpu=True):
        os.write(2, CHATTER + NO_DRIVER + MATTERS)
    assert capfd.readouterr().err == (NO_DRIVER + MATTERS).decode()


def test_silence_is_of_standard_output_alone():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for silent in (True, False):
            with console.silenced(silent):
                print("progress", silent)
                print("error", silent, file=sys.stderr)
        with pytest.raises(KeyError), console.silenced():
            raise KeyError
        print("after")
    assert out.getvalue() == "progress False\nafter\n"
    assert err.getvalue() == "error True\nerror False\n"


def test_tensorflow_loads_without_a_word():
    code = """
from kvae.system import console
with console.held_back():
    from kvae.system import device
    device.has_gpu()
"""
    # As the commands set it; it is for what comes after the first words.
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")
