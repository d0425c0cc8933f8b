"""Variances of pixels that follow their errors, `config.pixel_var_from_errors`, in place of a gradient."""

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

LEAST_ERROR = 1e-6
"""Of a pixel, mean squared: a quarter of a grey level, which frames of 256 of them are rounded by."""

MOVES = 1e-3
"""A pixel moves if its variance is above this share of the largest."""

ERROR_RATE = 0.02
"""What the newest batch counts in the running mean."""


class HasPixels(Protocol):
    """What is needed of a `kvae.models.frame_autoencoder.FrameAutoencoder`."""

    config: Any
    reconstruction_weight: Any
    pixel_errors: Any
    pixel_motion: Any
    log_pixel_var: Any


def running(model: HasPixels, variables: Sequence[Any], gradients: list[tf.Tensor]) -> tf.Tensor | None:
    """Return a new running mean of the pixels' squared errors [H, W]; None: variances do not follow them.

    The gradient of the mean of log p(x|a) by the log of a pixel's variance v is (e / v - 1) / 2, where its
    mean squared error is e: so e is known, of all replicas together.

    Args:
        model: what is trained.
        variables: its trainable variables.
        gradients: theirs, of minus the objective; that of the variances becomes zero.
    """
    if model.pixel_errors is None:
        return None
    (index,) = (i for i, variable in enumerate(variables) if variable is model.log_pixel_var)
    slope = -gradients[index] / model.reconstruction_weight
    error = tf.maximum(tf.exp(model.log_pixel_var) * (1 + 2 * slope), 0.0)
    gradients[index] = tf.zeros_like(gradients[index])
    # A batch in which no frame is seen has no gradient, and says that all is as expected.
    return model.pixel_errors + ERROR_RATE * (error - model.pixel_errors)


def assign(model: HasPixels, errors: tf.Tensor, is_shared: tf.Tensor | bool) -> None:
    """Let variances follow the mean squared errors of the pixels.

    Shared: what is not explained yet weighs most, wherever it is. Each its own: what cannot be explained,
    which is noise, weighs no more than what is. But by its own error alone a pixel that hardly ever moves, as
    most do, would weigh a thousand times as much as one that does, and letting nothing move would be best.

    Args:
        model: it has config.pixel_var_from_errors.
        errors: [H, W].
        is_shared: whether the variances of all pixels have one factor, and stand to each other as the roots
            of how much the pixels move. With one variance for all, what is loud counts alone; as they move,
            what is rare. Else each has its own error for one, and at least the mean of all.
    """
    model.pixel_errors.assign(errors)
    unit, moves = _units(tf.convert_to_tensor(model.pixel_motion))
    factor = tf.reduce_sum(moves * errors / unit) / tf.reduce_sum(moves)
    shared = tf.maximum(factor * unit, LEAST_ERROR)
    own = tf.maximum(errors, tf.maximum(tf.reduce_mean(errors), LEAST_ERROR))
    model.log_pixel_var.assign(tf.math.log(tf.where(is_shared, shared, own)))


def _units(motion: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what errors [H, W] are measured in, and 1 where a pixel moves; what stands still has the mean.

    Args:
        motion: [H, W], variances of the pixels; zeros where these are not known: then all are alike.
    """
    largest = tf.reduce_max(motion)
    moves = tf.cast(motion > MOVES * largest, tf.float32) + tf.cast(largest == 0, tf.float32)
    unit = tf.where(largest > 0, tf.sqrt(motion), tf.ones_like(motion))
    typical = tf.reduce_sum(moves * unit) / tf.reduce_sum(moves)
    return tf.where(moves > 0, unit, typical), moves
