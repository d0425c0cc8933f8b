"""Calls in parts, so that the memory of a call does not grow with the sequences that it is given."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import tensorflow as tf

PIXELS_AT_ONCE = 2**20
"""Of frames that go through encoder or decoder together: 1,024 of 32x32. What a call takes then is told by
`python -m benchmarks.inference_memory`."""

STATES_AT_ONCE = 2**15
"""Steps of all sequences together that are filtered and smoothed at the same time."""

Result = TypeVar("Result")


def frames_at_once(*frame_shape: int) -> int:
    """Return how many frames (H, W), or (H, W, 3), go through encoder or decoder together."""
    return max(1, PIXELS_AT_ONCE // math.prod(frame_shape))


def sequences_at_once(num_steps: int) -> int:
    """Return how many sequences are filtered and smoothed together."""
    return max(1, STATES_AT_ONCE // num_steps)


def traced_once(function: Any, *arguments: Any) -> Any:
    """Call a `tf.function` that is traced for a batch of any size, and so once for all batches.

    Args:
        function: the `tf.function`, perhaps a method.
        arguments: tensors [N, ...]; a seed [2]; or None. Whatever else a shape says is another trace.
    """
    if not tf.config.functions_run_eagerly():
        # Called with one size after another, it would be traced for some of them, and TensorFlow complain.
        function.get_concrete_function(*(_of_any_batch(argument) for argument in arguments))
    return function(*arguments)


def _of_any_batch(tensor: tf.Tensor | None) -> tf.TensorSpec | None:
    if tensor is None:
        return None
    shape = tensor.shape if tensor.shape.rank == 1 else [None, *tensor.shape[1:]]
    return tf.TensorSpec(shape, tensor.dtype)


def in_parts(function: Callable[..., Result], arrays: Sequence[Any], at_once: int) -> Result:
    """Call a function of a batch on a part of it after the other, and put the results together.

    Args:
        function: of arrays or tensors [n, ...], each perhaps None; returns a tensor [n, ...] or a nested
            structure of such and of None. What it makes of one row must not depend on the others.
        arrays: its arguments, [N, ...] each or None; the first is not None.
        at_once: rows in a part.

    Returns:
        What `function` would return for all of them.
    """
    count = len(arrays[0])
    if count <= at_once:
        return function(*arrays)
    found = []
    for first in range(0, count, at_once):
        part = slice(first, first + at_once)
        found.append(function(*(None if array is None else array[part] for array in arrays)))
    return tf.nest.map_structure(
        lambda *parts: None if parts[0] is None else tf.concat(parts, axis=0), *found
    )
