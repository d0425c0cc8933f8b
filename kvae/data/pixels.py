"""What the model sees of a frame."""

import tensorflow as tf


def to_pixels(images: tf.Tensor, is_binary: bool) -> tf.Tensor:
    """Turn frames into the values that the model sees, float32.

    Args:
        images: a tensor, 0..255 if it is of integers, else in [0, 1]; booleans work too.
        is_binary: 1 where a pixel is above 0, else 0; False: values in [0, 1].
    """
    if is_binary:
        return tf.cast(tf.cast(images, tf.float32) > 0, tf.float32)
    if images.dtype.is_integer:
        return tf.cast(images, tf.float32) / 255.0
    return tf.cast(images, tf.float32)
