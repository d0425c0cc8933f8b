"""All commands, and any function under their guard: awkward streams, signals, disks and names."""

import errno
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from kvae.errors import UserError
from kvae.system import command
from kvae.system.signals import Stopped

ROOT = Path(__file__).parents[3]
COMMANDS = {
    "run_kvae": ["run_kvae.py"],
    "generate": ["-m", "simulation.generate"],
    "apply": ["-m", "kvae.apply"],
    "explore": ["-m", "kvae.explore"],
    "kvae": ["-m", "kvae", "generate"],
}
each_command = pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
NOWHERE = Path(os.fsdecode(b"n\xff \xc3\xa9{}%s\n-where"))


def start(words, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *words],
        cwd=options.pop("cwd", ROOT),
        env=environment,
        timeout=120,
        check=False,
        **options,
    )


def shell(line, words=(), **options):
    """Run a line of shell in which "$@" is a command of Python."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, *words],
        cwd=options.pop("cwd", ROOT),
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
        **options,
    )


def guarded(body):
    """A command whose work is `body`, with `signals`."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    return [
        "-c",
        "from kvae.system import command\ncommand.begin()\nimport errno, os, signal, sys, time\n"
        f"def work(signals):\n{lines}\nsys.exit(command.run(work))",
    ]


@pytest.mark.parametrize(
    ("words", "columns"),
    [(words, columns) for words in COMMANDS.values() for columns in ("5", "1000000000")]
    + [(COMMANDS["run_kvae"], columns) for columns in ("1", "6", "0", "-3", "wide")],
)
def test_help_comes_to_an_end_at_any_width(words, columns):
    found = start([*words, "--help"], capture_output=True, env={"COLUMNS": columns, "TERM": "dumb"})
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout.count(b"--") > 2
    assert b"\x1b" not in found.stdout


def test_help_comes_to_an_end_on_a_terminal_of_three_columns():
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 2, 3, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "run_kvae.py", "--help"], cwd=ROOT, env=environment, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    said = b""
    try:
        while part := os.read(controller, 65536):
            said += part
    except OSError:
        pass
    os.close(controller)
    assert process.wait(timeout=60) == 0
    assert b"--dataset" in said


@pytest.mark.parametrize(
    ("words", "closed"),
    [(words, ">&- 2>&- <&-") for words in COMMANDS.values()]
    + [(COMMANDS["run_kvae"], closed) for closed in (">&-", "2>&-", "<&-")],
)
def test_closed_streams_are_no_matter(words, closed):
    assert shell(f'"$@" --help {closed}', words).returncode == 0
    wrong = shell(f'"$@" --nonsense 3 {closed}', words)
    assert wrong.returncode == 2
    assert b"Traceback" not in wrong.stderr


