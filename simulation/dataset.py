"""Dataset files: made from a world, described by their metadata, checked before they are used.

A dataset is two files of one folder, `<world>.npz` for training and `<world>_test.npz`. Each holds

    images    uint8 [N, T, H, W]; 0 or 255 in binary worlds
    states    float32 [N, T, S], the state that each frame shows
    controls  float32 [N, T, dim_u]; dim_u is 0 in a world without controls
    metadata  a JSON string, see `read_metadata`

The same arguments give the same bytes, as long as the versions in the metadata are the same.
"""

import json
import os
import platform
import secrets
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from simulation.interrupts import HeldBackSignals
from simulation.worlds import Quantity, Sequences, World, make_world
from simulation.worlds.base import check_num_steps

SPLITS = ("train", "test")

# The sizes of the KVAE paper's datasets (Fraccaro et al., NIPS 2017).
NUM_TRAIN = 5000
NUM_TEST = 1000
NUM_STEPS = 20
SEED = 1234


class DatasetMismatch(ValueError):
    """A dataset file is there already, but it is not the one that was asked for."""


class DatasetPaths(NamedTuple):
    """The two files of a dataset."""

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
    return Path(data_dir) / f"{world_name}{suffix}.npz"


def sequence_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """Make the random stream of one sequence.

    A stream depends on nothing but its seed, split and index, so a dataset of 10 sequences is the
    beginning of one of 100.
    """
    key = (SPLITS.index(split), index)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def simulate(world: World, split: str, num_sequences: int, num_steps: int, seed: int) -> Sequences:
    """Simulate the sequences of a split, with a progress bar if standard error is a terminal.

    Returns:
        images uint8 [N, T, H, W], states float64 [N, T, S], controls float32 [N, T, dim_u].

    Raises:
        ValueError: if `num_sequences` or `num_steps` is not positive or `seed` is negative.
    """
    _check_size("num_sequences", num_sequences, num_steps, seed)
    shape = (num_sequences, num_steps)
    sequences = Sequences(
        images=np.empty((*shape, *world.image_shape), dtype=np.uint8),
        states=np.empty((*shape, len(world.state_quantities))),
        controls=np.empty((*shape, len(world.control_quantities)), dtype=np.float32),
    )
    description = f"{world.name} {split}"
    with HeldBackSignals() as signals:
        for index in tqdm(range(num_sequences), description, unit="seq", leave=False, disable=None):
            signals.deliver()
            sequence = world.sample_sequence(sequence_rng(seed, split, index), num_steps)
            for array, value in zip(sequences, sequence, strict=True):
                array[index] = value[0]
    return sequences


def generate(
    world_name: str,
    data_dir: str | os.PathLike,
    num_train: int = NUM_TRAIN,
    num_test: int = NUM_TEST,
    num_steps: int = NUM_STEPS,
    seed: int = SEED,
    regenerate: bool = False,
    report: Callable[[DatasetFile], object] = print,
) -> DatasetPaths:
    """Make both files of a dataset, unless just these are there already.

    Args:
        world_name: a name that `make_world` knows.
        data_dir: the folder; made if it is not there.
        num_train: number of training sequences.
        num_test: number of test sequences.
        num_steps: number of frames in each sequence.
        seed: what all sequences are drawn from, a non-negative integer.
        regenerate: make the files anew, whatever is there.
        report: called with a `DatasetFile` for every file once it is there.

    Raises:
        DatasetMismatch: if a file is there that was made otherwise; then nothing is written.
        ValueError: if there is no such world or a number is out of range.
        OSError: if the files cannot be read or written.
    """
    world = make_world(world_name)
    _check_size("num_train", num_train, num_steps, seed)
    _check_size("num_test", num_test, num_steps, seed)
    wanted = {
        dataset_path(data_dir, world_name, split): describe(world, split, n, num_steps, seed)
        for split, n in zip(SPLITS, (num_train, num_test), strict=True)
    }
    kept = [path for path in wanted if path.exists() and not regenerate]
    for path in kept:
        _check_matches(path, wanted[path])
    for path, metadata in wanted.items():
        seconds = None if path in kept else _make_file(path, world, metadata)
        report(DatasetFile(path, metadata["num_sequences"], num_steps, seconds))
    return DatasetPaths(*wanted)


