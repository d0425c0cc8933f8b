"""All steps of some videos: read once, frame by frame, into a file, with what goes with them."""

import sys
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from kvae.videos.errors import VideoError
from kvae.videos.frames import EITHER, Clip, Look, clips_of, has_colour
from kvae.videos.sources import Source, of_test

_LEAST_CHANGE = 4
"""Grey levels between the darkest and the brightest that a pixel is, in a video where something moves."""

_MAX_NAMED = 5


class Cut(NamedTuple):
    """How videos become sequences.

    Attributes:
        look: the `Look` of their frames.
        timesteps: frames in a sequence.
        stride: frames between the beginnings of two sequences of a video.
        rate: of the grid that frames at uneven times are put on, see `frames.clips_of`.
    """

    look: Look
    timesteps: int
    stride: int
    rate: float = 0.0


class Part(NamedTuple):
    """Steps `start` to `stop` of all that were read: a video, or a part of one.

    Attributes:
        split: `test` or `train` where its file says what it is for; else empty.
    """

    name: str
    start: int
    stop: int
    split: str = ""

    def all_firsts(self, cut: Cut) -> range:
        """Return where its sequences begin."""
        return range(self.start, self.stop - cut.timesteps + 1, cut.stride)


class Columns(NamedTuple):
    """All steps of all videos: `images` [S, ..], `mask` [S], `controls` [S, M], `states` [S, M]."""

    images: np.ndarray
    mask: np.ndarray
    controls: np.ndarray
    states: np.ndarray


class Steps:
    """What was read of all videos, step after step; their frames lie in a file.

    Args:
        spool: that file.
        look: of the frames.

    Attributes:
        count: steps that have been kept.
        longest: steps of the longest video, kept or not.
        is_coloured: whether a frame is in colour; known where `look` asks for either.
        mask: whether a step has its frame.
    """

    def __init__(self, spool: BinaryIO, look: Look):
        self._spool, self.look = spool, look
        self.count = self.longest = 0
        self.is_coloured = False
        self.mask: list[bool] = []
        self._others: dict[str, list[np.ndarray]] = {"controls": [], "states": []}

    def add(self, clip: Clip, least: int) -> tuple[int, int]:
        """Read a clip; keep it where it is long enough.

        Returns:
            How many of its steps have been kept; and the most that a pixel changes, grey levels.
        """
        low, high = np.full(self.look.shape, 255, np.uint8), np.zeros(self.look.shape, np.uint8)
        blank, mask, is_coloured = bytes(low.size), [], False
        for frame in clip.frames:
            mask.append(frame is not None)
            self._spool.write(blank if frame is None else frame.tobytes())
            if frame is not None:
                low, high = np.minimum(low, frame), np.maximum(high, frame)
                is_coloured = is_coloured or (frame.ndim == 3 and has_colour(frame))
        self.longest = max(self.longest, len(mask))
        # A film may end before its grid does, where it is damaged.
        if len(mask) < least:
            self._spool.seek(self.count * low.size)
            self._spool.truncate()
            return 0, 0
        self.count += len(mask)
        self.mask += mask
        self.is_coloured |= is_coloured
        for name, steps in self._others.items():
            array = getattr(clip, name)
            steps.append(np.zeros([len(mask), 0], np.float32) if array is None else array[: len(mask)])
        return len(mask), int((high - low).max()) if any(mask) else 0

    def frames(self) -> np.ndarray:
        """Return all frames, grey [S, H, W] or in colour [S, H, W, 3], on the disk still."""
        self._spool.flush()
        frames = np.memmap(self._spool, np.uint8, "r", shape=(self.count, *self.look.shape))
        if self.look.channels == EITHER:
            return frames[..., :3] if self.is_coloured else frames[..., 3]
        return frames

    def controls(self, of: Sequence[Part]) -> np.ndarray:
        """Return the controls of all steps, [S, M].

        Raises:
            VideoError: they are not of one kind in all videos.
        """
        arrays = self._others["controls"]
        for part, array in zip(of, arrays, strict=True):
            if _kind(array) != _kind(arrays[0]):
                raise VideoError(
                    f"{part.name} has {_kind(array)}, but {of[0].name} {_kind(arrays[0])}: they must be of "
                    "one kind in all videos, those for testing too"
                )
        return np.concatenate(arrays)

    def states(self, of: Sequence[Part]) -> np.ndarray:
        """Return the states of all steps, [S, M]; none, with a warning, where videos have others or none."""
        arrays = self._others["states"]
        for part, array in zip(of, arrays, strict=True):
            if array.shape[1] != arrays[0].shape[1]:
                sizes = f"{array.shape[1]} entries in {part.name}, {arrays[0].shape[1]} in {of[0].name}"
                warn(f"states are left out, as they have {sizes}")
                return np.zeros([self.count, 0], np.float32)
        return np.concatenate(arrays)


def _kind(controls: np.ndarray) -> str:
    """Say what controls a video has."""
    count = controls.shape[1]
    kind = "classes" if controls.dtype.kind == "i" else "numbers"
    return f"controls of {count} {kind} a step" if count else "no controls"


def read(sources: Sequence[Source], cut: Cut, steps: Steps) -> list[Part]:
    """Read the videos that are long enough, and return them.

    Warn of others, and of those that stand still.
    """
    parts: list[Part] = []
    left_out: list[str] = []
    still: list[str] = []
    splits = of_test(sources)
    for source in sources:
        for clip in clips_of(source, cut.look, cut.rate):
            start = steps.count
            count, change = steps.add(clip, cut.timesteps)
            if not count:
                left_out.append(clip.name)
                continue
            if change < _LEAST_CHANGE:
                still.append(clip.name)
            parts.append(Part(clip.name, start, start + count, splits.get(source.name, "")))
    if left_out:
        warn(
            f"{len(left_out)} of {len(left_out) + len(parts)} videos have fewer than {cut.timesteps} frames: "
            f"{named(left_out)}"
        )
    if still:
        warn(
            f"in {len(still)} of {len(parts)} videos no pixel changes by {_LEAST_CHANGE} of 255: "
            f"{named(still)}. What moves may be too small after resizing, or black and white may leave "
            "nothing of it: there is nothing to learn from them"
        )
    return parts


def named(names: Sequence[str]) -> str:
    """Return a list of names, cut where it is long."""
    return ", ".join(names[:_MAX_NAMED]) + ", ..." * (len(names) > _MAX_NAMED)


def warn(message: str) -> None:
    """Tell the user what went otherwise than may be thought."""
    print(f"Warning: {message}", file=sys.stderr)
