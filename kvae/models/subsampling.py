"""Some of the frames of each sequence: those that a training step decodes, `config.decode_share`.

The decoder is nine tenths of a step's arithmetic, and neighbouring frames teach it nearly the same. All codes
still stand in the state space term.
"""

from typing import NamedTuple

import tensorflow as tf

from kvae.models import replicas


class Chosen(NamedTuple):
    """Which frames.

    Attributes:
        index: [B, n], the numbers of those of each sequence, ascending.
        factor: T / n: what each of them counts in a sum over all T.
    """

    index: tf.Tensor
    factor: tf.Tensor


def draw(shape: tf.Tensor, share: float, seed: tf.Tensor) -> Chosen:
    """Draw evenly spread frames of each sequence, every one with the same probability (systematic sampling).

    A sum over them, times the factor, has the sum over all frames for its expected value.

    Args:
        shape: [2], B and T.
        share: above 0, of the T frames; at least one frame is drawn.
        seed: [2] integers, a stateless seed, the same on all replicas.
    """
    num_steps = tf.cast(shape[1], tf.float32)
    count = tf.maximum(tf.round(share * num_steps), 1.0)
    factor = num_steps / count
    start = replicas.uniform(tf.stack([shape[0], 1]), seed)
    index = tf.cast(tf.floor((tf.range(count) + start) * factor), tf.int32)
    # The last may be rounded up to T.
    return Chosen(tf.minimum(index, shape[1] - 1), factor)


def take(
    chosen: Chosen, of: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return codes, frames and weights of the chosen frames, the weights times the factor.

    Args:
        chosen: what `draw` returned.
        of: [B, T, ...] each: codes, frames, and what each frame counts.
    """
    codes, frames, counts = (tf.gather(tensor, chosen.index, axis=1, batch_dims=1) for tensor in of)
    return codes, frames, chosen.factor * counts
