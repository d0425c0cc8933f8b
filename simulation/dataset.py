"""Datasets: two files, or a file and a folder of shards, made from a world and checked before they are used.

A dataset of the world `box` is, in one folder,

    box.npz                              training, or in its place
    box/train-00003-of-00016.npz         training in shards, each made on its own
    box_test.npz                         testing

and one of `gym:ALE/Pong-v5` gym-ALE-Pong-v5.npz and so on: what no file's name may hold is a dash in it.

What stands in a file is described in `simulation.dataset_file`. The same arguments give the same bytes, and
the shards hold the sequences that the one file would, in order.
"""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kvae.system import called
from kvae.system.files import file_name

from .dataset_file import DatasetMismatch, compare, describe, make, read_metadata
from .sampling import SPLITS, Workers, check_size
from .worlds import World, make_world
from .worlds.registry import is_of_this_program

SEED = 1234

_SHARD = re.compile(r"train-(\d{5})-of-(\d{5})\.npz")

_MADE_BY = ("world", "split", "parameters", "seed", "first", "num_sequences", "num_steps")
"""Fields of the metadata that decide what the sequences are."""

_OF_ALL_FILES = ("world", "split", "parameters", "num_steps")
"""Those in which files that are there must be as this version makes them."""


class DatasetPaths(NamedTuple):
    """Where a dataset lies.

    Attributes:
        train: the training file, or the folder of its shards.
        test: the test file.
    """

    train: Path
    test: Path


class DatasetFile(NamedTuple):
    """What became of one dataset file; as a string, a line that says so.

    Attributes:
        path: the file.
        num_sequences: N.
        num_steps: T.
        seconds: what it took to make the file; None if it was there already.
    """

    path: Path
    num_sequences: int
    num_steps: int
    seconds: float | None

    def __str__(self) -> str:
        size = f"{self.num_sequences} sequences x {self.num_steps} steps"
        megabytes = f"{self.path.stat().st_size / 1e6:.1f} MB"
        origin = "there already, left as it is" if self.seconds is None else f"{self.seconds:.1f} s"
        return f"{self.path}: {size}, {megabytes}, {origin}"


def dataset_path(data_dir: str | os.PathLike, world_name: str, split: str) -> Path:
    """Where the file of a split, "train" or "test", lies."""
    suffix = {"train": "", "test": "_test"}[split]
    return Path(data_dir) / f"{file_name(world_name)}{suffix}.npz"


def shard_path(data_dir: str | os.PathLike, world_name: str, shard: int, shards: int) -> Path:
    """Where a shard of the training data lies."""
    return Path(data_dir) / file_name(world_name) / f"train-{shard:05d}-of-{shards:05d}.npz"


def generate(
    world_name: str,
    data_dir: str | os.PathLike,
    num_train: int | None = None,
    num_test: int | None = None,
    num_steps: int | None = None,
    seed: int = SEED,
    options: dict[str, Any] | None = None,
    shards: int | None = None,
    shard: int | None = None,
    jobs: int = 1,
    regenerate: bool = False,
    report: Callable[[DatasetFile], object] = print,
) -> DatasetPaths:
    """Make the files of a dataset, but for those of them that are there already.

    Args:
        world_name: a name that `make_world` knows.
        data_dir: the folder; made if it is not there.
        num_train: number of training sequences; None: as many as the world has by default.
        num_test: number of test sequences; None likewise.
        num_steps: number of frames in each sequence; None likewise.
        seed: what all sequences are drawn from, a non-negative integer.
        options: what is to be different in the world, see `make_world`.
        shards: store the training data in so many files; None: in one, not in a folder of its own.
        shard: make the shard of this number alone, from 0, and no test data.
        jobs: processes that share the work.
        regenerate: make the files anew, whatever is there.
        report: called with a `DatasetFile` for every file once it is there.

    Raises:
        DatasetMismatch: if a file is there that was made otherwise; then nothing is written.
        ValueError: if there is no such world or a number is out of range.
        OSError: if the files cannot be read or written.
    """
    world = make_world(world_name, **(options or {}))
    num_train = world.num_train if num_train is None else num_train
    num_test = world.num_test if num_test is None else num_test
    num_steps = world.num_steps if num_steps is None else num_steps
    check_size("num_train", num_train, num_steps, seed)
    check_size("num_test", num_test, num_steps, seed)
    _check_shards(num_train, shards, shard)

    paths = DatasetPaths(*(dataset_path(data_dir, world_name, split) for split in SPLITS))
    if shards is None:
        wanted = {paths.train: describe(world, "train", num_train, num_steps, seed)}
    else:
        wanted = _describe_shards(world, data_dir, num_train, num_steps, seed, shards)
        paths = paths._replace(train=Path(data_dir) / file_name(world_name))
    wanted[paths.test] = describe(world, "test", num_test, num_steps, seed)
    if shards is not None and shard is not None:
        path = shard_path(data_dir, world_name, shard, shards)
        wanted = {path: wanted[path]}
    in_the_way = _others(data_dir, world_name, shards)
    if in_the_way and not regenerate:
        raise DatasetMismatch(
            f"{in_the_way[0]} is there already, which is training data of {world_name} in other files than "
            f"asked for. Pass --regenerate True to `{called.command('generate')}` to replace it, "
            "or name another --data_dir."
        )
    kept = [path for path in wanted if path.exists() and not regenerate]
    for path in kept:
        _check_matches(path, wanted[path])
    if len(kept) < len(wanted):
        _tell(world)
    with Workers(jobs) as workers:
        for path, metadata in wanted.items():
            seconds = None if path in kept else make(path, world, metadata, workers)
            report(DatasetFile(path, metadata["num_sequences"], num_steps, seconds))
    # Only now: until the new files are whole, the old ones are better than nothing.
    for path in in_the_way:
        path.unlink()
    return paths


