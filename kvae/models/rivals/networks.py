"""Small networks of the rivals, and what Gaussians with diagonal covariances say of each other."""

import math

import keras
import tensorflow as tf

from kvae.models.initializers import glorot

LEAST_VARIANCE = 1e-6
"""Of a Gaussian that a network says."""


def dense(
    units: int, seed: keras.random.SeedGenerator, name: str, activation: str | None = None
) -> keras.layers.Dense:
    """Return a dense layer in float32."""
    return keras.layers.Dense(
        units, activation=activation, kernel_initializer=glorot(seed), dtype="float32", name=name
    )


def recurrent(
    units: int, seed: keras.random.SeedGenerator, name: str, backward: bool, every_step: bool
) -> keras.layers.LSTM:
    """Return an LSTM over sequences [B, T, F], forward or backward in time.

    Args:
        units: of it.
        seed: for the initial weights.
        name: of the layer.
        backward: begin at the last step; what comes out is in that order too.
        every_step: return what comes out at every step, not the last one's alone.
    """
    return keras.layers.LSTM(
        units,
        go_backwards=backward,
        return_sequences=every_step,
        kernel_initializer=glorot(seed),
        recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
        # On a GPU Keras takes cuDNN's kernel otherwise, which XLA cannot compile.
        use_cudnn=False,
        dtype="float32",
        name=name,
    )


def variance_of(numbers: tf.Tensor) -> tf.Tensor:
    """Return variances, whatever a layer says."""
    return tf.nn.softplus(numbers) + LEAST_VARIANCE


def negative_entropy(variance: tf.Tensor) -> tf.Tensor:
    """Return E log q of Gaussians q with variances [..., D]: [...]."""
    return -0.5 * tf.reduce_sum(tf.math.log(2 * math.pi * variance) + 1, axis=-1)


def expected_log_density(
    mean: tf.Tensor, variance: tf.Tensor, of_mean: tf.Tensor | float, of_variance: tf.Tensor | float
) -> tf.Tensor:
    """Return E_q log p of Gaussians with means and variances [..., D], those of q first: [...]."""
    of_variance = of_variance * tf.ones_like(variance)
    squares = (variance + (mean - of_mean) ** 2) / of_variance
    return -0.5 * tf.reduce_sum(tf.math.log(2 * math.pi * of_variance) + squares, axis=-1)
