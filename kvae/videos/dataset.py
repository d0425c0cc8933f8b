"""Datasets of one's own videos: cut into sequences, split by video, kept as dataset files.

A dataset of the folder `clips` is, in the folder of all datasets,

    clips-1f0c77ab.npz         training
    clips-1f0c77ab_test.npz    testing
    clips-1f0c77ab.png         what the first sequences of both look like

where the digits stand for the videos and the options that made it: the same are not read again, others have
files of their own. In a file are `images` uint8 [N, T, H, W]; `controls` and `states`, which are empty; and
`metadata`, a JSON string, see `ensure`. Imports no TensorFlow.
"""

import glob
import hashlib
import json
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from kvae.data.archives import ArchiveError, read_arrays
from kvae.plots import contact_sheet
from kvae.system.files import replacing
from kvae.videos.frames import Look, clips_of
from kvae.videos.sources import Source, VideoError, find, fingerprint, short_name

SPLIT_RULE = "by name"
"""How the test videos are chosen. It stands in the metadata, so that files of another rule are not taken."""

TEST_SHARE = 0.1
"""Of the videos; of the frames where there is one video alone."""

_MAX_NAMED = 5

_LEAST_CHANGE = 4
"""Grey levels between the darkest and the brightest that a pixel is, in a video where something moves."""


class Cut(NamedTuple):
    """How videos become sequences.

    Attributes:
        look: the `Look` of their frames.
        timesteps: frames in a sequence.
        stride: frames between the beginnings of two sequences of a video.
    """

    look: Look
    timesteps: int
    stride: int


class VideoFiles(NamedTuple):
    """Where a dataset of videos lies: its training file, its test file, and a picture of both."""

    train: Path
    test: Path
    sheet: Path


class _Part(NamedTuple):
    """Frames `start` to `stop` of all that were read: a video, or a part of one."""

    name: str
    start: int
    stop: int

    def firsts(self, cut: Cut) -> range:
        """Return where its sequences begin."""
        return range(self.start, self.stop - cut.timesteps + 1, cut.stride)


def find_test_file(path: str, data_dir: str, cut: Cut) -> Path | None:
    """Return the test file that was made of videos, or None where none is left.

    The videos need not be there any more. If they have changed since then there may be several: the newest is
    returned.

    Args:
        path: the file or folder of videos, as `ensure` took it.
        data_dir: the folder of the files.
        cut: how the videos were cut.
    """
    found = [files.test for files in find_files(path, data_dir, cut)]
    return max(found, key=lambda file: file.stat().st_mtime_ns, default=None)


def find_files(path: str, data_dir: str, cut: Cut) -> list[VideoFiles]:
    """Return all datasets that were made of videos in this way; arguments as `find_test_file`."""
    options = _options_of(cut)
    found = []
    for test in sorted(Path(data_dir).glob(f"{glob.escape(short_name(path))}-*_test.npz")):
        made_by = _metadata_of(test)
        source = Path(str(made_by.get("source")))
        train = test.with_name(test.name.removesuffix("_test.npz") + ".npz")
        is_same = source.resolve() == Path(path).resolve()
        if made_by.get("options") == options and is_same:
            found.append(VideoFiles(train, test, train.with_suffix(".png")))
    return found


