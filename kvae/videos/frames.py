"""Clips of video as frames of one size, frame by frame: files that anyone may have made.

A video is decoded as what its first bytes say, if that is safe, from that file alone.
Arrays are never unpickled.
Nothing is held in memory but a frame, and what a file of arrays holds.
"""

import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kvae.data.resizing import cut_and_resize
from kvae.videos import arrays, containers, stills, timing
from kvae.videos.arrays import ArrayVideo, say_grid
from kvae.videos.errors import TooLongError, VideoError
from kvae.videos.sources import ARRAY_SUFFIXES, PICTURE_SUFFIXES, Source
from kvae.videos.timing import Grid

EITHER = 0
"""Channels of frames of which it is not decided yet whether they are to be in colour."""


class Look(NamedTuple):
    """What frames are made to look like.

    Attributes:
        height: pixels.
        width: pixels.
        black_and_white: 255 where a pixel is in the upper half of the range, else 0; each channel by itself.
        channels: 1: grey; 3: red, green and blue; EITHER: those three, and the grey one as the fourth.
    """

    height: int
    width: int
    black_and_white: bool = False
    channels: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) of grey frames, (H, W, 3) of colour, and (H, W, 4) of either."""
        sides = (self.height, self.width)
        return sides if self.channels == 1 else (*sides, self.channels or 4)


class Clip(NamedTuple):
    """One video.

    Attributes:
        name: what messages call it.
        frames: uint8 of `Look.shape` each, or None where one is missing; can be iterated over once.
        controls: [T, M] for its frames, float32, or int64 where they are classes; None: it has none.
        states: [T, S] float32; None: it has none.
    """

    name: str
    frames: Iterator[np.ndarray | None]
    controls: NDArray | None = None
    states: NDArray[np.float32] | None = None


class Recording(NamedTuple):
    """A clip that has been read.

    Attributes:
        images: [T, H, W] or [T, H, W, 3] uint8, zero where a frame is missing.
        mask: [T] float32, 1 where a frame is there.
        controls: as of `Clip`.
    """

    images: NDArray[np.uint8]
    mask: NDArray[np.float32]
    controls: NDArray | None


def clips_of(source: Source, look: Look, rate: float = 0) -> Iterator[Clip]:
    """Yield the clips of a source: one, but of an array [N, T, H, W] there are N.

    Each frame is cut to the aspect ratio of `look` around its centre, and resized, with the pixels
    that fall together averaged. A clip must be read before the next one is asked for. Frames at uneven times
    are put on an even grid, on which steps without a frame are missing.

    Args:
        source: what `sources.find` returned.
        look: what frames are made to look like.
        rate: steps of that grid in a second, or in a unit of an array `times`; 0: as the times are spaced.

    Raises:
        VideoError: a file is broken, or is not what its name says; on the way, too.
    """
    if source.suffix in ARRAY_SUFFIXES:
        videos = arrays.videos_of(source.files[0], rate)
        for number, video in enumerate(videos):
            name = f"{source.name}[{number}]" if len(videos) > 1 else source.name
            following = video.grid.following
            of_steps = (None if x is None else x[following] for x in (video.controls, video.states))
            yield Clip(name, _frames_of_array(source.files[0], video, look), *of_steps)
        return
    if source.suffix in (*PICTURE_SUFFIXES, ".gif"):
        yield Clip(source.name, _pictures(source, look, rate))
    else:
        yield Clip(source.name, _pictures_of_video(source.files[0], look, rate))


def fit(picture: Image.Image, look: Look) -> np.ndarray:
    """Return a picture as a frame of `look.shape`, uint8: cut around its centre, and resized."""
    if look.channels == EITHER:
        alone = (look._replace(channels=3), look._replace(channels=1))
        colour, grey = (fit(picture, one) for one in alone)
        return np.concatenate([colour, grey[..., None]], axis=-1)
    picture = picture.convert("L" if look.channels == 1 else "RGB")
    resized = cut_and_resize(picture, look.height, look.width)
    frame = np.asarray(resized)
    return np.where(frame > 127, 255, 0).astype(np.uint8) if look.black_and_white else frame


def read_clip(source: Source, look: Look, max_frames: int) -> np.ndarray:
    """Return the frames of the one clip of a source, uint8 [T, *look.shape].

    A missing frame repeats the one before it; `read_recording` says which those are.

    Raises:
        TooLongError: there are more frames than `max_frames`, of which no more are read.
        VideoError: there are several clips, or no frame; or as `clips_of`.
    """
    found = read_recording(source, look, max_frames)
    last = np.maximum.accumulate(np.where(found.mask > 0, np.arange(len(found.mask)), 0))
    return found.images[last]


def read_recording(source: Source, look: Look, max_frames: int, rate: float = 0) -> Recording:
    """Return the one clip of a source; arguments and errors as `read_clip` and `clips_of`."""
    frames: list[np.ndarray | None] = []
    controls = None
    for number, clip in enumerate(clips_of(source, look, rate)):
        if number:
            raise VideoError(f"{source.files[0]} holds several videos: give one, an array [T, H, W]")
        controls = clip.controls
        for frame in clip.frames:
            if len(frames) == max_frames:
                raise TooLongError(
                    f"{source.name} has more than {max_frames:,} frames: cut it, or give a larger "
                    "--max_frames"
                )
            frames.append(frame)
    mask = np.array([frame is not None for frame in frames], np.float32)
    if not mask.any():
        raise VideoError(f"{source.name} has no frames")
    blank = np.zeros(look.shape, np.uint8)
    images = np.stack([blank if frame is None else frame for frame in frames])
    return Recording(images, mask, controls)


def seconds_of_step(source: Source, rate: float = 0) -> float | None:
    """Return the time between two frames of a source, as `clips_of` reads it; None: it does not say.

    Args:
        source: what `sources.find` returned.
        rate: as for `clips_of`.

    Raises:
        VideoError: a file is broken.
    """
    path = source.files[0]
    if source.suffix in ARRAY_SUFFIXES:
        return None
    if source.suffix not in (*PICTURE_SUFFIXES, ".gif"):
        return _grid_of_film(path, containers.probe(path).times, None, rate)[1]
    if len(source.files) > 1 or path.suffix.lower() not in _FILMS_OF_PICTURES:
        return None
    shown = stills.durations(path)
    return _grid_of_film(path, [0.0, *itertools.accumulate(shown[:-1])], shown[-1], rate)[1]


def has_colour(frame: np.ndarray) -> bool:
    """Return whether a frame [H, W, 3] or [H, W, 4], of which the first three count, is more than grey."""
    colour = frame[..., :3]
    return int((colour.max(axis=-1) - colour.min(axis=-1)).max()) > _LEAST_COLOUR


_FILMS_OF_PICTURES = (".gif", ".webp", ".apng", ".png")
"""Files that may hold many pictures, and say how long each is shown."""
_LEAST_COLOUR = 24
"""Levels between the channels of a pixel in colour: what compression leaves of grey is below that."""


def _pictures_of_video(path: Path, look: Look, rate: float) -> Iterator[np.ndarray | None]:
    film = containers.probe(path)
    grid, step = _grid_of_film(path, film.times, None, rate)
    if film.trouble:
        _warn(f"{path} is damaged ({film.trouble}); {len(film.times):,} frames of it can be read")
    _say_grid(path, step, grid)
    span = stills.range_of(containers.pictures(film), str(path)) if film.alpha else stills.Range(255, 0)
    if span.under:
        _warn(f"{path}: what is opaque is dark, so what is transparent is made white")
    for picture in _placed(containers.pictures(film), grid):
        if picture is not None:
            stills.check_sides(path, picture.size)
        yield None if picture is None else _look_at(picture, span, look)


def _pictures(source: Source, look: Look, rate: float) -> Iterator[np.ndarray | None]:
    paths = source.files
    grid = Grid.of(source.places) if source.places else None
    if len(paths) == 1 and paths[0].suffix.lower() in _FILMS_OF_PICTURES:
        shown = stills.durations(paths[0])
        starts = [0.0, *itertools.accumulate(shown[:-1])]
        grid, step = _grid_of_film(paths[0], starts, shown[-1], rate)
        _say_grid(paths[0], step, grid)
    elif rate:
        _warn(f"{paths[0].parent} holds pictures, which have no times: --rate does nothing to them")
    span = stills.range_of(stills.read(paths), str(paths[0]))
    if span.top not in (1, 255, 65535):
        _warn(f"{paths[0]}: its pixels are taken for {span.top.bit_length()} bits, {span.top} is white")
    if span.under:
        _warn(f"{paths[0]}: what is opaque is dark, so what is transparent is made white")
    pictures: Iterable[Image.Image | None] = stills.read(paths)
    for picture in pictures if grid is None else _placed(stills.read(paths), grid):
        yield None if picture is None else _look_at(picture, span, look)


def _look_at(picture: Image.Image, span: stills.Range, look: Look) -> np.ndarray:
    """Return a picture of any mode as a frame."""
    if look.channels == 1 or picture.mode in ("1", "L") or stills.is_deep(picture):
        return fit(stills.to_grey(picture, span), look)
    colour = fit(stills.to_colour(picture, span), look._replace(channels=3))
    if look.channels == 3:
        return colour
    grey = fit(stills.to_grey(picture, span), look._replace(channels=1))
    return np.concatenate([colour, grey[..., None]], axis=-1)


def _grid_of_film(path: Path, times: list[float], last: float | None, rate: float) -> tuple[Grid, float]:
    """Return the grid of a film's frames, and its step in seconds."""
    if rate:
        return timing.on_grid(str(path), np.asarray(times, np.float64), 1 / rate), 1 / rate
    return timing.spaced(str(path), times, last)


