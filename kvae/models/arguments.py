"""What callers of a model gave, checked by `kvae.arguments` and made ready."""

from typing import Any

import tensorflow as tf

from kvae import arguments
from kvae.arguments import ArgumentError
from kvae.config import Config
from kvae.errors import UserError
from kvae.models.outputs import TensorLike


class FitError(UserError):
    """Data that do not fit a model; the message says why, and what would."""


def check_sides(expected: tuple[int, ...], received: tuple[int, ...], hint: str = "") -> None:
    """Raise FitError where frames are not of the shape (H, W), or (H, W, 3), that a model takes.

    Args:
        expected: of the model.
        received: of the frames.
        hint: what to do where their sides are others.
    """
    if received == expected:
        return
    if received[:2] == expected[:2]:
        hint = (
            "kvae.data.colour.to_grey(images) are grey"
            if len(expected) == 2
            else "numpy.repeat(images[..., None], 3, axis=-1) are those as colour"
        )
        hint = f": {hint}"
    raise FitError(
        f"The model was built for {_words_of_shape(expected)}. Received: {_words_of_shape(received)}{hint}"
    )


def _words_of_shape(shape: tuple[int, ...]) -> str:
    kind = "frames" if len(shape) == 2 else "frames in colour"
    return f"{kind} of {shape[0]}x{shape[1]}"


def check_built(model: Any) -> None:
    """Raise ArgumentError where a model has no weights yet."""
    if not model.built:
        raise ArgumentError(
            "The model has no weights yet: train it, load it, or call "
            "model.build((None, None, height, width)) first, in colour (None, None, height, width, 3)"
        )


def controls_of(
    controls: TensorLike | None, codes: tf.Tensor, dim_u: int, weight: tf.Tensor | None = None
) -> tf.Tensor:
    """Return controls [B, T, dim_u] for codes [B, T, dim_a]: zeros for None.

    Args:
        controls: as given.
        codes: what they are for.
        dim_u: entries of a control.
        weight: [B], 0 for sequences whose controls are not looked at; None: all are.

    Raises:
        ArgumentError: they have another shape, or are not finite.
    """
    if controls is None:
        return tf.zeros([tf.shape(codes)[0], tf.shape(codes)[1], dim_u])
    counts = None if weight is None else arguments.known(weight, "weight")
    shape = (codes.shape[0], codes.shape[1], dim_u)
    return tf.cast(arguments.controls(controls, shape, counts=counts), tf.float32)


def fitted_controls(
    controls: TensorLike | None, num_steps: int | tf.Tensor, batch: int | None, dim_u: int
) -> tf.Tensor | None:
    """Return controls [B, S, dim_u] cut, or continued with zeros, to `num_steps`; None stays None.

    Raises:
        ArgumentError: they have another shape, or are not finite.
    """
    if controls is None:
        return None
    controls = tf.cast(arguments.controls(controls, (batch, None, dim_u)), tf.float32)[:, :num_steps]
    return tf.pad(controls, [[0, 0], [0, num_steps - tf.shape(controls)[1]], [0, 0]])


def mask_of(mask: TensorLike | None, images: TensorLike, config: Config) -> TensorLike:
    """Return a mask [B, T], float32; None hides config.t_steps_mask frames after the first t_init_mask.

    Raises:
        ArgumentError: it has another shape, or other values than 0 and 1.
    """
    if mask is not None:
        return given_mask(mask, images)
    batch_and_steps = tf.shape(images)[:2]
    steps = tf.range(batch_and_steps[1])
    hidden = (steps >= config.t_init_mask) & (steps < config.t_init_mask + config.t_steps_mask)
    return tf.broadcast_to(1.0 - tf.cast(hidden, tf.float32), batch_and_steps)


def given_mask(mask: TensorLike | None, images: TensorLike) -> TensorLike | None:
    """Return the mask [B, T] of frames or codes [B, T, ...], float32; None stays None.

    Raises:
        ArgumentError: it has another shape, or other values than 0 and 1.
    """
    if mask is None:
        return None
    return tf.cast(arguments.mask(mask, tuple(images.shape[:2])), tf.float32)


def weight_of(weight: TensorLike | None, images: TensorLike) -> tf.Tensor:
    """Return the weights [B] of sequences [B, T, ...], float32: ones for None.

    Raises:
        ArgumentError: they have another shape, or are negative or not finite.
    """
    if weight is None:
        return tf.ones(tf.shape(images)[:1])
    return tf.cast(arguments.weight(weight, images.shape[0]), tf.float32)


def lengths_of(
    length: int | None, num_steps: int | None, num_given: int | None, config: Config
) -> tuple[int, int]:
    """Return `num_steps` and `num_given` of a generation, where they are None by the configuration.

    Args:
        length: frames that are there.
        num_steps: as given.
        num_given: as given.
        config: what says the rest.

    Raises:
        ArgumentError: there are fewer than `num_given` frames, or `num_steps` is below that.
    """
    num_given = arguments.count(config.t_init_mask if num_given is None else num_given, "num_given", 1)
    num_steps = arguments.count(config.n_steps_gen if num_steps is None else num_steps, "num_steps", 1)
    if num_steps < num_given or (length is not None and length < num_given):
        raise ArgumentError(
            "generate needs 1 <= num_given <= num_steps and at least num_given frames. "
            f"Received: num_given={num_given}, num_steps={num_steps}, {length} frames"
        )
    return num_steps, num_given