def ensure(
    path: str,
    data_dir: str,
    cut: Cut,
    may_write: bool = True,
    report: Callable[[str], object] = print,
) -> VideoFiles:
    """Return where the dataset of a file or folder of videos lies, made first if it is not there.

    The metadata of its files: `source`, the path as given; `options`, the cut; `fingerprint` of the videos,
    see `sources.fingerprint`; `split`; `videos`, the names of those that are in the file; `num_sequences` and
    `num_steps`.

    Args:
        path: what `sources.find` takes.
        data_dir: the folder of the files.
        cut: how to cut the videos.
        may_write: False: raise an error if the files are not there.
        report: called with lines for the user; a warning goes to standard error.

    Raises:
        VideoError: a video is broken, all are too short, or nothing may be written.
        OSError: the files cannot be written.
    """
    sources = find(path)
    made_by = {"options": _options_of(cut), "fingerprint": fingerprint(sources)}
    digits = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:8]
    stem = f"{short_name(path)}-{digits}"
    files = VideoFiles(*(Path(data_dir) / f"{stem}{end}" for end in (".npz", "_test.npz", ".png")))
    if all(_is_made_by(file, made_by) for file in files[:2]) and files.sheet.exists():
        report(f"The sequences of {path} are there already; see what they look like: {files.sheet}")
        return files
    if not may_write:
        raise VideoError(
            f"The run's data, the sequences of {path}, are not in {data_dir}, and a run folder does not say "
            "where to write outside the current folder. Name a folder inside it with --data_dir"
        )
    earlier = find_test_file(path, data_dir, cut)
    held_out = _videos_held_out(earlier) if earlier else frozenset[str]()
    report(f"Reading {path}: {len(sources)} {'file or folder' if len(sources) == 1 else 'files or folders'}")
    Path(data_dir).mkdir(parents=True, exist_ok=True)
    # Beside the files: the frames may be more than memory, or than the system's folder, holds.
    with tempfile.TemporaryFile(dir=data_dir) as spool:
        parts, left_out = _read(sources, cut, spool)
        if left_out:
            named = ", ".join(left_out[:_MAX_NAMED]) + ", ..." * (len(left_out) > _MAX_NAMED)
            count = len(left_out) + len(parts)
            print(
                f"Warning: {len(left_out)} of {count} videos have fewer than {cut.timesteps} frames: {named}",
                file=sys.stderr,
            )
        by_split = dict(zip(("train", "test"), _split(parts, cut, path, held_out), strict=True))
        shape = (max(part.stop for part in parts), cut.look.height, cut.look.width)
        frames = np.memmap(spool, np.uint8, "r", shape=shape)
        for file, (split, of_split) in zip(files, by_split.items(), strict=False):
            count = sum(len(part.firsts(cut)) for part in of_split)
            facts = {"source": path, **made_by, "split": split, "videos": [part.name for part in of_split]}
            _write(file, frames, of_split, cut, facts | {"num_sequences": count, "num_steps": cut.timesteps})
            report(f"{file}: {count:,} sequences of {cut.timesteps} frames, from {len(of_split)} video(s)")
        contact_sheet.write(files.sheet, {split: _shown(frames, of, cut) for split, of in by_split.items()})
    report(f"See what the model will see: {files.sheet}")
    return files


def _options_of(cut: Cut) -> dict[str, Any]:
    """Return a cut as it stands in the metadata."""
    return cut.look._asdict() | {"timesteps": cut.timesteps, "stride": cut.stride, "split_by": SPLIT_RULE}


def _is_made_by(file: Path, made_by: dict[str, Any]) -> bool:
    """Return whether a whole dataset file is there that the same videos and options made."""
    metadata = _metadata_of(file)
    return {name: metadata.get(name) for name in made_by} == made_by


def _metadata_of(file: Path) -> dict[str, Any]:
    """Return the metadata of a dataset file; none of one that is missing, or damaged, or of another kind."""
    try:
        return dict(json.loads(str(read_arrays(file, ("metadata",))["metadata"])))
    except (ArchiveError, OSError, KeyError, ValueError, TypeError, RecursionError):
        return {}


