"""Variances of pixels that follow their errors, `config.pixel_var_from_errors`, in place of a gradient."""

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

LEAST_ERROR = 1e-6
"""Of a pixel, mean squared: a quarter of a grey level, which frames of 256 of them are rounded by."""

ERROR_RATE = 0.02
"""What the newest batch counts in the running mean."""


class HasPixels(Protocol):
    """What is needed of a `kvae.models.frame_autoencoder.FrameAutoencoder`."""

    config: Any
    pixel_errors: Any
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
    slope = -gradients[index] / model.config.scale_reconstruction
    error = tf.maximum(tf.exp(model.log_pixel_var) * (1 + 2 * slope), 0.0)
    gradients[index] = tf.zeros_like(gradients[index])
    # A batch in which no frame is seen has no gradient, and says that all is as expected.
    return model.pixel_errors + ERROR_RATE * (error - model.pixel_errors)


def assign(model: HasPixels, errors: tf.Tensor, is_shared: tf.Tensor | bool) -> None:
    """Let variances follow the mean squared errors of the pixels.

    Shared: what is not explained yet weighs most. Each its own: what cannot be explained, which is noise,
    weighs no more than what is. But by its own error alone a pixel that hardly ever moves, as most do, would
    weigh a thousand times as much as one that does, and letting nothing move would be best.

    Args:
        model: it has config.pixel_var_from_errors.
        errors: [H, W].
        is_shared: whether the variance of all pixels is the mean of their errors; else each has its own,
            and at least that.
    """
    model.pixel_errors.assign(errors)
    shared = tf.maximum(tf.reduce_mean(errors), LEAST_ERROR)
    variances = tf.where(is_shared, shared, tf.maximum(errors, shared))
    model.log_pixel_var.assign(tf.math.log(variances))