def ensure(
    world_name: str,
    data_dir: str | os.PathLike,
    report: Callable[[DatasetFile], object] = print,
    quiet: bool = False,
    options: dict[str, Any] | None = None,
    num_steps: int | None = None,
) -> DatasetPaths:
    """Return where a dataset lies, making the files that are missing in their default size.

    Files that are there may be of any size, seed and options, the same in all of them, but must be of this
    world, as this version makes it, and of their split; and have what is asked for. Files without metadata,
    such as those of the original code, are taken as they are, whether or not `make_world` knows their world.

    Args:
        world_name: a name that `make_world` knows, unless both files are there without metadata.
        data_dir: the folder; made if it is not there.
        report: called with a `DatasetFile` for every file that had to be made.
        quiet: show no progress bar.
        options: what is to be different in the world, see `make_world`, and named so in its parameters.
        num_steps: frames in each sequence; None: as many as there are, or as the world has by default.

    Raises:
        DatasetMismatch: if a file is there that was made otherwise; then nothing is written.
        ValueError: if there is no such world, a file is not a dataset file, or a shard is missing.
        OSError: if the files cannot be read or written.
    """
    paths = DatasetPaths(*(dataset_path(data_dir, world_name, split) for split in SPLITS))
    shards = _shards_there(data_dir, world_name)
    if shards:
        if paths.train.exists():
            raise DatasetMismatch(
                f"{paths.train} and {shards[0]} are both there: delete what you do not want."
            )
        _check_complete(shards)
        paths = paths._replace(train=Path(data_dir) / file_name(world_name))
    files = {"train": shards or [paths.train], "test": [paths.test]}
    found = {
        (split, path): read_metadata(path)
        for split, of_split in files.items()
        for path in of_split
        if path.exists()
    }
    described = {key: metadata for key, metadata in found.items() if metadata is not None}
    first = next(iter(described.values()), {})
    missing = [(split, path) for split, of_split in files.items() for path in of_split if not path.exists()]
    for path, metadata in ((path, metadata) for (_, path), metadata in described.items()):
        _check_asked(path, metadata, options or {}, num_steps)
    if not missing and not is_of_this_program(world_name):
        # What made them, an environment or a world of somebody's own, need not be installed here.
        for (split, path), metadata in described.items():
            compare(path, metadata, first | {"world": world_name, "split": split}, _OF_ALL_FILES)
    if not missing and not (described and is_of_this_program(world_name)):
        return paths
    world = _world_like(world_name, first, options or {})
    steps = first.get("num_steps", num_steps or world.num_steps)
    sizes = {"train": world.num_train, "test": world.num_test}
    for (split, path), metadata in described.items():
        compare(path, metadata, describe(world, split, sizes[split], steps, SEED), _OF_ALL_FILES)
    if missing:
        _tell(world)
    with Workers(quiet=quiet) as workers:
        for split, path in missing:
            metadata = describe(world, split, sizes[split], steps, SEED)
            seconds = make(path, world, metadata, workers)
            report(DatasetFile(path, sizes[split], steps, seconds))
    return paths


