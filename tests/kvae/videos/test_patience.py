"""A process, a pipe or a disk of which nothing comes ends with a message, and what is slow alone is read."""

import os
import subprocess
import sys
import threading
import time

import imageio_ffmpeg
import numpy as np
import pytest

from kvae.data import archives
from kvae.videos import containers, patience
from kvae.videos.frames import Look, read_clip
from kvae.videos.sources import VideoError, find
from tests.kvae.videos.test_reading import encode, levels, shown

REAL = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "ball.mp4"
    encode(path, levels(), "-c:v", "libx264", "-crf", "5", "-pix_fmt", "yuv420p")
    return path


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """Put a script in the place of ffmpeg, in which a second of silence is too long."""

    def put(script):
        path = tmp_path / "ffmpeg"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
        monkeypatch.setattr(patience, "LIMIT", 0.6)
        monkeypatch.setattr(patience, "_TICK", 0.1)

    return put


@pytest.mark.parametrize(
    "script",
    [
        "exec sleep 20",
        # A script's own child holds the pipe when the script is gone.
        "sleep 20",
        f'case "$*" in *framecrc*) exec sleep 20;; esac; exec {REAL} "$@"',
        f'case "$*" in *framecrc*) {REAL} "$@" | head -c 150; exec sleep 20;; esac; exec {REAL} "$@"',
        f'case "$*" in *image2pipe*) {REAL} "$@" | head -c 1000; exec sleep 20;; esac; exec {REAL} "$@"',
        "trap '' TERM INT; while :; do :; done",
    ],
    ids=["at once", "a child of it", "where times are read", "after some", "in a frame", "busy"],
)
def test_where_nothing_comes_it_ends_and_names_the_file(script, film, stub):
    stub(script)
    start = time.monotonic()
    with pytest.raises(VideoError, match=r"ball\.mp4 cannot be read: .* for 0\.6 seconds.*copy"):
        shown(film)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "script",
    [
        f'case "$*" in *framecrc*) {REAL} "$@" | while read line; do echo "$line"; sleep 0.15; done;;'
        f'*) exec {REAL} "$@";; esac',
        f'case "$*" in *framecrc*) for i in 1 2 3 4 5 6 7 8 9; do echo damaged >&2; sleep 0.15; done;; esac;'
        f'exec {REAL} "$@"',
    ],
    ids=["frame by frame", "what is damaged first"],
)
def test_what_takes_long_as_a_whole_is_read(script, film, stub):
    stub(script)
    start = time.monotonic()
    assert shown(film) == [*range(12)]
    assert time.monotonic() - start > 2 * patience.LIMIT


def test_nothing_stays_behind(film):
    before = threading.active_count()
    for _ in range(3):
        frames = containers.pictures(containers.probe(film))
        next(frames)
        frames.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_more_than_is_read_ahead(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, [12, 600, 600], np.uint8)
    path = tmp_path / "large.npy"
    np.save(path, frames)
    script = f"import numpy, sys; sys.stdout.buffer.write(numpy.load({str(path)!r}).tobytes())"
    with containers._running(path, [sys.executable, "-c", script]) as (pipe, _):
        found = b"".join(iter(lambda: pipe.read(100_001), b""))
        assert pipe.read(1) == b""
    assert found == frames.tobytes()


def test_a_program_that_is_stopped_for_a_while_is_not_late(film, stub):
    stub(f'case "$*" in *framecrc*) kill -STOP $PPID; sleep 2; kill -CONT $PPID;; esac; exec {REAL} "$@"')
    # Not this process, which a shell may watch.
    script = (
        "from kvae.videos import containers, patience; from pathlib import Path; patience.LIMIT = 1\n"
        f"print(len(containers.probe(Path({str(film)!r})).times))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("12\n", "")


def test_a_disk_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "LIMIT", 0.2)
    path = tmp_path / "gone.mp4"
    os.mkfifo(path)
    with pytest.raises(VideoError, match=r"gone\.mp4 cannot be read: the system says nothing of it"):
        containers.demuxer_of(path)
    # Lets the thread go.
    path.open("wb").close()
    with pytest.raises(ZeroDivisionError):
        patience.answer(path, lambda: 1 // 0)
    assert patience.answer(path, lambda: None) is None


def test_pipes_and_devices_are_not_opened(tmp_path, capsys):
    """Opened, a pipe that nobody writes to would never end."""
    names = ("a.mp4", "b.png", "c.tif", "d.npy", "e.npz")
    for name in names:
        os.mkfifo(tmp_path / name)
        with pytest.raises(VideoError, match=f"{name} is neither a file nor a folder, but a pipe"):
            find(tmp_path / name)
        if not name.endswith("npy"):
            with pytest.raises(archives.ArchiveError, match=f"{name} is no file, but a pipe"):
                archives.read_headers(tmp_path / name)
    with pytest.raises(VideoError, match=r"holds no video, but a\.mp4 \(a pipe"):
        find(tmp_path)
    (tmp_path / "f.mp4").symlink_to(tmp_path / "nowhere")
    np.save(tmp_path / "g.npy", np.zeros([3, 16, 16], np.uint8))
    (source,) = find(tmp_path)
    assert len(read_clip(source, Look(16, 16), 9)) == 3
    said = capsys.readouterr().err
    assert "6 files" in said
