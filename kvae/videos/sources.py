"""Where clips of video lie: files, folders of pictures, and folders of both. Imports no TensorFlow."""

import collections
import hashlib
import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from kvae.data import hdf5
from kvae.videos import patience
from kvae.videos.errors import VideoError as VideoError

VIDEO_SUFFIXES = (
    *(".mp4", ".gif", ".avi", ".mov", ".webm", ".mkv", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"),
)
ARRAY_SUFFIXES = (".npy", ".npz", *hdf5.SUFFIXES)
PICTURE_SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

FILM_SUFFIXES = (".apng", ".webp", ".tif", ".tiff", ".png")
"""Of pictures that may hold many frames, and are a video then."""

UNDERSTOOD = (
    f"videos ({', '.join(VIDEO_SUFFIXES)}), arrays ({', '.join(ARRAY_SUFFIXES)}), and folders that each hold "
    f"the frames of one video as pictures ({', '.join(PICTURE_SUFFIXES)})"
)


class Source(NamedTuple):
    """What frames come from.

    Attributes:
        name: a name that no other source of the same folder has.
        files: one file of video or arrays, or the pictures of one video in their order.
        places: of pictures whose numbers have gaps: the step of each, the first 0. None named: one after the
            other.
    """

    name: str
    files: tuple[Path, ...]
    places: tuple[int, ...] = ()

    @property
    def suffix(self) -> str:
        """That of its first file, in small letters."""
        return self.files[0].suffix.lower()


def looks_like_path(name: str) -> bool:
    """Return whether a name can only be a path: it has a separator, or a suffix that is known here."""
    separators = {"/", os.sep} | ({os.altsep} if os.altsep else set())
    known = (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES, *PICTURE_SUFFIXES)
    return any(separator in name for separator in separators) or name.lower().endswith(known)


def short_name(path: str | os.PathLike[str]) -> str:
    """Return what titles and files are called: the last part of a path, without a suffix known here."""
    name = Path(path).resolve().name or "videos"
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES) else name


def find(path: str | os.PathLike[str]) -> list[Source]:
    """Return the sources in a folder, or the one that a file is, sorted by name, numbers by their value.

    In a folder these are its files of video and arrays, its sub-folders at any depth alike, and the
    pictures that lie in one folder, which are one video. Names that begin with a dot are left out, and other
    files too, with a warning.

    Raises:
        VideoError: there is no such path, it holds nothing that is understood, or a link in the folder leads
            out of it.
    """
    path = Path(path)
    kind = patience.answer(path, lambda: _kind(path))
    if kind == "file":
        if path.suffix.lower() not in (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES) and not _is_film(path):
            raise VideoError(f"{path} is none of the files that are understood: {UNDERSTOOD}")
        return [Source(path.name, (path,))]
    if kind == "neither":
        raise VideoError(f"{path} is neither a file nor a folder, but a pipe, a socket or a device")
    if not kind:
        raise VideoError(f"There is no file or folder {path}")
    found = []
    if pictures := _pictures(path, path):
        found.append(Source(path.resolve().name or "pictures", pictures, _places(path, pictures)))
    left_out: list[str] = []
    _search(path, path, found, left_out)
    if not found:
        named = f", but {_named(left_out)}" if left_out else ""
        raise VideoError(f"{path} holds no video{named}. These are understood: {UNDERSTOOD}")
    if left_out:
        print(f"Warning: {len(left_out)} files of {path} are left out: {_named(left_out)}", file=sys.stderr)
    return found


def _kind(path: Path) -> str:
    """Return `file`, `folder`, `neither`, or nothing where nothing is there."""
    if path.is_file() or path.is_dir():
        return "file" if path.is_file() else "folder"
    return "neither" if path.exists() else ""


def _search(folder: Path, root: Path, found: list[Source], left_out: list[str]) -> None:
    """Add what lies in a folder and in those below it, and the names of what is not understood."""
    for entry in _entries(folder, root):
        name = entry.relative_to(root).as_posix()
        if entry.is_dir():
            # A link to a folder above would never end.
            if entry.is_symlink() and folder.resolve().is_relative_to(entry.resolve()):
                left_out.append(name)
                continue
            if pictures := _pictures(entry, root):
                found.append(Source(name, pictures, _places(entry, pictures)))
            _search(entry, root, found, left_out)
        elif not entry.is_file():
            # A pipe may never end, or never begin.
            what = "a pipe, a socket or a device" if entry.exists() else "a link to nothing"
            left_out.append(f"{name} ({what})")
        elif entry.suffix.lower() in (*VIDEO_SUFFIXES, *ARRAY_SUFFIXES) or _is_film(entry):
            found.append(Source(name, (entry,)))
        elif entry.suffix.lower() not in PICTURE_SUFFIXES:
            left_out.append(name)


_TEST = "_test"
"""What the name of a file of arrays ends in that tests what is learned from the one without."""


