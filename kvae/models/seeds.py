"""Stateless seeds: the same seed, the same draw."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

SeedLike: TypeAlias = int | Sequence[int] | np.ndarray | tf.Tensor
"""A whole number, or the two numbers of a stateless seed."""


def stateless_seed(seed: SeedLike) -> tf.Tensor:
    """Return a seed as TensorFlow's stateless draws take it, [2] int32.

    Raises:
        ValueError: it is neither a whole number from 0 to 2147483647 nor two of them.
    """
    if isinstance(seed, tf.Tensor) and not hasattr(seed, "numpy"):
        # Inside a tf.function: two numbers, whose values nobody knows yet.
        values, is_possible = seed, seed.shape == [2] and seed.dtype.is_integer
    else:
        values = np.atleast_1d(np.asarray(seed))
        is_whole = values.shape in ((1,), (2,)) and values.dtype.kind in "iu"
        is_possible = is_whole and (values.min() >= 0 or len(values) == 2) and values.max() < 2**31
        values = np.append(values, 0)[:2]
    if not is_possible:
        raise ValueError(
            f"seed must be a whole number from 0 to 2147483647, or two of them. Received: {seed!r}"
        )
    return tf.cast(values, tf.int32)


def stream(seed: SeedLike) -> Iterator[tf.Tensor]:
    """Yield, for ever, other seeds [2] that all derive from one."""
    first = stateless_seed(seed)
    return (tf.random.fold_in(first, number) for number in itertools.count())


def counter(name: str) -> tf.Variable:
    """Return a variable that counts draws: int64, the same on all replicas, no weight of a model."""
    return tf.Variable(
        0,
        # TensorFlow keeps int32 variables on the processor, where what XLA compiles for a GPU cannot reach
        # them.
        dtype=tf.int64,
        trainable=False,
        name=name,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