def _check_shards(num_train: int, shards: int | None, shard: int | None) -> None:
    if shards is None:
        if shard is not None:
            raise ValueError("shard is the number of one of several shards: say of how many, with shards.")
        return
    if not 1 <= shards <= min(num_train, 99999):
        raise ValueError(
            f"shards must be between 1 and the number of training sequences, {num_train}, and at most 99999. "
            f"Received: {shards}."
        )
    if shard is not None and not 0 <= shard < shards:
        raise ValueError(f"shard must be between 0 and {shards - 1}. Received: {shard}.")


def _describe_shards(world, data_dir, num_train, num_steps, seed, shards) -> dict[Path, dict[str, Any]]:
    """Return the metadata of every shard: the sequences in order, shared out as evenly as can be."""
    bounds = [i * num_train // shards for i in range(shards + 1)]
    return {
        shard_path(data_dir, world.name, i, shards): describe(
            world, "train", bounds[i + 1] - bounds[i], num_steps, seed, first=bounds[i]
        )
        for i in range(shards)
    }


def _shards_there(data_dir: str | os.PathLike, world_name: str) -> list[Path]:
    folder = Path(data_dir) / file_name(world_name)
    return sorted(path for path in folder.glob("train-*.npz") if _SHARD.fullmatch(path.name))


def _shard_numbers(path: Path) -> tuple[int, int]:
    """Return the number of a shard, and how many there are, from its file's name."""
    shard, shards = path.stem.removeprefix("train-").split("-of-")
    return int(shard), int(shards)


def _others(data_dir: str | os.PathLike, world_name: str, shards: int | None) -> list[Path]:
    """Return the training files that are there and are not among so many shards (None: not the one file)."""
    single = dataset_path(data_dir, world_name, "train")
    others = [single] if shards is not None and single.exists() else []
    for path in _shards_there(data_dir, world_name):
        if shards is None or _shard_numbers(path)[1] != shards:
            others.append(path)
    return others


def _check_complete(shards: list[Path]) -> None:
    """Raise ValueError unless all shards of one number of shards are there."""
    counts = {_shard_numbers(path)[1] for path in shards}
    if len(counts) > 1:
        raise ValueError(
            f"{shards[0].parent} holds shards of datasets in {' and in '.join(map(str, sorted(counts)))} "
            "shards: delete those that you do not want."
        )
    (count,) = counts
    there = {_shard_numbers(path)[0] for path in shards}
    if missing := [i for i in range(count) if i not in there]:
        raise ValueError(
            f"{shards[0].parent} has {len(there)} of {count} shards; number {missing[0]} is missing. "
            f"Make what is missing with `{called.command('generate')} --shards {count}` and the options "
            "that made the others."
        )


def _world_like(world_name: str, metadata: dict[str, Any], options: dict[str, Any]) -> World:
    """Make a world with the options of a dataset file, if the file is of that world; else with these."""
    if metadata.get("world") == world_name:
        options = metadata.get("options", {})
    return make_world(world_name, **options)


def _tell(world: World) -> None:
    for note in world.notes:
        print(f"Note: {note}", file=sys.stderr)


def _check_asked(
    path: Path, metadata: dict[str, Any], options: dict[str, Any], num_steps: int | None
) -> None:
    """Raise DatasetMismatch where a file that is there has not what is asked for."""
    parameters = metadata.get("parameters")
    there = (parameters if isinstance(parameters, dict) else {}) | {"num_steps": metadata.get("num_steps")}
    asked = options | ({} if num_steps is None else {"num_steps": num_steps})
    compare(path, {name: there.get(name) for name in asked}, asked, tuple(asked))


def _check_matches(path: Path, wanted: dict[str, Any]) -> None:
    found = read_metadata(path)
    if found is None:
        raise DatasetMismatch(
            f"{path} is there already and does not say how it was made (it has no metadata). "
            "Pass --regenerate True to replace it, or name another --data_dir."
        )
    compare(path, found, wanted, _MADE_BY)