def _say_grid(path: Path, step: float, grid: Grid) -> None:
    if grid.num_missing or grid.dropped:
        say_grid(path, step, grid.num_missing, grid.dropped, "frames a second")


def _placed(pictures: Iterator[Image.Image], grid: Grid) -> Iterator[Image.Image | None]:
    """Yield the picture of each step, None where it is missing; those that have no step are passed over."""
    number, picture = -1, None
    for wanted in grid.frames:
        if wanted < 0:
            yield None
            continue
        while number < wanted:
            picture, number = next(pictures, None), number + 1
        if picture is None:
            # A film that can be decoded in part alone.
            return
        yield picture


def _warn(message: str) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _frames_of_array(path: Path, video: ArrayVideo, look: Look) -> Iterator[np.ndarray | None]:
    seen = [*range(len(video.frames))] if video.seen is None else np.flatnonzero(video.seen).tolist()
    top = 1
    if video.frames.dtype.kind == "u":
        brightest = max((float(video.frames[number].max()) for number in seen), default=0.0)
        top = stills.top_of(brightest) if video.frames.dtype.itemsize > 1 else 255
        if top not in (255, 65535):
            _warn(f"{path}: its pixels are taken for {top.bit_length()} bits, {top} is white")

    def picture(number: int) -> Image.Image:
        frame = video.frames[number]
        # The comparison is false for what is not a number.
        if not (frame.min() >= 0 and frame.max() <= top):
            raise VideoError(
                f"{path}: pixels that are floats must be numbers between 0 and 1. Received: "
                f"{frame.min():g} to {frame.max():g}. Where they are 0 to 255, images / 255 works; frames "
                "that are missing have a 0 in an array `mask`"
            )
        grey = frame[..., 0] if frame.ndim == 3 and frame.shape[-1] == 1 else frame
        if frame.dtype != np.uint8:
            grey = np.rint(grey.astype(np.float32) * (255 / top)).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(grey))

    has_alpha = video.frames.ndim == 4 and video.frames.shape[-1] == 4
    span = stills.Range(255, 0)
    if has_alpha:
        span = stills.range_of((picture(number) for number in seen), str(path))
    there = {*seen}
    for number in video.grid.frames.tolist():
        yield _look_at(picture(number), span, look) if number in there else None