def ensure(
    world_name: str,
    data_dir: str | os.PathLike,
    report: Callable[[DatasetFile], object] = print,
) -> DatasetPaths:
    """Return both files of a dataset, making those that are missing in their default size.

    Files that are there may be of any size and seed, but must be of this world, its parameters and
    their split. Files without metadata, such as those of the original code, are taken as they are,
    whether or not `make_world` knows their world.

    Args:
        world_name: a name that `make_world` knows, unless both files are there without metadata.
        data_dir: the folder; made if it is not there.
        report: called with a `DatasetFile` for every file that had to be made.

    Raises:
        DatasetMismatch: if a file is there that was made otherwise; then nothing is written.
        ValueError: if there is no such world or a file is not a dataset file.
        OSError: if the files cannot be read or written.
    """
    paths = DatasetPaths(*(dataset_path(data_dir, world_name, split) for split in SPLITS))
    missing = {}
    for split, path, num_sequences in zip(SPLITS, paths, (NUM_TRAIN, NUM_TEST), strict=True):
        found = read_metadata(path) if path.exists() else None
        if path.exists() and found is None:
            continue
        world = make_world(world_name)
        wanted = describe(world, split, num_sequences, NUM_STEPS, SEED)
        if found is None:
            missing[path] = world, wanted
        else:
            _compare(path, found, wanted, ("world", "split", "parameters"))
    for path, (world, metadata) in missing.items():
        seconds = _make_file(path, world, metadata)
        report(DatasetFile(path, metadata["num_sequences"], metadata["num_steps"], seconds))
    return paths


def read_metadata(path: str | os.PathLike) -> dict[str, Any] | None:
    """Read what a dataset file says about itself.

    Returns:
        The entries of `describe`, or None if the file has no metadata, as those of the original
        code have none.

    Raises:
        ValueError: if this is not a dataset file.
        OSError: if the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "metadata" not in arrays:
                return None
            return dict(json.loads(str(arrays["metadata"])))
    # TypeError: a lone .npy array is no context manager.
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not a dataset file, or a damaged one: {error}. Delete it or name another --data_dir."
        ) from error


def describe(world: World, split: str, num_sequences: int, num_steps: int, seed: int) -> dict[str, Any]:
    """Describe a dataset file: the metadata that is stored in it, only JSON's own types."""
    return {
        "world": world.name,
        "parameters": world.parameters,
        "split": split,
        "seed": int(seed),
        "num_sequences": int(num_sequences),
        "num_steps": int(num_steps),
        "states": _describe_quantities(world.state_quantities),
        "controls": _describe_quantities(world.control_quantities),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "pymunk", "pygame")},
        },
    }


def _describe_quantities(quantities: tuple[Quantity, ...]) -> list[dict[str, str]]:
    return [quantity._asdict() for quantity in quantities]


def _make_file(path: Path, world: World, metadata: dict[str, Any]) -> float:
    """Simulate and store a file; return the seconds it took."""
    start = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened first: a folder that cannot be written to shows before the simulation, not after it.
    with _whole_file(path) as file:
        sequences = simulate(
            world,
            metadata["split"],
            metadata["num_sequences"],
            metadata["num_steps"],
            metadata["seed"],
        )
        np.savez_compressed(
            file,
            images=sequences.images,
            states=sequences.states.astype(np.float32),
            controls=sequences.controls,
            metadata=np.array(json.dumps(metadata)),
        )
    return time.perf_counter() - start


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file that gets its name only once it is whole and on the disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # Not the tempfile module: its files are for their owner's eyes only.
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_size(name: str, num_sequences: int, num_steps: int, seed: int) -> None:
    if num_sequences < 1:
        raise ValueError(f"{name} must be at least 1. Received: {num_sequences}.")
    check_num_steps(num_steps)
    if seed < 0:
        raise ValueError(f"seed must not be negative. Received: {seed}.")


def _check_matches(path: Path, wanted: dict[str, Any]) -> None:
    found = read_metadata(path)
    if found is None:
        raise DatasetMismatch(
            f"{path} is there already and does not say how it was made (it has no metadata). "
            "Pass --regenerate True to replace it, or name another --data_dir."
        )
    fields = ("world", "split", "parameters", "seed", "num_sequences", "num_steps")
    _compare(path, found, wanted, fields)


def _compare(path: Path, found: dict[str, Any], wanted: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Raise DatasetMismatch, naming every field that differs."""
    found, wanted = _flatten(found, fields), _flatten(wanted, fields)
    differences = [
        f"{field} is {found.get(field, 'absent')}, not {wanted.get(field, 'absent')}"
        for field in {**wanted, **found}
        if found.get(field) != wanted.get(field)
    ]
    if differences:
        raise DatasetMismatch(
            f"{path} is there already but is not what was asked for: {'; '.join(differences)}. "
            "Pass --regenerate True to `python -m simulation.generate` to replace it, "
            "or name another --data_dir."
        )


def _flatten(metadata: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    """Show the fields as JSON; parameters one by one, as together they are too long to compare."""
    values = {field: metadata[field] for field in fields if field in metadata}
    parameters = values.pop("parameters", {})
    return {field: json.dumps(value) for field, value in {**values, **parameters}.items()}
