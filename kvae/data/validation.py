"""Which training sequences are held out, to choose by them which model is kept. Imports no TensorFlow."""

from kvae.data.dataset import Dataset
from kvae.data.shards import Shards

MOST = 256
"""Sequences that are held out, at most: more would say little more."""


def num_held_out(num_sequences: int, share: float) -> int:
    """Return how many sequences of a training are held out, none where there would be no other left.

    Args:
        num_sequences: N.
        share: of them, config.validation_split.

    Examples:
        >>> [num_held_out(count, 0.1) for count in (1, 2, 100, 5000)]
        [0, 1, 10, 256]
    """
    if not share or num_sequences < 2:
        return 0
    return min(max(1, round(share * num_sequences)), MOST, num_sequences - 1)


def split(data: Dataset | Shards, share: float) -> tuple[Dataset | Shards, Dataset | None]:
    """Return what is learned from, and the last sequences, which are held out; None: none are.

    The last, as Keras' `validation_split` has it: in a folder of videos they are those of other videos.

    Args:
        data: a `Dataset` or `Shards`.
        share: of the sequences, config.validation_split.

    Raises:
        DataError: a file of the shards cannot be read.
    """
    count = num_held_out(data.shape[0], share)
    return data.split(count) if count else (data, None)
