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


def test_the_outermost_says_what_matters(capfd):
    with console.held_back(wants_gpu=True):
        with console.held_back():
            os.write(2, CHATTER + NO_DRIVER)
        os.write(2, MATTERS)
    assert capfd.readouterr().err == (NO_DRIVER + MATTERS).decode()
    with console.held_back():
        os.write(2, NO_DRIVER)
    assert capfd.readouterr().err == ""


def test_without_a_standard_error_the_block_is_run_all_the_same():
    code = "from kvae.system import console\nwith console.held_back(): print('done')"
    closed = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" -c "$0" 2>&-', code], cwd=ROOT, capture_output=True, text=True
    )
    assert closed.stdout == "done\n"


@pytest.mark.parametrize(
    "code",
    [
        "import kvae\nkvae.KVAE(kvae.Config(num_filters=(4,))).build((None, None, 8, 8))",
        "from kvae.inference import kalman\nimport kvae.training.loop\nimport tensorflow",
        "import kvae\nkvae.kalman\nimport tensorflow as tf\ntf.constant(1) + 1",
    ],
)
def test_tensorflow_loads_without_a_word(code):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "")


def test_who_has_said_how_much_tensorflow_is_to_tell_is_heard():
    code = "import os, sys, kvae\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'], 'tensorflow' in sys.modules)"
    for level, expected in (("0", "0 False\n"), (None, "2 False\n")):
        environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout == expected