def test_of(path: Path) -> list[Source]:
    """Return the source that tests what is learned from a file of arrays: `my_test.npz` beside `my.npz`."""
    if path.suffix.lower() not in ARRAY_SUFFIXES or not path.is_file() or path.stem.endswith(_TEST):
        return []
    beside = [path.with_name(f"{path.stem}{_TEST}{suffix}") for suffix in (path.suffix, *ARRAY_SUFFIXES)]
    return [Source(file.name, (file,)) for file in beside if file.is_file()][:1]


def of_test(sources: Sequence[Source]) -> dict[str, str]:
    """Return what sources are for, `test` or `train`, by name, where their names say that.

    Those are files of arrays, in one folder, of which one has the other's name and `_test` after it.
    """
    by_place = {
        source.files[0].with_suffix(""): source.name for source in sources if source.suffix in ARRAY_SUFFIXES
    }
    found: dict[str, str] = {}
    for place, name in by_place.items():
        tested = by_place.get(place.with_name(place.name.removesuffix(_TEST)), name)
        if tested != name:
            found |= {name: "test", tested: "train"}
    return found


def fingerprint(sources: list[Source]) -> str:
    """Return a hash of names, sizes and times of all files: another one if any of them has changed."""
    # Another number wherever the same files are read as other frames.
    digest = hashlib.sha256(b"3")
    for source in sources:
        for file in source.files:
            facts = file.stat()
            digest.update(repr((source.name, file.name, facts.st_size, facts.st_mtime_ns)).encode())
    return digest.hexdigest()


def _entries(folder: Path, root: Path) -> list[Path]:
    """Return what lies in a folder, sorted; a link may not lead out of the root."""
    inside = root.resolve()
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    for entry in entries:
        if not entry.resolve().is_relative_to(inside):
            raise VideoError(
                f"{entry} is a link that leads out of {root}, and is not followed: put the file itself "
                "there, or delete the link"
            )
    return sorted(entries, key=lambda entry: _natural(entry.name))


def _pictures(folder: Path, root: Path) -> tuple[Path, ...]:
    entries = _entries(folder, root)
    found = [entry for entry in entries if entry.suffix.lower() in PICTURE_SUFFIXES and entry.is_file()]
    return tuple(entry for entry in found if not _is_film(entry))


def _places(folder: Path, pictures: tuple[Path, ...]) -> tuple[int, ...]:
    """Return the step of each picture of a video by the numbers in their names; none where there is no gap.

    A number counts where it alone tells the names apart. The step between two numbers is the most common one;
    a gap is believed where it is a whole number of such steps, not long, and where most of the steps have
    a picture.
    """
    numbers = _numbers(pictures)
    steps = [after - number for number, after in itertools.pairwise(numbers)]
    if not steps or min(steps) <= 0 or len({*steps}) == 1:
        return ()
    ((step, count),) = collections.Counter(steps).most_common(1)
    gaps = [(number, length) for number, length in zip(numbers, steps, strict=False) if length != step]
    named = f"the numbers of the pictures in {folder} have gaps, after {_named([str(n) for n, _ in gaps])}"
    is_even = all(length % step == 0 for _, length in gaps) and 2 * count >= len(steps)
    total = (numbers[-1] - numbers[0]) // step + 1
    if not is_even or max(steps) > _LONGEST_GAP * step or total > _MOST_GAPS * len(pictures):
        print(
            f"Warning: {named}: too long, or too uneven, to be missing frames. They are read as if nothing "
            "were missing; put what was recorded apart into folders of its own",
            file=sys.stderr,
        )
        return ()
    missing = total - len(pictures)
    print(
        f"Warning: {named}: {missing} frame{'s are' if missing > 1 else ' is'} missing there", file=sys.stderr
    )
    return tuple((number - numbers[0]) // step for number in numbers)


_LONGEST_GAP = 100
"""Steps between two pictures of one recording."""
_MOST_GAPS = 4
"""How many times more steps than pictures."""


def _numbers(pictures: tuple[Path, ...]) -> list[int]:
    """Return the number in the name of each picture that tells it from the others; none where none does."""
    parts = [re.split(r"([0-9]+)", picture.stem) for picture in pictures]
    if len({len(of_name) for of_name in parts}) != 1:
        return []
    varying = [i for i, of_part in enumerate(zip(*parts, strict=True)) if len({*of_part}) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0:
        return []
    return [int(of_name[varying[0]]) for of_name in parts]


def _is_film(path: Path) -> bool:
    """Return whether a picture has several frames."""
    if path.suffix.lower() not in FILM_SUFFIXES:
        return False
    try:
        with Image.open(path, formats=["PNG", "WEBP", "TIFF"]) as image:
            return bool(getattr(image, "n_frames", 1) > 1)
    # A broken picture is told where it is read.
    except Exception:
        return False


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts frame_10 after frame_9."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]
