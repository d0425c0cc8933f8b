"""Clips of video as grey frames of one size, frame by frame: files that anyone may have made.

A video is decoded as what its first bytes say, if that is safe, from that file alone.
Arrays are never unpickled.
Nothing is held in memory but a frame, and what an .npz holds.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kvae.data.archives import read_arrays, read_headers
from kvae.data.resizing import cut_and_resize
from kvae.videos import containers, stills, timing
from kvae.videos.sources import ARRAY_SUFFIXES, PICTURE_SUFFIXES, Source, VideoError


class Look(NamedTuple):
    """What frames are made to look like.

    Attributes:
        height: pixels.
        width: pixels.
        black_and_white: 255 where a pixel is in the upper half of the range, else 0.
    """

    height: int
    width: int
    black_and_white: bool = False


class Clip(NamedTuple):
    """One video.

    Attributes:
        name: what messages call it.
        frames: [height, width] uint8 each, can be iterated over once.
    """

    name: str
    frames: Iterator[np.ndarray]


def clips_of(source: Source, look: Look) -> Iterator[Clip]:
    """Yield the clips of a source: one, but of an array [N, T, H, W] there are N.

    Each frame is made grey, cut to the aspect ratio of `look` around its centre, and resized, with the pixels
    that fall together averaged. A clip must be read before the next one is asked for.

    Raises:
        VideoError: a file is broken, or is not what its name says; on the way, too.
    """
    if source.suffix in ARRAY_SUFFIXES:
        videos = _videos_of_array(source.files[0])
        for number, video in enumerate(videos):
            name = f"{source.name}[{number}]" if len(videos) > 1 else source.name
            yield Clip(name, _frames_of_array(source.files[0], video, look))
        return
    if source.suffix in (*PICTURE_SUFFIXES, ".gif"):
        pictures = _pictures(source.files)
    else:
        pictures = _pictures_of_video(source.files[0])
    yield Clip(source.name, (fit(picture, look) for picture in pictures))


def fit(picture: Image.Image, look: Look) -> np.ndarray:
    """Return a picture as a grey frame [height, width], uint8: cut around its centre, and resized."""
    resized = cut_and_resize(picture.convert("L"), look.height, look.width)
    frame = np.asarray(resized)
    return np.where(frame > 127, 255, 0).astype(np.uint8) if look.black_and_white else frame


def read_clip(source: Source, look: Look, max_frames: int) -> np.ndarray:
    """Return the frames of the one clip of a source, [T, height, width] uint8.

    Raises:
        VideoError: there are several clips, no frame, or more frames than `max_frames`, of which no more are
            read; or as `clips_of`.
    """
    frames: list[np.ndarray] = []
    for number, clip in enumerate(clips_of(source, look)):
        if number:
            raise VideoError(f"{source.files[0]} holds several videos: give one, an array [T, H, W]")
        for frame in clip.frames:
            if len(frames) == max_frames:
                raise VideoError(
                    f"{source.name} has more than {max_frames:,} frames: cut it, or give a larger "
                    "--max_frames"
                )
            frames.append(frame)
    if not frames:
        raise VideoError(f"{source.name} has no frames")
    return np.stack(frames)


def _pictures_of_video(path: Path) -> Iterator[Image.Image]:
    film = containers.probe(path)
    counts, step = timing.repeats(str(path), film.times)
    if film.trouble:
        _warn(f"{path} is damaged ({film.trouble}); {len(counts):,} frames of it can be read")
    _say_repeats(path, counts, step)
    span = stills.range_of(containers.pictures(film), str(path)) if film.alpha else stills.Range(255, 0)
    if span.under:
        _warn(f"{path}: what is opaque is dark, so what is transparent is made white")
    for count, picture in zip(counts, containers.pictures(film), strict=False):
        stills.check_sides(path, picture.size)
        for _ in range(count):
            yield stills.to_grey(picture, span)


def _pictures(paths: tuple[Path, ...]) -> Iterator[Image.Image]:
    counts: list[int] | None = None
    if len(paths) == 1 and paths[0].suffix.lower() in (".gif", ".webp", ".apng", ".png"):
        shown = stills.durations(paths[0])
        starts = [0.0, *itertools.accumulate(shown[:-1])]
        counts, step = timing.repeats(str(paths[0]), starts, shown[-1])
        _say_repeats(paths[0], counts, step)
    span = stills.range_of(stills.read(paths), str(paths[0]))
    if span.top not in (1, 255, 65535):
        _warn(f"{paths[0]}: its pixels are taken for {span.top.bit_length()} bits, {span.top} is white")
    if span.under:
        _warn(f"{paths[0]}: what is opaque is dark, so what is transparent is made white")
    for number, picture in enumerate(stills.read(paths)):
        for _ in range(counts[number] if counts else 1):
            yield stills.to_grey(picture, span)


def _say_repeats(path: Path, counts: list[int], step: float) -> None:
    if sum(counts) > len(counts):
        _warn(
            f"{path} has frames at uneven times: read at {1 / step:.4g} frames a second, with "
            f"{sum(counts) - len(counts):,} repeated"
        )


def _warn(message: str) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _videos_of_array(path: Path) -> list[np.ndarray]:
    """Return views [T, H, W] or [T, H, W, channels] of the videos in an .npy or .npz."""
    array = _array(path)
    if array.dtype.kind not in "fb" and array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise VideoError(
            f"{path} must hold uint8 or uint16, or floats between 0 and 1. Received: {array.dtype}. "
            "Where its pixels are 0 to 255, images.astype(numpy.uint8) works"
        )
    has_channels = array.ndim >= 4 and array.shape[-1] in (1, 3, 4)
    if array.ndim >= 4 and not has_channels and array.shape[-3] in (1, 3, 4):
        raise VideoError(
            f"{path} has {array.shape[-3]} where frames or channels may be meant. Received: shape "
            f"{array.shape}. Put channels last, numpy.moveaxis(images, -3, -1); to grey "
            "frames give one, images[..., None]"
        )
    rank = array.ndim - has_channels
    if rank not in (3, 4) or 0 in array.shape:
        raise VideoError(
            f"{path} must hold an array [N, T, H, W] or [T, H, W], perhaps with 1, 3 or 4 channels last. "
            f"Received: shape {array.shape}"
        )
    stills.check_sides(path, (array.shape[rank - 1], array.shape[rank - 2]))
    if rank == 4 and min(array.shape[:2]) > 1:
        some = np.asarray(array[:8, :8], np.float32)
        across, along = (float(np.abs(np.diff(some, axis=axis)).mean()) for axis in (0, 1))
        if across < along / 2:
            _warn(
                f"{path}, of shape {array.shape}, looks like [T, N, H, W], and is read as [N, T, H, W]: if "
                "it is the former, numpy.swapaxes(images, 0, 1) first"
            )
    return [array] if rank == 3 else list(array)


def _array(path: Path) -> np.ndarray:
    """Return the array of a file; that of an .npy stays on the disk until it is looked at."""
    if path.suffix.lower() == ".npy":
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
            raise VideoError(f"{path} cannot be read as an .npy: {error}") from error
    names = list(read_headers(path))
    if "images" not in names and len(names) != 1:
        raise VideoError(
            f"{path} must hold an array named images, or a single one. Received: {', '.join(names) or 'none'}"
        )
    (array,) = read_arrays(path, ("images" if "images" in names else names[0],)).values()
    return array


def _frames_of_array(path: Path, video: np.ndarray, look: Look) -> Iterator[np.ndarray]:
    top = 1
    if video.dtype.kind == "u":
        top = stills.top_of(max(float(frame.max()) for frame in video)) if video.dtype.itemsize > 1 else 255
        if top not in (255, 65535):
            _warn(f"{path}: its pixels are taken for {top.bit_length()} bits, {top} is white")

    def pictures() -> Iterator[Image.Image]:
        for frame in video:
            # The comparison is false for what is not a number.
            if not (frame.min() >= 0 and frame.max() <= top):
                raise VideoError(
                    f"{path}: pixels that are floats must be numbers between 0 and 1. Received: "
                    f"{frame.min():g} to {frame.max():g}. Where they are 0 to 255, images / 255 works"
                )
            grey = frame[..., 0] if frame.ndim == 3 and frame.shape[-1] == 1 else frame
            if frame.dtype != np.uint8:
                grey = np.rint(grey.astype(np.float32) * (255 / top)).astype(np.uint8)
            yield Image.fromarray(np.ascontiguousarray(grey))

    has_alpha = video.ndim == 4 and video.shape[-1] == 4
    span = stills.range_of(pictures(), str(path)) if has_alpha else stills.Range(255, 0)
    for picture in pictures():
        yield fit(stills.to_grey(picture, span), look)
