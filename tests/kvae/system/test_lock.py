"""One process at a time writes to a folder, whatever happens to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvae.system import lock
from kvae.system.lock import FolderLock, HeldError, holder

ROOT = Path(__file__).parents[3]
HOLD = """
import sys
from pathlib import Path
from kvae.system.lock import FolderLock
mine = FolderLock(Path(sys.argv[1]))
mine.acquire()
print("mine", flush=True)
sys.stdin.read()
mine.release()
"""
RACE = """
import sys
from pathlib import Path
from kvae.system.lock import FolderLock, HeldError
folder = Path(sys.argv[1])
for _ in range(100):
    mine = FolderLock(folder)
    try:
        mine.acquire()
    except HeldError:
        continue
    # No other process is between these two lines.
    (folder / "inside").mkdir()
    (folder / "inside").rmdir()
    mine.release()
print("done")
"""


def start(script, folder):
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock on `tmp_path`."""
    with start(HOLD, tmp_path) as process:
        assert process.stdout.readline() == "mine\n"
        yield process
        process.kill()


def test_another_process_is_named(other, tmp_path):
    name = f"process {other.pid} on "
    assert holder(tmp_path).startswith(name)
    with pytest.raises(HeldError, match=name):
        FolderLock(tmp_path).acquire()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_what_a_process_held_is_free_when_it_has_ended(other, tmp_path, end):
    if end is None:
        other.communicate()
    else:
        other.send_signal(end)
    other.wait()
    assert holder(tmp_path) is None
    # Who is killed deletes nothing.
    assert (tmp_path / lock.NAME).exists() == (end is not None)
    mine = FolderLock(tmp_path)
    mine.acquire()
    assert (tmp_path / lock.NAME).read_text().startswith(f"process {os.getpid()} on ")
    mine.release()
    assert list(tmp_path.iterdir()) == []


def test_many_who_take_and_release_it_are_never_inside_together(tmp_path):
    racing = [start(RACE, tmp_path) for _ in range(3)]
    assert [process.communicate()[0] for process in racing] == ["done\n"] * 3


def test_a_folder_that_is_not_there_cannot_be_held(tmp_path):
    assert holder(tmp_path / "nowhere") is None
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "nowhere").acquire()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_cannot_be_held(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        FolderLock(tmp_path).acquire()
    tmp_path.chmod(0o700)
