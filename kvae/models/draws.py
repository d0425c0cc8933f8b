"""Draws from a posterior as frames: their mean, and single ones.

The model is a `KVAE` throughout, and draws come from its `sample_posterior` or `continue_posterior`.
"""

from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from kvae.models.kvae import KVAE


def decode_mean(model: "KVAE", codes: tf.Tensor) -> tf.Tensor:
    """Return the mean over draws of what codes decode to, one draw after another.

    Args:
        model: what decodes.
        codes: [B, S, T, dim_a].

    Returns:
        [B, T, H, W]: the probability of each pixel (Bernoulli) or its mean (Gaussian).
    """
    total = tf.zeros([tf.shape(codes)[0], tf.shape(codes)[2], *model.frame_shape])
    if tf.executing_eagerly():
        for of_draw in tf.unstack(codes, axis=1):
            total += model.decoded_images(of_draw)
    else:
        total = tf.foldl(
            lambda total, of_draw: total + model.decoded_images(of_draw), _draws_first(codes), total
        )
    return total / tf.cast(tf.shape(codes)[1], tf.float32)


def fill(model: "KVAE", frames: tf.Tensor, mask: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
    """Return frames in which those that are hidden are the means over draws of what codes decode to.

    Args:
        model: what decodes.
        frames: [B, T, H, W], as the model sees them.
        mask: [B, T], 1 where a frame is observed: nothing is decoded there.
        codes: [B, S, T, dim_a].

    Returns:
        [B, T, H, W].
    """
    hidden = tf.where(mask <= 0)
    # One frame at least: TensorFlow's fused convolutions refuse an empty batch.
    missing = 1 - tf.minimum(tf.shape(hidden)[0], 1)
    decoded_steps = tf.concat([hidden, tf.zeros([missing, 2], hidden.dtype)], axis=0)
    of_draws = tf.gather_nd(tf.transpose(codes, [0, 2, 1, 3]), decoded_steps)
    decoded = decode_mean(model, tf.transpose(of_draws, [1, 0, 2])[None])[0]
    return tf.tensor_scatter_nd_update(frames, hidden, decoded[: tf.shape(hidden)[0]])


def decode_each(model: "KVAE", codes: tf.Tensor) -> tf.Tensor:
    """Return what each draw of codes [B, S, T, dim_a] decodes to, [B, S, T, H, W], one after another."""
    if tf.executing_eagerly():
        return tf.stack([model.decoded_images(of_draw) for of_draw in tf.unstack(codes, axis=1)], axis=1)
    return _draws_first(tf.map_fn(model.decoded_images, _draws_first(codes)))


def spread(draws: tf.Tensor, count: int) -> tf.Tensor:
    """Return `count` of the draws [B, S, ...], evenly spaced: neighbours may come from the same path."""
    num_draws = draws.shape[1] or tf.shape(draws)[1]
    return tf.gather(draws, tf.range(count) * num_draws // count, axis=1)


def _draws_first(tensor: tf.Tensor) -> tf.Tensor:
    """Turn [B, S, ...] into [S, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
