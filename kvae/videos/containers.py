"""Films decoded by a process of ffmpeg: a crash there is not one here, and it reads that one file alone."""

import contextlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import imageio_ffmpeg
from PIL import Image

from kvae.videos import patience
from kvae.videos.errors import VideoError

_MOV = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_STARTS = {
    b"\x1a\x45\xdf\xa3": "matroska",
    b"FLV": "flv",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpegvideo",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "asf",
}


class Film(NamedTuple):
    """What a film says of itself.

    Attributes:
        path: the file.
        options: of ffmpeg, up to the input.
        alpha: whether its pixels may be transparent.
        times: seconds at which its frames begin, in the order shown.
        trouble: what ffmpeg complained of, or nothing.
    """

    path: Path
    options: tuple[str, ...]
    alpha: bool
    times: list[float]
    trouble: str


def demuxer_of(path: Path) -> str:
    """Return ffmpeg's name of the container that a film is in, by its first bytes.

    Raises:
        VideoError: it is none of those that hold their frames themselves: a playlist names other files.
    """
    head = patience.answer(path, lambda: _head(path))
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[4:8] in _MOV:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if len(head) > 188 and head[0] == head[188] == 0x47:
        return "mpegts"
    raise VideoError(
        f"{path} cannot be read as a {path.suffix} video: by its first bytes it is no MP4, MOV, AVI, "
        "Matroska, WebM, MPEG, WMV or FLV"
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(377)


def probe(path: Path) -> Film:
    """Return what a film says of itself, decoded once for the times of its frames.

    Raises:
        VideoError: no frame can be decoded, or nothing comes for `patience.LIMIT`.
    """
    # The protocol is named, as ffmpeg takes what stands before a colon for one.
    source: tuple[str, ...] = (
        "-f",
        demuxer_of(path),
        "-protocol_whitelist",
        "file",
        "-i",
        f"file:{path.resolve()}",
    )
    with _running(path, _command("info", *source)) as (pipe, errors):
        pipe.read()
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    stream = re.search(r"Stream #.*Video: (.*)", said)
    words = stream[1] if stream else ""
    alpha = bool(re.search(r"yuva|rgba|argb|bgra|abgr|gbrap|ya8|ya16|pal8|alpha_mode\s*: 1", said))
    if re.search(r"alpha_mode\s*: 1", said) and words.startswith(("vp8", "vp9")):
        # The native decoders leave the alpha out.
        source = ("-c:v", "libvpx" if words.startswith("vp8") else "libvpx-vp9", *source)
    times: list[float] = []
    unit = 1.0
    output = ("-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-c:v", "rawvideo")
    with _running(path, _command("error", *source, *output, "-f", "framecrc", "-")) as (pipe, errors):
        for line in pipe:
            if found := re.match(rb"#tb 0: (\d+)/(\d+)", line):
                unit = int(found[1]) / int(found[2])
            elif not line.startswith(b"#"):
                times.append(int(line.split(b",")[2]) * unit)
        pipe.read()
        trouble = _cause(errors)
    if not times:
        raise VideoError(f"{path} cannot be read as a {path.suffix} video: {trouble or 'it has no frames'}")
    return Film(path, source, alpha, times, trouble)


def pictures(film: Film) -> Iterator[Image.Image]:
    """Yield the frames of a film as they are decoded, turned as it says, RGB or RGBA.

    Raises:
        VideoError: nothing comes for `patience.LIMIT`.
    """
    mode, pixel_format = ("RGBA", "rgba") if film.alpha else ("RGB", "rgb24")
    channels = len(mode)
    output = (
        "-map",
        "0:v:0",
        "-fps_mode",
        "passthrough",
        "-c:v",
        "pam",
        "-pix_fmt",
        pixel_format,
    )
    with _running(film.path, _command("error", *film.options, *output, "-f", "image2pipe", "-")) as (pipe, _):
        while header := _header(pipe):
            width, height = header["WIDTH"], header["HEIGHT"]
            pixels = pipe.read(width * height * channels)
            if len(pixels) < width * height * channels:
                return
            yield Image.frombytes(mode, (width, height), pixels)


def _command(level: str, *options: str) -> list[str]:
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    return [exe, "-nostdin", "-hide_banner", "-loglevel", level, "-max_pixels", str(16_384**2), *options]


@contextlib.contextmanager
def _running(path: Path, command: list[str]) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Run a command that reads a file; its output, and a file of its errors, which cannot block it."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, bufsize=0
        )
        assert process.stdout is not None
        # One whose file has errors alone for a while is at work.
        output = patience.Output(process.stdout, path, lambda: os.fstat(errors.fileno()).st_size)
        try:
            yield io.BufferedReader(output), errors
        finally:
            process.kill()
            output.close()
            # One that waits for a disk ends with the disk alone.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)


def _header(pipe: IO[bytes]) -> dict[str, int]:
    """Return the numbers of a PAM header; none at the end."""
    found: dict[str, int] = {}
    for line in iter(pipe.readline, b""):
        name, _, value = line.decode("ascii", "replace").strip().partition(" ")
        if name == "ENDHDR":
            return found
        if value.isdigit():
            found[name] = int(value)
    return {}


def _cause(errors: IO[bytes]) -> str:
    """Return the first complaint of ffmpeg, which is the cause of those that follow."""
    errors.seek(0)
    lines = errors.read(10_000).decode("utf-8", "replace").splitlines()
    said = [re.sub(r"^(\[[^]]*\] ?)+", "", line).strip() for line in lines]
    return next((line for line in said if line), "")[:200]
