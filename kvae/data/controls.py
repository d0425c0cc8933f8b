"""Controls that are classes, such as the buttons of a game: as inputs of a model, one-hot. No TensorFlow."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from kvae.data.fields import DataError

MOST_INPUTS = 1000
"""Entries of a control; more classes than that are numbers that somebody stored as integers."""

Classes = tuple[tuple[int, ...], ...]
"""For each column of controls the classes that training has, in order; () where controls are numbers."""


def are_classes(controls: NDArray) -> bool:
    """Return whether controls are classes: integers or booleans."""
    return controls.dtype.kind in "bui"


def classes_of(controls: Iterable[NDArray], name: str) -> Classes:
    """Return the classes that integer controls [N, T, M] of one or more files have.

    Those of the first frames do not count, as nothing moves into a first frame.

    Args:
        controls: of the files.
        name: of the file or folder, for messages.

    Raises:
        DataError: a class is negative, or there are too many.
    """
    found: list[set[int]] = []
    for array in controls:
        found = found or [set() for _ in range(array.shape[2])]
        for column, classes in enumerate(found):
            classes.update(np.unique(array[:, 1:, column]).tolist())
    if any(min(classes, default=0) < 0 for classes in found):
        least = min(min(classes) for classes in found if classes)
        raise DataError(
            f"{name}: controls are integers, which are classes from 0 on. Received: {least}. Where they are "
            "numbers, controls.astype(numpy.float32)"
        )
    if _num_inputs(tuple(map(tuple, found))) > MOST_INPUTS:
        largest = max(max(classes) for classes in found if classes)
        raise DataError(
            f"{name}: controls are integers, which are classes, at most {MOST_INPUTS} in all. "
            f"Received: classes up to {largest}. Where they are numbers, controls.astype(numpy.float32)"
        )
    return tuple(tuple(sorted(classes)) for classes in found)


def one_hot(controls: NDArray, classes: Classes, name: str) -> NDArray[np.float32]:
    """Return classes [N, T, M] as inputs: for each column one for each class from 0 to the largest.

    Args:
        controls: integers.
        classes: of the training data.
        name: of the file, for messages.

    Returns:
        [N, T, dim_u]; zeros in a first frame whose class the training data do not have.

    Raises:
        DataError: a class is larger than all of the training data.
    """
    if controls.shape[2] != len(classes):
        raise DataError(
            f"{name}: controls have {controls.shape[2]} columns, those of the training data {len(classes)}"
        )
    parts = []
    for column, known in enumerate(classes):
        count = max(known, default=-1) + 1
        values = controls[..., column]
        later = values[:, 1:]
        if later.size and not (later.min() >= 0 and later.max() < count):
            odd = later[(later < 0) | (later >= count)].flat[0]
            raise DataError(
                f"{name}: controls of class {odd}, which the training data do not have: theirs are "
                f"0 to {count - 1}"
            )
        parts.append(values[..., None] == np.arange(count))
    return np.concatenate(parts, axis=-1).astype(np.float32)


def unknown_classes(controls: NDArray, classes: Classes) -> list[int]:
    """Return the classes in [N, T, M] that the training data never had, up to their largest."""
    found: set[int] = set()
    for column, known in enumerate(classes):
        found |= {*np.unique(controls[:, 1:, column]).tolist()} - {*known}
    return sorted(found)


def in_words(classes: Classes) -> str:
    """Say what becomes of classes, for a line of output."""
    counts = " + ".join(str(max(known, default=-1) + 1) for known in classes)
    return f"controls are integers, so classes: one-hot, {counts} inputs"


def _num_inputs(classes: Classes) -> int:
    return sum(max(known, default=-1) + 1 for known in classes)