@each_command
def test_a_reader_that_has_gone_ends_it_without_a_word(words):
    reading, writing = os.pipe()
    os.close(reading)
    found = start([*words, "--help"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, b"")


@each_command
def test_a_name_that_is_no_text_is_told(words, tmp_path):
    name = str(tmp_path / NOWHERE)
    arguments = {
        "run_kvae.py": ["--dataset", f"{name}/"],
        "simulation.generate": ["--describe", name],
        "kvae.apply": [name, name, "--continue", name],
        "kvae.explore": [name, "--port", name],
        "generate": ["--describe", name],
    }[words[-1]]
    found = start([*words, *arguments], capture_output=True, env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert found.returncode == 2
    assert rb"\udcff" in found.stderr
    assert b"Traceback" not in found.stderr


@each_command
def test_a_full_stream_ends_it_with_a_message(words):
    with open("/dev/full", "wb") as full:
        found = start([*words, "--help"], stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 2
    assert found.stderr == b"Error: no space left on device" + (
        b". What was saved before is whole\n" if words == COMMANDS["run_kvae"] else b"\n"
    )


@each_command
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_while_it_is_imported_prints_no_traceback(words, number, code):
    """At a moment that is in the imports, before TensorFlow: they take half a second."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *words, "--nonsense"], cwd=ROOT, stderr=subprocess.PIPE
    ) as process:
        said = b""
        for line in process.stderr:
            said += line
            if b"kvae.system.command" in line:
                break
        # Of its own first lines.
        time.sleep(0.05)
        process.send_signal(number)
        said += process.stderr.read()
    assert process.returncode == code
    assert b"Traceback" not in said
    assert f"Stopped by {number.name}".encode() in said


def interrupted(body, number, times=1):
    """Run `body` under the guard, send a signal once it has said so, and return its end."""
    with subprocess.Popen(
        [sys.executable, *guarded(body)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.05)
        said, errors = process.communicate(timeout=60)
    return process.returncode, said, errors


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_lets_it_tidy_up_however_often_it_comes(number, code, times):
    body = """
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    time.sleep(0.4)
    print("tidy", flush=True)
"""
    assert interrupted(body, number, times) == (code, "tidy\n", f"\nStopped by {number.name}\n")


def test_a_signal_in_a_finalizer_is_not_lost():
    body = """
class Slow:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(0.5)
Slow()
time.sleep(60)
"""
    assert interrupted(body, signal.SIGINT) == (130, "", "\nStopped by SIGINT\n")


def test_a_library_that_turns_a_signal_into_its_own_error_hides_nothing():
    body = """
try:
    print("ready", flush=True)
    time.sleep(60)
except BaseException:
    raise RuntimeError("graph execution error")
"""
    assert interrupted(body, signal.SIGINT) == (130, "", "\nStopped by SIGINT\n")


def test_nohup_outlives_its_terminal():
    ended = shell(
        'trap "" HUP; "$@" & child=$!; sleep 0.5; kill -HUP $child; wait $child',
        guarded("time.sleep(1.5)\nprint('done')"),
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"done\n", b"")


def test_a_terminal_that_closes_ends_it():
    """Nothing can be said any more; the exit code tells."""
    controller, terminal = pty.openpty()
    body = "for _ in range(600):\n    print('step', flush=True)\n    time.sleep(0.1)"
    process = subprocess.Popen(
        [sys.executable, *guarded(body)],
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    assert b"step" in os.read(controller, 100)
    os.close(controller)
    # A print may meet the closed terminal before the signal comes.
    assert process.wait(timeout=60) in (129, 2)


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path):
    body = f"""
with open({str(tmp_path / "numbers")!r}, "w") as file:
    assert file.fileno() > 2
    print("to nobody")
    os.write(1, b"a library's words")
    os.write(2, b"a library's words")
    file.write("1 2 3")
"""
    assert shell('"$@" <&- >&- 2>&-', guarded(body)).returncode == 0
    assert (tmp_path / "numbers").read_text() == "1 2 3"


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_that_is_none_is_mended(name, monkeypatch):
    monkeypatch.setattr(sys, name, None)
    assert command.run(lambda signals: print("a", file=sys.stderr) or print("b")) == 0
    getattr(sys, name).close()


def test_a_reader_that_goes_in_the_middle_ends_it():
    ended = shell('"$@" | head -1; echo "${PIPESTATUS[0]}"', guarded("for i in range(100_000): print(i)"))
    assert (ended.stdout, ended.stderr) == (b"0\n141\n", b"")


def test_a_child_s_pipe_is_not_the_output_s():
    body = "raise BrokenPipeError(errno.EPIPE, 'Broken pipe', 'film.mp4')"
    ended = start(guarded(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (2, b"Error: film.mp4: broken pipe\n")


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_any_text_can_be_printed(environment):
    body = r"print('\xe9', '\udcff', '\u2248'); print('\u2248\udcff', file=sys.stderr)"
    ended = start(guarded(body), capture_output=True, env=environment)
    assert ended.returncode == 0
    assert ended.stdout == rb"\xe9 \udcff \u2248" + b"\n"
    assert ended.stderr == rb"\u2248\udcff" + b"\n"


def test_a_quiet_command_takes_any_text_too():
    body = r"""
from kvae.system import console
with console.silenced():
    print('\xe9', '\udcff')
print('after')
"""
    ended = start(guarded(body), capture_output=True, env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert (ended.returncode, ended.stdout) == (0, b"after\n")


class ResourceExhaustedError(Exception):
    """As TensorFlow's, which says more than a line."""


DISK = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENAMETOOLONG]
NO_MEMORY = "Error: There is too little memory, or disk."
NO_TEXT = r"Error: A name is no text in utf-8, or holds letters it has not: 'a\udcff'"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("K must be 1."), 2, "Error: K must be 1."),
        *(
            (OSError(n, os.strerror(n), "a"), 2, f"Error: a: {os.strerror(n)[0].lower()}{os.strerror(n)[1:]}")
            for n in DISK
        ),
        (MemoryError("Unable to allocate 3 GiB"), 2, f"{NO_MEMORY} Unable to allocate 3 GiB"),
        (MemoryError(), 2, NO_MEMORY),
        (ResourceExhaustedError("OOM\nGraph"), 2, f"{NO_MEMORY} OOM"),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "no"), 2, NO_TEXT),
        (KeyboardInterrupt(), 130, "\nStopped by SIGINT"),
        (Stopped(signal.SIGHUP), 129, "\nStopped by SIGHUP"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error, code, message, capsys):
    def work(signals):
        raise error

    assert command.run(work) == code
    assert capsys.readouterr().err == f"{message}\n"


def test_a_fault_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        command.run(lambda signals: 1 / 0)
    with pytest.raises(ValueError, match="not for the user"):
        command.run(lambda signals: int("not for the user"))


def test_exit_codes_pass_and_the_width_is_put_back(monkeypatch):
    monkeypatch.setenv("COLUMNS", "3")
    assert command.run(lambda signals: int(os.environ["COLUMNS"])) == 40
    assert os.environ["COLUMNS"] == "3"
    assert command.guarded(lambda arguments: len(arguments))("abc") == 3


def test_simulation_needs_no_stream(tmp_path):
    options = "--dataset box --num_train 4 --num_test 2 --num_steps 4 --jobs 2 --data_dir".split()
    words = [*COMMANDS["generate"], *options, str(tmp_path)]
    assert shell('"$@" >&- 2>&- <&-', words).returncode == 0
    assert np.load(tmp_path / "box.npz")["images"].shape[:2] == (4, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.npz", "box_test.npz"]


def test_the_guard_loads_nothing_that_takes_time():
    code = "import sys, kvae.system.command; print(*sys.modules)"
    loaded = start(["-c", code], capture_output=True, text=True).stdout
    assert not re.search(r"\b(tensorflow|numpy|tyro|pygame)\b", loaded)
