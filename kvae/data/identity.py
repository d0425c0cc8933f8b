"""What data are, wherever they lie: so that a run can tell its own from others. Imports no TensorFlow.

An identity is a dictionary of JSON values: `use_controls`, and for each of `train` and `test`

- `digest`, of the arrays that a model sees. Neither times, nor places, nor how a file is compressed is in it;
- `shape`, [N, T, H, W], and `files`, among how many the sequences are shared;
- `recipe`, what the metadata say of how they were made; empty where they say nothing.

In a run's config.json it may have `classes` too, those that controls are of, see `kvae.data.controls`.
"""

import hashlib
import json
import os
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvae.data.archives import ArchiveError, read_arrays, read_headers
from kvae.data.controls import MOST_INPUTS, Classes
from kvae.data.dataset import DataError
from kvae.system import called

SPLITS = {"train": "training", "test": "test"}
"""Splits, and what they are called in messages."""

_SEEN = ("images", "controls", "mask")
_RECIPE = ("world", "seed", "options", "parameters", "source", "videos")
_MOST_NAMED = 6

Identity = dict[str, Any]


def identity(train: str | os.PathLike, test: str | os.PathLike, use_controls: bool = True) -> Identity:
    """Return the identity of data. No array is read: a file keeps a checksum of each.

    Args:
        train: the training file, or the folder of its shards.
        test: the test file.
        use_controls: as of `kvae.data.load`.

    Raises:
        DataError: a file is missing, or is no dataset file.
    """
    splits = {"train": _of_split(Path(train)), "test": _of_split(Path(test))}
    return {"use_controls": use_controls, **splits}


def classes_of(of: Identity | None) -> Classes | None:
    """Return the classes that a run's controls are of; None where it is unknown whether they are."""
    if of is None or not isinstance(of.get("classes"), list):
        return None
    of_columns: list[Any] = of["classes"]
    if not all(
        isinstance(known, list) and all(type(number) is int and 0 <= number < MOST_INPUTS for number in known)
        for known in of_columns
    ):
        return None
    return tuple(tuple(known) for known in of_columns)


def digest(of: Identity) -> str:
    """Return a few digits that stand for an identity."""
    seen = [of["use_controls"], *([of[split]["digest"], of[split]["files"]] for split in SPLITS)]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def is_identity(value: Any) -> bool:
    """Return whether a value, which anyone may have written, is an identity."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("use_controls"), bool)
        and all(_is_split(value.get(split)) for split in SPLITS)
    )


def differences(was: Identity, now: Identity) -> list[str]:
    """Say in words in what data differ; nothing where they are the same.

    Examples:
        >>> split = {"digest": "5f", "files": 1, "recipe": {}}
        >>> was = {"use_controls": True, "train": split | {"shape": [32, 30, 8, 8]}, "test": split}
        >>> now = was | {"train": split | {"digest": "6a", "shape": [5000, 30, 8, 8]}}
        >>> differences(was, now)
        ['training sequences 32 -> 5,000']
    """
    if digest(was) == digest(now):
        return []
    found = []
    if was["use_controls"] != now["use_controls"]:
        found.append(f"use_controls {was['use_controls']} -> {now['use_controls']}")
    for split, name in SPLITS.items():
        if (was[split]["digest"], was[split]["files"]) != (now[split]["digest"], now[split]["files"]):
            said = _of_splits(was[split], now[split], name)
            found += [words for words in said or [f"the contents of the {name} data"] if words not in found]
    return found


def is_of_videos(of: Identity | None) -> bool:
    """Return whether data were cut from somebody's own videos."""
    return of is not None and "videos" in of["test"]["recipe"]


def arguments_of_recipe(of: Identity | None) -> dict[str, Any] | None:
    """Return the arguments of `simulation.dataset.generate` that make data anew; None: unknown."""
    if of is None:
        return None
    train, test = of["train"], of["test"]
    if not all(isinstance(part["recipe"].get("world"), str) for part in (train, test)):
        return None
    if any(train["recipe"].get(name) != test["recipe"].get(name) for name in ("world", "seed", "options")):
        return None
    options = train["recipe"].get("options", {})
    if type(train["recipe"].get("seed")) is not int or not isinstance(options, dict):
        return None
    return {
        "world_name": train["recipe"]["world"],
        "num_train": train["shape"][0],
        "num_test": test["shape"][0],
        "num_steps": train["shape"][1],
        "seed": train["recipe"]["seed"],
        "options": options,
        "shards": train["files"] or None,
    }


