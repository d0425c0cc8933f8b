"""A training step that several replicas share, as if there were one.

Noise is drawn for the whole batch and cut, sums over observed frames are those of the whole batch, and
gradients are clipped after they have been added up. `kvae.training.distribution` is what happens around it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import tensorflow as tf

Tensors = TypeVar("Tensors")


def num_replicas() -> int:
    """Return how many replicas share the batch; 1 outside of any strategy."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def sum_over_replicas(tensors: Tensors) -> Tensors:
    """Add up a tensor, or each of a list, over all replicas."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def normal(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draw from N(0, 1): this replica's part of what one would draw for the whole batch.

    Args:
        shape: of the part; its first axis is the batch.
        seed: [2] integers, a stateless seed, the same on all replicas.
    """
    return _part_of(tf.random.stateless_normal, shape, seed)


def uniform(shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Draw from [0, 1) as `normal` does from N(0, 1)."""
    return _part_of(tf.random.stateless_uniform, shape, seed)


def _part_of(draw: Callable[..., tf.Tensor], shape: Sequence[int] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    count = num_replicas()
    if count == 1:
        return draw(shape, seed)
    size = shape[0]
    whole = draw([count * size, *tf.unstack(shape[1:])], seed)
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * size
    return whole[first : first + size]
