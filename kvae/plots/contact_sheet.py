"""A picture of a dataset: the first frames of a few of its sequences, one row each."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kvae.plots import films

NUM_SEQUENCES = 5
"""Rows of a split."""

_NUM_STEPS = 20


def write(path: Path, sequences: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write a contact sheet as PNG.

    Args:
        path: the file.
        sequences: name of a split to sequences [T, H, W] or [T, H, W, 3] of uint8; the first `_NUM_STEPS`
            frames are shown.
    """
    rows = {
        f"{split} {number}": frames[:_NUM_STEPS] / 255
        for split, of_split in sequences.items()
        for number, frames in enumerate(of_split, start=1)
    }
    films.write_png(path, films.strip(rows))
