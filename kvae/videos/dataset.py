"""Datasets of one's own videos: cut into sequences, split by video, kept as dataset files.

A dataset of the folder `clips` is, in the folder of all datasets,

    clips-1f0c77ab.npz         training
    clips-1f0c77ab_test.npz    testing
    clips-1f0c77ab.png         what the first sequences of both look like

where the digits stand for the videos and the options that made it: the same are not read again, others have
files of their own. In a file are `images` uint8 [N, T, H, W], or in colour [N, T, H, W, 3]; `controls` and
`states`, which are empty where the videos have none; `mask` where a frame is missing; and `metadata`, a JSON
string, see `ensure`. Imports no TensorFlow.
"""

import glob
import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kvae.data.archives import ArchiveError, read_arrays, read_headers
from kvae.plots import contact_sheet
from kvae.system.files import replacing
from kvae.videos.errors import VideoError
from kvae.videos.frames import EITHER
from kvae.videos.sources import Source, find, fingerprint, short_name, test_of
from kvae.videos.steps import Columns, Part, Steps, read, warn
from kvae.videos.steps import Cut as Cut

SPLIT_RULE = "by name"
"""How the test videos are chosen. It stands in the metadata, so that files of another rule are not taken."""

TEST_SHARE = 0.1
"""Of the videos; of the frames where there is one video alone."""

_SPLITS = ("train", "test")
_OTHERS = ("controls", "states")

LEAST_SEEN = 2
"""Frames of a sequence that are there: of fewer nothing can be learned of how things move."""

_MISSING_GREY = 222
"""What the contact sheet shows of a missing frame."""


class VideoFiles(NamedTuple):
    """Where a dataset of videos lies: its training file, its test file, and a picture of both."""

    train: Path
    test: Path
    sheet: Path


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
        if _same_options(made_by.get("options"), options) and is_same:
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
    sources = find(path) + test_of(Path(path))
    made_by, files = _files_of(path, data_dir, cut, sources)
    either = _files_of(path, data_dir, cut._replace(look=cut.look._replace(channels=EITHER)), sources)
    for facts, there in ((made_by, files), either):
        if (
            all(_is_made_by(file, facts) for file in there[:2])
            and there.sheet.exists()
            and cut.look.channels in (EITHER, facts["options"]["channels"], _channels_of(there.train))
        ):
            report(f"The sequences of {path} are there already; see what they look like: {there.sheet}")
            return there
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
        steps = Steps(spool, cut.look)
        parts = read(sources, cut, steps)
        if not parts:
            raise VideoError(
                f"No video of {path} has {cut.timesteps} frames, a sequence's length: choose a smaller "
                f"--timesteps, at most {steps.longest}, the length of the longest"
            )
        data = Columns(steps.frames(), np.array(steps.mask), steps.controls(parts), steps.states(parts))
        _make(files, data, _split(parts, cut, path, held_out), cut, {"source": path, **made_by}, report)
    report(f"See what the model will see: {files.sheet}")
    return files


def _make(
    files: VideoFiles,
    data: Columns,
    of_splits: tuple[list[Part], list[Part]],
    cut: Cut,
    made_by: dict[str, Any],
    report: Callable[[str], object],
) -> None:
    """Write a dataset of what was read, and its picture; arguments as `ensure`."""
    firsts = [_firsts(of_split, cut, data.mask) for of_split in of_splits]
    num_whole = sum(len(part.all_firsts(cut)) for of_split in of_splits for part in of_split)
    _say_empty(num_whole - sum(map(len, firsts)), firsts, made_by["source"])
    for file, split, of_split, beginnings in zip(files, _SPLITS, of_splits, firsts, strict=False):
        facts = {**made_by, "split": split, "videos": [part.name for part in of_split]}
        _write(file, data, beginnings, cut, facts)
        report(
            f"{file}: {len(beginnings):,} sequences of {cut.timesteps} frames, from {len(of_split)} "
            f"video(s){_words_of(data, beginnings, cut)}"
        )
    shown = {split: _shown(data, of, cut) for split, of in zip(_SPLITS, firsts, strict=True)}
    contact_sheet.write(files.sheet, shown)


def _files_of(path: str, data_dir: str, cut: Cut, sources: list[Source]) -> tuple[dict[str, Any], VideoFiles]:
    """Return what the metadata of a dataset say of how it was made, and where that lies."""
    made_by = {"options": _options_of(cut), "fingerprint": fingerprint(sources)}
    digits = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:8]
    stem = f"{short_name(path)}-{digits}"
    ends = (".npz", "_test.npz", ".png")
    return made_by, VideoFiles(*(Path(data_dir) / f"{stem}{end}" for end in ends))


def _channels_of(file: Path) -> int:
    """Return the channels of the frames of a whole dataset file."""
    return 3 if len(read_headers(file)["images"].shape) == 5 else 1


def _options_of(cut: Cut) -> dict[str, Any]:
    """Return a cut as it stands in the metadata."""
    facts = {"timesteps": cut.timesteps, "stride": cut.stride, "rate": cut.rate, "split_by": SPLIT_RULE}
    return cut.look._asdict() | facts


def _same_options(made_by: Any, options: dict[str, Any]) -> bool:
    """Return whether metadata name these options, whatever the channels, which a run decides by its frames.

    Files of before there were these two do not name them.
    """
    if not isinstance(made_by, dict):
        return False
    return {"rate": 0.0} | made_by | {"channels": options["channels"]} == options


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