def _read(sources: Sequence[Source], cut: Cut, spool: BinaryIO) -> tuple[list[_Part], list[str]]:
    """Write the frames of videos that are long enough to a file; return them, and names of the rest."""
    parts: list[_Part] = []
    left_out: list[str] = []
    still: list[str] = []
    size = cut.look.height * cut.look.width
    start = 0
    for source in sources:
        for clip in clips_of(source, cut.look):
            stop = start
            low, high = np.full([2, 1, 1], [[[255]], [[0]]], np.uint8)
            for frame in clip.frames:
                low, high = np.minimum(low, frame), np.maximum(high, frame)
                spool.write(frame.tobytes())
                stop += 1
            if stop - start < cut.timesteps:
                left_out.append(clip.name)
                spool.seek(start * size)
                spool.truncate()
                continue
            if int((high - low).max()) < _LEAST_CHANGE:
                still.append(clip.name)
            parts.append(_Part(clip.name, start, stop))
            start = stop
    spool.flush()
    if still:
        named = ", ".join(still[:_MAX_NAMED]) + ", ..." * (len(still) > _MAX_NAMED)
        print(
            f"Warning: in {len(still)} of {len(parts)} videos no pixel changes by {_LEAST_CHANGE} of 255: "
            f"{named}. What moves may be too small after resizing, or black and white may leave nothing of "
            "it: there is nothing to learn from them",
            file=sys.stderr,
        )
    return parts, left_out


def _videos_held_out(test_file: Path) -> frozenset[str]:
    """Return the names of the videos that were for testing alone, which no training may see later either."""
    train_file = test_file.with_name(test_file.name.removesuffix("_test.npz") + ".npz")
    test, train = (_metadata_of(file).get("videos", ()) for file in (test_file, train_file))
    return frozenset(test) - frozenset(train)


def _share(name: str) -> float:
    """Return a number in [0, 1) that a video's name, and nothing else, decides."""
    return int(hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8], 16) / 2**32


def _split(
    parts: list[_Part], cut: Cut, path: str, held_out: Collection[str] = ()
) -> tuple[list[_Part], list[_Part]]:
    """Return what is for training and what for testing, by video; one video alone is split in time.

    Args:
        parts: the videos.
        cut: how they are cut.
        path: where they are, for messages.
        held_out: names of videos that were for testing before, and stay so.
    """
    if not parts:
        raise VideoError(
            f"No video of {path} has {cut.timesteps} frames, a sequence's length: choose a smaller "
            "--timesteps"
        )
    if len(parts) > 1:
        by_share = sorted(parts, key=lambda part: _share(part.name))
        # By its name alone, so that one more video moves no other; but neither split may be empty.
        test = {part for part in parts if part.name in held_out or _share(part.name) < TEST_SHARE}
        test = test or {by_share[0]}
        if len(test) == len(parts):
            test.remove(by_share[-1])
        return [part for part in parts if part not in test], [part for part in parts if part in test]
    (whole,) = parts
    length = whole.stop - whole.start
    if length < 2 * cut.timesteps:
        raise VideoError(
            f"{path} is one video of {length} frames, too few for a sequence of {cut.timesteps} to learn "
            "from and another one to test on: add videos, or choose a smaller --timesteps"
        )
    border = whole.stop - max(cut.timesteps, round(TEST_SHARE * length))
    return [whole._replace(stop=border)], [whole._replace(start=border)]


def _write(
    file: Path, frames: np.ndarray, parts: Sequence[_Part], cut: Cut, metadata: dict[str, Any]
) -> None:
    """Write a dataset file, sequence by sequence."""
    count = metadata["num_sequences"]
    nothing = np.zeros([count, cut.timesteps, 0], np.float32)
    arrays = {"controls": nothing, "states": nothing, "metadata": np.array(json.dumps(metadata))}
    header = {
        "descr": "|u1",
        "fortran_order": False,
        "shape": (count, cut.timesteps, cut.look.height, cut.look.width),
    }
    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for part in parts:
                for first in part.firsts(cut):
                    member.write(frames[first : first + cut.timesteps].tobytes())
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _shown(frames: np.ndarray, parts: Sequence[_Part], cut: Cut) -> list[np.ndarray]:
    """Return a few sequences [timesteps, H, W] of a split, spread evenly over it."""
    firsts = [first for part in parts for first in part.firsts(cut)]
    count = min(len(firsts), contact_sheet.NUM_SEQUENCES)
    chosen = [firsts[i * len(firsts) // count] for i in range(count)]
    return [np.array(frames[first : first + cut.timesteps]) for first in chosen]
