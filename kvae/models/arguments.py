"""What callers of a model gave, checked and made ready."""

import tensorflow as tf

from kvae.config import Config
from kvae.errors import UserError
from kvae.models.outputs import TensorLike


class FitError(UserError):
    """Data that do not fit a model; the message says why, and what would."""


def check_sides(expected: tuple[int, ...], received: tuple[int, ...], hint: str = "") -> None:
    """Raise FitError where frames have not the sides (height, width) that a model takes."""
    if received != expected:
        raise FitError(
            f"The model was built for frames of {expected[0]}x{expected[1]}. "
            f"Received: {received[0]}x{received[1]}{hint}"
        )


def controls_of(controls: TensorLike | None, codes: tf.Tensor, dim_u: int) -> tf.Tensor:
    """Return controls [B, T, dim_u] for codes [B, T, dim_a]: zeros for None.

    Raises:
        ValueError: they have not `dim_u` entries per step.
    """
    if controls is None:
        return tf.zeros([tf.shape(codes)[0], tf.shape(codes)[1], dim_u])
    controls = tf.convert_to_tensor(controls, tf.float32)
    if controls.shape[-1] != dim_u:
        raise ValueError(
            f"Controls must have dim_u={dim_u} entries per step. Received: shape {tuple(controls.shape)}"
        )
    return controls


def fitted_controls(controls: TensorLike | None, num_steps: int | tf.Tensor) -> tf.Tensor | None:
    """Return controls [B, S, dim_u] cut, or continued with zeros, to `num_steps`; None stays None."""
    if controls is None:
        return None
    controls = tf.convert_to_tensor(controls, tf.float32)[:, :num_steps]
    return tf.pad(controls, [[0, 0], [0, num_steps - tf.shape(controls)[1]], [0, 0]])


def mask_of(mask: TensorLike | None, images: tf.Tensor, config: Config) -> tf.Tensor:
    """Return a mask [B, T], float32; None hides config.t_steps_mask frames after the first t_init_mask."""
    if mask is not None:
        return tf.cast(mask, tf.float32)
    steps = tf.range(tf.shape(images)[1])
    hidden = (steps >= config.t_init_mask) & (steps < config.t_init_mask + config.t_steps_mask)
    return tf.broadcast_to(1.0 - tf.cast(hidden, tf.float32), tf.shape(images)[:2])


def lengths_of(
    images: TensorLike, num_steps: int | None, num_given: int | None, config: Config
) -> tuple[int, int]:
    """Return `num_steps` and `num_given` of a generation, where they are None by the configuration.

    Raises:
        ValueError: there are fewer than `num_given` frames, or `num_steps` is below that.
    """
    num_steps = config.n_steps_gen if num_steps is None else num_steps
    num_given = config.t_init_mask if num_given is None else num_given
    length = images.shape[1]
    if num_given < 1 or num_steps < num_given or (length is not None and length < num_given):
        raise ValueError(
            "generate needs 1 <= num_given <= num_steps and at least num_given frames. "
            f"Received: num_given={num_given}, num_steps={num_steps}, {length} frames"
        )
    return num_steps, num_given