def _firsts(parts: Sequence[Part], cut: Cut, mask: np.ndarray) -> list[int]:
    """Return where the sequences of videos begin that have enough frames that are there."""
    counts = np.concatenate([[0], np.cumsum(mask)])
    return [
        first
        for part in parts
        for first in part.all_firsts(cut)
        if counts[first + cut.timesteps] - counts[first] >= LEAST_SEEN
    ]


def _say_empty(num_empty: int, firsts: Sequence[Sequence[int]], path: str) -> None:
    """Warn of sequences that are left out; raise VideoError where a split has none."""
    if not all(firsts):
        raise VideoError(
            f"{path}: so many frames are missing that no sequence of its training or of its test videos has "
            f"{LEAST_SEEN} of them: choose larger --timesteps"
        )
    if num_empty:
        warn(f"{num_empty:,} sequences of {path} have fewer than {LEAST_SEEN} frames, and are left out")


def _words_of(data: Columns, firsts: Sequence[int], cut: Cut) -> str:
    """Say what sequences hold beside grey frames, or in place of them."""
    words = ["in colour"] * (data.images.ndim == 4)
    if cut.look.black_and_white:
        words.append("made black and white at half of the range")
    if size := data.controls.shape[1]:
        words.append(f"{size} {'controls' if size > 1 else 'control'} a step")
    missing = sum(cut.timesteps - int(data.mask[i : i + cut.timesteps].sum()) for i in firsts)
    if missing:
        words.append(f"{missing / (len(firsts) * cut.timesteps):.1%} of the frames are missing")
    return "".join(f", {word}" for word in words)


def _videos_held_out(test_file: Path) -> frozenset[str]:
    """Return the names of the videos that were for testing alone, which no training may see later either."""
    train_file = test_file.with_name(test_file.name.removesuffix("_test.npz") + ".npz")
    test, train = (_metadata_of(file).get("videos", ()) for file in (test_file, train_file))
    return frozenset(test) - frozenset(train)


def _share(name: str) -> float:
    """Return a number in [0, 1) that a video's name, and nothing else, decides."""
    return int(hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8], 16) / 2**32


def _by_name(parts: list[Part], held_out: Collection[str]) -> tuple[list[Part], list[Part]]:
    """Return what of several videos is for training and what for testing; arguments as `_split`."""
    by_share = sorted(parts, key=lambda part: _share(part.name))
    # By its name alone, so that one more video moves no other; but neither split may be empty.
    test = {part for part in parts if part.name in held_out or _share(part.name) < TEST_SHARE}
    test = test or {by_share[0]}
    if len(test) == len(parts):
        test.remove(by_share[-1])
    return [part for part in parts if part not in test], [part for part in parts if part in test]


def _split(
    parts: list[Part], cut: Cut, path: str, held_out: Collection[str] = ()
) -> tuple[list[Part], list[Part]]:
    """Return what is for training and what for testing, by video; one video alone is split in time.

    Args:
        parts: the videos.
        cut: how they are cut.
        path: where they are, for messages.
        held_out: names of videos that were for testing before, and stay so.
    """
    told = {split: [part for part in parts if part.split == split] for split in (*_SPLITS, "")}
    if told["test"] and told["train"]:
        # What is beside them is split as ever.
        more = _by_name(told[""], held_out) if len(told[""]) > 1 else (told[""], [])
        return told["train"] + more[0], told["test"] + more[1]
    if len(parts) > 1:
        return _by_name(parts, held_out)
    (whole,) = parts
    length = whole.stop - whole.start
    if length < 2 * cut.timesteps:
        raise VideoError(
            f"{path} is one video of {length} frames, too few for a sequence of {cut.timesteps} to learn "
            "from and another one to test on: add videos, or choose a smaller --timesteps"
        )
    border = whole.stop - max(cut.timesteps, round(TEST_SHARE * length))
    return [whole._replace(stop=border)], [whole._replace(start=border)]


def _write(file: Path, data: Columns, firsts: Sequence[int], cut: Cut, facts: dict[str, Any]) -> None:
    """Write a dataset file, its frames sequence by sequence."""
    metadata = facts | {"num_sequences": len(firsts), "num_steps": cut.timesteps}
    windows = np.asarray(firsts)[:, None] + np.arange(cut.timesteps)
    arrays = {name: getattr(data, name)[windows] for name in _OTHERS}
    if not data.mask[windows].all():
        arrays["mask"] = data.mask[windows].astype(np.uint8)
    arrays["metadata"] = np.array(json.dumps(metadata))
    header = {
        "descr": "|u1",
        "fortran_order": False,
        "shape": (*windows.shape, *data.images.shape[1:]),
    }
    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for first in firsts:
                member.write(data.images[first : first + cut.timesteps].tobytes())
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _shown(data: Columns, firsts: Sequence[int], cut: Cut) -> list[np.ndarray]:
    """Return a few sequences of a split, spread evenly over it, in which a missing frame is even grey."""
    count = min(len(firsts), contact_sheet.NUM_SEQUENCES)
    shown = []
    for first in (firsts[i * len(firsts) // count] for i in range(count)):
        window = slice(first, first + cut.timesteps)
        frames = np.array(data.images[window])
        frames[~data.mask[window]] = _MISSING_GREY
        shown.append(frames)
    return shown
