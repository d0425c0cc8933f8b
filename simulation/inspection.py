"""Looking at a dataset file: its description, a film, a contact sheet, whether it can be made again."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kvae.data.archives import read_arrays

from .dataset_file import read_metadata
from .sampling import Workers
from .worlds import make_world

ROWS, COLUMNS = 4, 8
"""Sequences in a film; a contact sheet has as many rows, of frames of one sequence each."""

SHEET_FRAMES = 20
"""Frames of a sequence on a contact sheet, at most."""

GAP = 2
"""Grey pixels between two pictures."""

ENLARGED = 64
"""Pixels to which the side of a small picture is enlarged, at most, by a whole factor."""

_QUANTITIES = ("states", "controls")


def describe_file(path: str | os.PathLike) -> str:
    """Return what a dataset file holds: its metadata, and simple statistics of its arrays.

    Raises:
        ValueError: if this is not a dataset file.
        OSError: if the file cannot be read.
    """
    metadata = read_metadata(path)
    lines = [f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB"]
    if metadata is None:
        lines.append("no metadata: not made by this program")
    else:
        lines += [f"{name}: {_short(value)}" for name, value in metadata.items() if name not in _QUANTITIES]
    arrays = _read(path)
    images = arrays["images"]
    count, num_steps, height, width = images.shape[:4]
    in_colour = images.ndim == 5
    values = np.unique(images)
    lines += [
        "",
        f"images: {count} sequences x {num_steps} steps, {height}x{width}{' in colour' * in_colour} "
        f"{images.dtype}; "
        + (
            f"values {' and '.join(map(str, values))}"
            if len(values) <= 2
            else f"{len(values)} {'levels' if in_colour else 'grey levels'}"
        )
        + f"; mean {images.mean() / (255 if images.dtype == np.uint8 else 1):.4f} of white",
    ]
    if num_steps > 1:
        changes = (images[:, 1:] != images[:, :-1]).mean()
        lines.append(f"pixels that change from a frame to the next: {changes:.4f}")
    for name in _QUANTITIES:
        if metadata is None or not metadata.get(name):
            continue
        lines += ["", f"{name:12}{'unit':>20}{'min':>10}{'mean':>10}{'std':>10}{'max':>10}"]
        for quantity, column in zip(metadata[name], np.moveaxis(arrays[name], -1, 0), strict=True):
            numbers = (column.min(), column.mean(), column.std(), column.max())
            lines.append(
                f"{quantity['name']:12}{quantity['unit']:>20}"
                + "".join(f"{number:10.3f}" for number in numbers)
                + f"   {quantity['description']}"
            )
    return "\n".join(lines)


def write_preview(path: str | os.PathLike) -> tuple[Path, Path]:
    """Write a film and a contact sheet of a dataset file's first sequences, beside it.

    Returns:
        The GIF, `<file>_preview.gif`, and the PNG, `<file>_preview.png`.

    Raises:
        ValueError: if this is not a dataset file.
        OSError: if a file cannot be read or written.
    """
    images = _read(path)["images"]
    if images.dtype != np.uint8:
        images = np.round(255 * images).astype(np.uint8)
    film = [_grid(frames, COLUMNS) for frames in images[: ROWS * COLUMNS].swapaxes(0, 1)]
    every = -(-images.shape[1] // SHEET_FRAMES)
    rows = images[:ROWS, ::every]
    sheet = _grid(rows.reshape(-1, *rows.shape[2:]), rows.shape[1])
    gif, png = (Path(path).with_name(f"{Path(path).stem}_preview{suffix}") for suffix in (".gif", ".png"))
    first, *others = (_enlarge(frame, images.shape[2]) for frame in film)
    first.save(gif, save_all=True, append_images=others, duration=100, loop=0)
    _enlarge(sheet, images.shape[2]).save(png)
    return gif, png


def verify(path: str | os.PathLike, jobs: int = 1) -> bool:
    """Simulate anew what a dataset file's metadata says, and tell whether it holds just these sequences.

    Raises:
        ValueError: if this is not a dataset file, or it does not say how it was made.
        OSError: if the file cannot be read.
    """
    metadata = read_metadata(path)
    if metadata is None:
        raise ValueError(f"{path} does not say how it was made: it has no metadata.")
    arrays, start = _read(path), 0
    try:
        world = make_world(metadata["world"], **metadata["options"])
        numbers = {name: metadata[name] for name in ("split", "num_sequences", "num_steps", "seed", "first")}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not say all of how it was made: {error}.") from error
    with Workers(jobs) as workers:
        for chunk in workers.simulate(world, **numbers):
            end = start + len(chunk.images)
            for name, array in chunk._asdict().items():
                if not np.array_equal(arrays[name][start:end], array.astype(arrays[name].dtype)):
                    return False
            start = end
    return start == len(arrays["images"])


def _read(path: str | os.PathLike) -> dict[str, NDArray[Any]]:
    """Read the arrays of a dataset file; of one that is not ours, the images alone."""
    ours = read_metadata(path) is not None
    names = ("images", *_QUANTITIES) if ours else ("images",)
    arrays = read_arrays(path, names)
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"{path} is not a dataset file: it has no array named {missing[0]}.")
    shape = arrays["images"].shape
    if shape[4:] not in ((), (3,)) or len(shape) < 4 or 0 in shape:
        raise ValueError(f"{path}: images must be [N, T, H, W] or [N, T, H, W, 3]. Received shape: {shape}.")
    return arrays


def _grid(pictures: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay pictures [N, H, W] or [N, H, W, 3] out in rows, grey lines between them."""
    count, height, width, *channels = pictures.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sides = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP)
    sheet = np.full((*sides, *channels), 96, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _enlarge(sheet: NDArray[np.uint8], side: int) -> Image.Image:
    factor = max(1, ENLARGED // side)
    return Image.fromarray(sheet).resize(
        [factor * side for side in sheet.shape[1::-1]], Image.Resampling.NEAREST
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items()) or "none"
    return str(value)