def command_of_recipe(of: Identity | None, data_dir: str | os.PathLike) -> str | None:
    """Return the command that simulates data anew; None where it is unknown how they were made."""
    if (recipe := arguments_of_recipe(of)) is None:
        return None
    options = {name: _word(value) for name, value in recipe["options"].items()}
    named = {"dataset": recipe["world_name"]}
    named |= {name: recipe[name] for name in ("num_train", "num_test", "num_steps", "seed", "shards")}
    named |= {**options, "data_dir": data_dir}
    words = [f"--{name} {shlex.quote(str(value))}" for name, value in named.items() if value is not None]
    return " ".join([called.command("generate"), *words])


def _word(value: Any) -> Any:
    """Return an option's value as the command line takes it: sides as "x,y", corners as "x,y x,y"."""
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, list | tuple) and all(isinstance(item, int) for item in value):
        return ",".join(map(str, value))
    if isinstance(value, list | tuple):
        return " ".join(",".join(map(str, corner)) for corner in value)
    return value


def _is_split(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    shape = value.get("shape")
    return (
        isinstance(value.get("digest"), str)
        and type(value.get("files")) is int
        and isinstance(value.get("recipe"), dict)
        and isinstance(shape, list)
        and len(shape) >= 4
        and all(type(side) is int and side > 0 for side in shape)
    )


def _of_split(path: Path) -> dict[str, Any]:
    is_folder = path.is_dir()
    files = sorted(path.glob("train-*.npz")) if is_folder else [path]
    checksums: list[list[Any]] = []
    recipe: dict[str, Any] = {}
    shape: list[int] = []
    try:
        for file in files:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename: info for info in archive.infolist()}
            for name in _SEEN:
                if info := members.get(f"{name}.npy"):
                    checksums.append([name, info.CRC, info.file_size])
            sides = list(read_headers(file)["images"].shape)
            if shape:
                shape[0] += sides[0]
            else:
                shape, recipe = sides, _recipe(file)
    except FileNotFoundError:
        raise DataError(f"There is no dataset file {path}") from None
    except (ArchiveError, zipfile.BadZipFile, OSError, KeyError, NotImplementedError) as error:
        raise DataError(f"{path} is not a readable dataset file: {error}") from error
    if not shape:
        raise DataError(f"{path} holds no training data")
    content = hashlib.sha256(json.dumps(checksums).encode()).hexdigest()
    # 0: one file, not in a folder of shards.
    return {"digest": content, "shape": shape, "files": len(files) * is_folder, "recipe": recipe}


def _recipe(file: Path) -> dict[str, Any]:
    """Return what the metadata say of how the sequences were made."""
    try:
        metadata = dict(json.loads(str(read_arrays(file, ("metadata",))["metadata"])))
    # Without metadata, or with such as `kvae.data.load` will speak of.
    except (ArchiveError, KeyError, ValueError, TypeError, RecursionError):
        return {}
    return {name: metadata[name] for name in _RECIPE if name in metadata}


def _of_splits(was: Mapping[str, Any], now: Mapping[str, Any], name: str) -> list[str]:
    """Say in what a split differs, as far as its shape and its recipe tell."""
    found = []
    sides = (f"{name} sequences", "steps", "height", "width")
    for side, before, after in zip(sides, was["shape"], now["shape"], strict=False):
        if before != after:
            found.append(f"{side} {before:,} -> {after:,}")
    if was["files"] != now["files"]:
        found.append(f"files of the {name} data {was['files'] or 1} -> {now['files'] or 1}")
    before, after = was["recipe"], now["recipe"]
    for key in ("world", "seed"):
        if before.get(key) != after.get(key):
            found.append(f"{key} {before.get(key, 'unknown')} -> {after.get(key, 'unknown')}")
    for key in ("parameters", "options"):
        first, second = (part.get(key) if isinstance(part.get(key), dict) else {} for part in (before, after))
        changed = [entry for entry in {**first, **second} if first.get(entry) != second.get(entry)]
        for entry in changed[:_MOST_NAMED]:
            if not any(words.startswith(f"{entry} ") for words in found):
                found.append(f"{entry} {first.get(entry, 'default')} -> {second.get(entry, 'default')}")
    first, second = ([*map(str, part.get("videos") or [])] for part in (before, after))
    for video in [*(set(second) - set(first))][:_MOST_NAMED]:
        found.append(f"{video} is among the {name} videos now")
    for video in [*(set(first) - set(second))][:_MOST_NAMED]:
        found.append(f"{video} is no longer among the {name} videos")
    return found
