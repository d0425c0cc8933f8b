"""The dataset file: an .npz that says how it was made.

    images    uint8 [N, T, H, W]; 0 or 255 in binary worlds; [N, T, H, W, 3] in colour
    states    float32 [N, T, S], the state that each frame shows
    controls  float32 [N, T, dim_u]; dim_u is 0 in a world without controls
    metadata  a JSON string, see `describe`

The same metadata gives the same bytes, as long as the versions in it are the same.
"""

import json
import os
import platform
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np

from kvae.data.archives import read_arrays
from kvae.system import called
from kvae.system.files import replacing

from .interrupts import HeldBackSignals
from .sampling import Workers
from .worlds import Quantity, World

COMPRESSION = 3
"""Level of zlib: files half as large again as at its usual 6, in half the time and less."""


class DatasetMismatch(ValueError):
    """A dataset file is there already, but it is not the one that was asked for."""


def describe(
    world: World, split: str, num_sequences: int, num_steps: int, seed: int, first: int = 0
) -> dict[str, Any]:
    """Describe a dataset file: the metadata that is stored in it, only JSON's own types.

    Args:
        world: the world.
        split: "train" or "test".
        num_sequences: sequences in the file.
        num_steps: frames in each.
        seed: what all are drawn from.
        first: number of the file's first sequence, where the split has several files.
    """
    return {
        "world": world.name,
        "options": world.options,
        "parameters": world.parameters,
        "split": split,
        "seed": int(seed),
        "first": int(first),
        "num_sequences": int(num_sequences),
        "num_steps": int(num_steps),
        "states": _describe_quantities(world.state_quantities),
        "controls": _describe_quantities(world.control_quantities),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in world.packages},
        },
    }


def make(path: Path, world: World, metadata: dict[str, Any], workers: Workers) -> float:
    """Simulate and store what the metadata describes; return the seconds it took.

    Memory does not grow with the number of sequences, but for their states.

    Args:
        path: the file; it appears once it is whole.
        world: the world.
        metadata: what `describe` returned for it.
        workers: who simulates.
    """
    start = time.perf_counter()
    count, num_steps = metadata["num_sequences"], metadata["num_steps"]
    states, controls = [], []
    # Opened first: a folder that cannot be written to shows before the simulation, not after it.
    with (
        HeldBackSignals() as signals,
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive,
    ):
        with _member(archive, "images", (count, num_steps, *world.image_shape), np.uint8) as images:
            chunks = workers.simulate(
                world, metadata["split"], count, num_steps, metadata["seed"], metadata["first"]
            )
            signals.deliver()
            for chunk in chunks:
                images.write(chunk.images.tobytes())
                states.append(chunk.states.astype(np.float32))
                controls.append(chunk.controls)
        arrays = {
            "states": np.concatenate(states),
            "controls": np.concatenate(controls),
            "metadata": np.array(json.dumps(metadata)),
        }
        for name, array in arrays.items():
            with _member(archive, name, array.shape, array.dtype) as member:
                member.write(array.tobytes())
    return time.perf_counter() - start


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
        arrays = read_arrays(path, ("metadata",))
        return dict(json.loads(str(arrays["metadata"]))) if arrays else None
    # ValueError: an ArchiveError too.
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a dataset file, or a damaged one: {error}. Delete it or name another --data_dir."
        ) from error


def compare(path: Path, found: dict[str, Any], wanted: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Raise DatasetMismatch, naming every field in which the metadata differ."""
    found, wanted = _flatten(found, fields), _flatten(wanted, fields)
    differences = [
        f"{field} is {found.get(field, 'absent')}, not {wanted.get(field, 'absent')}"
        for field in {**wanted, **found}
        if found.get(field) != wanted.get(field)
    ]
    if differences:
        raise DatasetMismatch(
            f"{path} is there already but is not what was asked for: {'; '.join(differences)}. "
            f"Pass --regenerate True to `{called.command('generate')}` to replace it, "
            "or name another --data_dir."
        )


def _flatten(metadata: dict[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    """Show the fields as JSON; parameters one by one, as together they are too long to compare."""
    values = {field: metadata[field] for field in fields if field in metadata}
    parameters = values.pop("parameters", {})
    return {field: json.dumps(value) for field, value in {**values, **parameters}.items()}


def _describe_quantities(quantities: tuple[Quantity, ...]) -> list[dict[str, str]]:
    return [quantity._asdict() for quantity in quantities]


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: Any) -> Iterator[IO[bytes]]:
    """Write an array into an .npz, bit by bit."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    # Given a name, zipfile says that the member was made in 1980: the bytes do not tell when it was.
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        yield member
