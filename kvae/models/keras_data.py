"""What `fit`, `evaluate` and `predict` take: checked, and as arguments of `elbo`."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae import arguments
from kvae.errors import UserError

_RANKS = {"images": (4, 5), "mask": (2,), "controls": (3,), "weight": (1,)}
"""What a dictionary may hold, and how many axes each has: see `_SHAPES`."""
_SHAPES = {
    "images": "[N, T, H, W] or [N, T, H, W, 3]",
    "mask": "[N, T]",
    "controls": "[N, T, dim_u]",
    "weight": "[N]",
}
_KNOWN = ", ".join(f"{name} {shape}" for name, shape in _SHAPES.items())


class BatchError(UserError):
    """What `fit`, `evaluate` or `predict` was given cannot be used; the message says what can."""


def unpack(data: Any, frame_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
    """Return the arguments of `elbo` that stand in a batch of Keras or of a plain dataset.

    Args:
        data: frames; or a dictionary of frames as `images` and, as wanted, `mask`, `controls` and `weight`;
            or a tuple (x,) or (x, None, weights) of one of those, as Keras hands it on.
        frame_shape: of the frames, where the model is built for some.

    Raises:
        BatchError: there are targets, or other keys, or shapes that cannot be.
    """
    x, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    check_targets(targets)
    batch = as_dictionary(x)
    if sample_weight is not None:
        weight = tf.cast(sample_weight, tf.float32)
        check_rank("sample_weight", weight.shape.rank, weight.shape)
        batch["weight"] = tf.cast(batch["weight"], tf.float32) * weight if "weight" in batch else weight
    for name, value in batch.items():
        rank = tf.TensorShape(value.shape).rank
        check_rank(name, rank, value.shape)
        if rank is None and name != "images":
            batch[name] = tf.ensure_shape(value, [None] * _RANKS[name][0])
    # A generator or dataset may not say what sides its frames have.
    shape = tf.TensorShape(batch["images"].shape)
    if shape.rank is None or None in shape[2:]:
        if frame_shape is None:
            raise BatchError(
                "The sides of the frames must be known before the first batch: declare images as [None, "
                "None, height, width], in colour [None, None, height, width, 3], or call model.build with "
                f"that. Received: {shape}"
            )
        batch["images"] = tf.ensure_shape(batch["images"], [None, None, *frame_shape])
    return batch


def as_dictionary(x: Any) -> dict[str, Any]:
    """Return what was given as x by name, without what is None.

    Raises:
        BatchError: it is a list of arrays, lacks `images`, or has keys that nobody knows.
    """
    if isinstance(x, list | tuple):
        raise BatchError(
            f"x must be one array of frames {_SHAPES['images']}, or a dictionary of: {_KNOWN}. "
            f"Received: a {type(x).__name__} of {len(x)}"
        )
    if not isinstance(x, Mapping):
        return {"images": x}
    unknown = [key for key in x if key not in _RANKS]
    if unknown or x.get("images") is None:
        wrong = f"unknown {', '.join(map(repr, unknown))}" if unknown else "no 'images'"
        raise BatchError(f"The dictionary x may hold: {_KNOWN}; images it must. Received: {wrong}")
    return {name: value for name, value in x.items() if value is not None}


def check_targets(targets: Any) -> None:
    """Raise BatchError where there are targets: a model of videos learns from the frames alone."""
    if targets is not None and tf.nest.flatten(targets):
        raise BatchError(
            "There are no targets y: the model explains the frames x themselves. Leave y out; weights of the "
            "sequences go into the dictionary x as 'weight' [N], or into sample_weight"
        )


def check_rank(name: str, rank: int | None, shape: Any) -> None:
    """Raise BatchError where an entry of a batch has another number of axes than it must."""
    known_as = "weight" if name == "sample_weight" else name
    has_odd_channels = rank == 5 and name == "images" and shape[-1] not in (3, None)
    if rank is not None and (rank not in _RANKS[known_as] or has_odd_channels):
        raise BatchError(f"{name} must be {_SHAPES[known_as]}. Received: shape {tuple(shape)}")


def checked(x: Any, sample_weight: Any = None) -> Any:
    """Check arrays whose values are there to be seen, before anything is traced.

    Datasets and generators pass: their batches are looked at as they come, by `kvae.models.incoming`.

    Returns:
        x without its Nones. Where there are weights it is a dictionary that holds them: Keras loses a
        sample_weight that comes without targets.

    Raises:
        BatchError: as `unpack`.
        ArgumentError: a mask is not of 0 and 1, a weight is negative or not finite, or frames that are seen
            are none; see `kvae.arguments`.
    """
    if x is None:
        raise BatchError(
            f"x must be frames {_SHAPES['images']}, or a dictionary of: {_KNOWN}. Received: None"
        )
    if isinstance(x, list | tuple):
        as_dictionary(x)
    if not isinstance(x, np.ndarray | tf.Tensor | Mapping):
        return x
    batch = {name: _known(value, name) for name, value in as_dictionary(x).items()}
    for name, value in batch.items():
        check_rank(name, value.ndim, value.shape)
    count = len(batch["images"])
    if count == 0:
        raise BatchError("There must be at least one sequence. Received: none")
    weight = np.ones(count)
    for name, value in {"sample_weight": sample_weight, "weight": batch.get("weight")}.items():
        if value is not None:
            check_rank(name, np.ndim(value), np.shape(value))
            weight = weight * arguments.weight(value, count, name)
    shape = batch["images"].shape[:2]
    mask = np.ones(shape) if "mask" not in batch else arguments.mask(batch["mask"], shape)
    if "controls" in batch:
        if batch["controls"].shape[:2] != shape:
            raise BatchError(
                f"controls must be [N, T, dim_u], here N, T = {shape[0]}, {shape[1]}. "
                f"Received: shape {batch['controls'].shape}"
            )
        arguments.controls(batch["controls"], (None, None, None), counts=weight)
    arguments.frames(batch["images"], mask * weight[:, None])
    found = {name: x[name] for name in batch} if isinstance(x, Mapping) else {"images": x}
    if sample_weight is not None:
        found["weight"] = weight.astype(np.float32)
    return found if isinstance(x, Mapping) or sample_weight is not None else x


def _known(value: Any, name: str) -> np.ndarray:
    array = arguments.known(value, name)
    # Tensors of a graph do not come here: what they are is known when a batch is.
    assert array is not None
    return array
