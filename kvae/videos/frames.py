"""Clips of video as grey frames of one size, frame by frame: files that anyone may have made.

A video is decoded as what its suffix says and nothing else, from that file alone. Arrays are never unpickled.
Nothing is held in memory but a frame, and what an .npz holds.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageSequence

from kvae.data.archives import read_arrays, read_headers
from kvae.errors import UserError
from kvae.videos.sources import ARRAY_SUFFIXES, PICTURE_SUFFIXES, Source, VideoError

# The demuxers of ffmpeg, by name: it would else go by the content, and a playlist names other files.
_DEMUXERS = {".mp4": "mov", ".mov": "mov", ".avi": "avi", ".webm": "matroska"}

_LARGEST_SIDE = 16_384
"""Pixels along a side of a frame, before it is resized."""


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
    if source.suffix in PICTURE_SUFFIXES:
        pictures = _pictures(source.files)
    elif source.suffix == ".gif":
        pictures = _pictures_of_gif(source.files[0])
    else:
        pictures = _pictures_of_video(source.files[0])
    yield Clip(source.name, (fit(picture, look) for picture in pictures))


def fit(picture: Image.Image, look: Look) -> np.ndarray:
    """Return a picture as a grey frame [height, width], uint8: cut around its centre, and resized."""
    grey = picture.convert("L")
    scale = min(grey.width / look.width, grey.height / look.height)
    width, height = scale * look.width, scale * look.height
    left, top = (grey.width - width) / 2, (grey.height - height) / 2
    # A filter that averages as boxes do, but does not shift what lies between two of them.
    resized = grey.resize(
        (look.width, look.height), Image.Resampling.HAMMING, box=(left, top, left + width, top + height)
    )
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
    # The path in full, as ffmpeg takes what stands before a colon for a protocol.
    options = ["-f", _DEMUXERS[path.suffix.lower()], "-protocol_whitelist", "file"]
    try:
        reader = imageio.get_reader(str(path.resolve()), format="FFMPEG", mode="I", input_params=options)
        with contextlib.closing(reader):
            _check_sides(path, reader.get_meta_data()["size"])
            for frame in reader.iter_data():
                yield Image.fromarray(np.asarray(frame))
    except UserError:
        raise
    # What a broken video raises depends on where it is broken.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise VideoError(f"{path} cannot be read as a {path.suffix} video: {reason}") from error


def _pictures_of_gif(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=["GIF"]) as image:
            _check_sides(path, image.size)
            yield from ImageSequence.Iterator(image)
    except UserError:
        raise
    except Exception as error:
        raise VideoError(f"{path} cannot be read as a .gif: {error or type(error).__name__}") from error


def _pictures(paths: tuple[Path, ...]) -> Iterator[Image.Image]:
    size: tuple[int, int] | None = None
    for path in paths:
        try:
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                _check_sides(path, image.size)
                size = size or image.size
                if image.size != size:
                    raise VideoError(
                        f"{path} is {image.width}x{image.height}, but {paths[0].name}, the first picture of "
                        f"the same video, is {size[0]}x{size[1]}"
                    )
                # Pillow cuts 16 bits off at 255 in place of scaling them.
                deep = image.mode.startswith("I")
                yield (
                    Image.fromarray(np.clip(np.asarray(image) // 257, 0, 255).astype(np.uint8))
                    if deep
                    else image
                )
        except UserError:
            raise
        except Exception as error:
            raise VideoError(
                f"{path} cannot be read as a picture: {error or type(error).__name__}"
            ) from error


def _check_sides(path: Path, size: tuple[int, int]) -> None:
    if not all(1 <= side <= _LARGEST_SIDE for side in size):
        raise VideoError(
            f"{path} has frames of {size[0]}x{size[1]}; their sides must be 1 to {_LARGEST_SIDE} pixels"
        )


def _videos_of_array(path: Path) -> list[np.ndarray]:
    """Return views [T, H, W] or [T, H, W, channels] of the videos in an .npy or .npz."""
    array = _array(path)
    if array.dtype != np.uint8 and array.dtype.kind not in "fb":
        raise VideoError(f"{path} must hold uint8, or floats between 0 and 1. Received: {array.dtype}")
    has_channels = array.ndim >= 4 and array.shape[-1] in (1, 3)
    rank = array.ndim - has_channels
    if rank not in (3, 4) or 0 in array.shape:
        raise VideoError(
            f"{path} must hold an array [N, T, H, W] or [T, H, W], perhaps with 1 or 3 channels last. "
            f"Received: shape {array.shape}"
        )
    _check_sides(path, (array.shape[rank - 1], array.shape[rank - 2]))
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
    for frame in video:
        if frame.dtype != np.uint8:
            # The comparison is false for what is not a number.
            if not (frame.min() >= 0 and frame.max() <= 1):
                raise VideoError(f"{path}: pixels that are not uint8 must be numbers between 0 and 1")
            frame = np.rint(255 * frame.astype(np.float32)).astype(np.uint8)
        if frame.ndim == 3 and frame.shape[-1] == 1:
            frame = frame[..., 0]
        yield fit(Image.fromarray(np.ascontiguousarray(frame)), look)
