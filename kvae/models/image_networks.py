"""The networks between frames and codes: encoder and decoder.

To the convolutions a frame in colour is three grey ones, of red, of green and of blue, which they see one by
one with the same weights; the dense layers between them and the code have weights of their own for each.
Convolutions that see and draw all three at once learn first what these have in common, where things are, and
then two things that differ by colour alone are never told apart.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae.config.frames import FILTERS, num_convolutions, padded_sides
from kvae.models.initializers import glorot

LEAST_SHARE = 1e-6
"""Of the largest variance of a code, the least: a standard deviation of a thousandth of the largest."""


class Trunk(keras.layers.Layer):
    """What an encoder's heads stand on: a frame to features, by convolutions or dense layers.

    A frame whose sides cannot be halved by every convolution is padded with zeros, on all sides alike.

    Args:
        conv: convolutions of stride 2 (True), or dense layers.
        widths: filters of each convolution, or units of each dense layer; none: convolutions that fit the
            frames, see `kvae.config.frames`.
        filter_size: side of the convolution kernels.
        activation: name of the activation.
        seed: a `keras.random.SeedGenerator` for the initial weights.
        trunk_dtype: dtype policy of the layers.
    """

    num_features: int
    """F, there once it is built."""

    def __init__(
        self,
        conv: bool,
        widths: Sequence[int],
        filter_size: int,
        activation: str,
        seed: keras.random.SeedGenerator,
        trunk_dtype: str,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.conv, self.widths, self.filter_size, self.seed = conv, widths, filter_size, seed
        self.trunk_options = {"activation": activation_of(activation), "dtype": trunk_dtype}
        self.hidden: list[keras.layers.Layer] = []
        self.margins: list[list[int]] = []

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build for frames of shape [batch, H, W] or [batch, H, W, 3]."""
        _, height, width, channels = (*input_shape, 1)[:4]
        # Here, as it is the frames that say how many, and weights are kept in the order of the layers.
        widths = self.widths or (FILTERS,) * num_convolutions(height, width)
        shape: tuple[Any, ...] = (None, height * width * channels)
        if self.conv:
            padded = padded_sides(height, width, len(widths))
            missing = [side - own for side, own in zip(padded, (height, width), strict=True)]
            self.margins = [[total // 2, total - total // 2] for total in missing]
            shape = (None, *padded, 1)
        for i, of_layer in enumerate(widths, start=1):
            layer = self._layer(i, of_layer)
            self.hidden.append(layer)
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        # The channels of a frame stand beside each other again.
        self.num_features = channels * shape[1] * shape[2] * shape[3] if self.conv else shape[1]

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        """Return the features of frames [M, H, W] or [M, H, W, 3]: [M, F], in float32."""
        return tf.cast(self.features(frames), tf.float32)

    def features(self, frames: tf.Tensor) -> tf.Tensor:
        """Return what heads see of frames [M, H, W] or [M, H, W, 3]: [M, F]."""
        if self.conv:
            in_grey = frames if frames.shape.rank == 3 else tf.transpose(frames, [0, 3, 1, 2])
            hidden = tf.reshape(in_grey, [-1, *in_grey.shape[-2:], 1])
            if any(map(any, self.margins)):
                hidden = tf.pad(hidden, [[0, 0], *self.margins, [0, 0]])
        else:
            hidden = tf.reshape(frames, [-1, np.prod(frames.shape[1:])])
        for layer in self.hidden:
            hidden = layer(hidden)
        return tf.reshape(hidden, [-1, self.num_features])

    def _layer(self, number: int, width: int) -> keras.layers.Layer:
        if not self.conv:
            return keras.layers.Dense(
                width, kernel_initializer=glorot(self.seed), name=f"dense{number}", **self.trunk_options
            )
        return keras.layers.Conv2D(
            width,
            self.filter_size,
            strides=2,
            padding="same",
            data_format="channels_last",
            kernel_initializer=glorot(self.seed),
            name=f"conv{number}",
            **self.trunk_options,
        )


class Encoder(Trunk):
    """The recognition network: a frame to the mean and variance of its code, q(a_t | x_t).

    Args: as `Trunk`, whose layers are hidden here, with
        dim_a: dimension of the code.
        max_variance: upper bound of the variance, which is max_variance * sigmoid(s(x)), and never zero.
    """

    def __init__(self, dim_a: int, max_variance: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim_a, self.max_variance = dim_a, max_variance

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build for frames of shape [batch, H, W] or [batch, H, W, 3]."""
        super().build(input_shape)
        self.mean, self.var = self._head("mean"), self._head("var")
        self.mean.build((None, self.num_features))
        self.var.build((None, self.num_features))

    def call(self, frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Encode frames [M, H, W] or [M, H, W, 3]; return the codes' means and variances, [M, dim_a] each."""
        hidden = self.features(frames)
        # Of a large negative number the sigmoid is zero, whose logarithm is none.
        share = tf.maximum(tf.sigmoid(self.var(hidden)), LEAST_SHARE)
        return self.mean(hidden), self.max_variance * share

    def _head(self, name: str) -> keras.layers.Layer:
        initializer = glorot(self.seed)
        return keras.layers.Dense(self.dim_a, kernel_initializer=initializer, dtype="float32", name=name)


class Decoder(keras.layers.Layer):
    """The emission network: a code to the pixels' logits (Bernoulli) or means (Gaussian).

    With `conv`: a dense layer, then for each filter count, in reverse, a convolution to four times as
    many channels and sub-pixel upscaling by 2 (Shi et al., CVPR 2016), then a 1x1 convolution. What stands
    where the encoder pads is cut off.

    Args: as `Trunk`, with
        frame_shape: (H, W), or (H, W, 3) of frames in colour.
        widths: filters of each convolution, or units of each dense layer, as the encoder has them.
    """

    def __init__(
        self,
        frame_shape: tuple[int, ...],
        conv: bool,
        widths: Sequence[int],
        filter_size: int,
        activation: str,
        seed: keras.random.SeedGenerator,
        trunk_dtype: str,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.frame_shape, self.conv = frame_shape, conv
        if conv:
            height, width = padded_sides(frame_shape[0], frame_shape[1], len(widths))
            self.grid = (height >> len(widths), width >> len(widths), widths[-1])
            channels = 3 if len(frame_shape) == 3 else 1
            self.dense = keras.layers.Dense(
                channels * self.grid[0] * self.grid[1] * self.grid[2],
                kernel_initializer=glorot(seed),
                name="dense",
                dtype=trunk_dtype,
            )
            self.hidden = [
                keras.layers.Conv2D(
                    4 * filters,
                    filter_size,
                    padding="same",
                    data_format="channels_last",
                    activation=activation_of(activation),
                    kernel_initializer=glorot(seed),
                    name=f"conv{i}",
                    dtype=trunk_dtype,
                )
                for i, filters in enumerate(reversed(widths), start=1)
            ]
            self.out = UpscalingHead(kernel_initializer=glorot(seed), name="out")
        else:
            self.hidden = [
                keras.layers.Dense(
                    units,
                    activation=activation_of(activation),
                    kernel_initializer=glorot(seed),
                    name=f"dense{i}",
                    dtype=trunk_dtype,
                )
                for i, units in enumerate(reversed(widths), start=1)
            ]
            self.out = keras.layers.Dense(
                int(np.prod(frame_shape)), kernel_initializer=glorot(seed), dtype="float32", name="out"
            )

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build for codes of shape [batch, dim_a]."""
        shape: tuple[Any, ...] = (None, input_shape[-1])
        if self.conv:
            self.dense.build(shape)
            shape = (None, *self.grid)
        for i, layer in enumerate(self.hidden):
            if self.conv and i > 0:
                shape = (None, 2 * shape[1], 2 * shape[2], shape[3] // 4)
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.out.build(shape)

    def call(self, codes: tf.Tensor) -> tf.Tensor:
        """Decode codes [M, dim_a]; return logits or means [M, H, W], or [M, H, W, 3], in float32."""
        hidden = codes
        if self.conv:
            hidden = tf.reshape(self.dense(hidden), [-1, *self.grid])
        for i, layer in enumerate(self.hidden):
            if self.conv and i > 0:
                hidden = tf.nn.depth_to_space(hidden, 2)
            hidden = layer(hidden)
        pixels = self.out(hidden)
        if self.conv:
            height, width = self.frame_shape[:2]
            top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
            pixels = pixels[:, top : top + height, left : left + width]
            if len(self.frame_shape) == 3:
                pixels = tf.transpose(tf.reshape(pixels, [-1, 3, height, width]), [0, 2, 3, 1])
        return tf.reshape(pixels, [-1, *self.frame_shape])


def activation_of(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return an activation, as Keras has it, by its name."""
    if name != "leaky_relu":
        return keras.activations.get(name)
    # TensorFlow's own behind a convolution is a case that its graph optimizer complains of as an error.
    return lambda inputs: tf.maximum(inputs, 0.2 * inputs)


class UpscalingHead(keras.layers.Layer):
    """Sub-pixel upscaling by 2, then a 1x1 convolution to one channel, in float32.

    Done the other way round, which is the same: every pixel's channels are contiguous before the upscaling
    too. So one channel is moved in place of all, and the convolution is a product of a long matrix
    with a vector, whose gradient is one as well.

    Args:
        kernel_initializer: for the kernel [1, 1, channels, 1].
    """

    def __init__(self, kernel_initializer: keras.initializers.Initializer, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build for input of shape [batch, height, width, 4 * channels]."""
        channels = input_shape[-1] // 4
        self.kernel = self.add_weight((1, 1, channels, 1), initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((1,), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return [batch, 2 * height, 2 * width, 1]."""
        _, height, width, _ = inputs.shape
        kernel = tf.reshape(self.kernel, [-1, 1])
        pixels = tf.matmul(tf.reshape(inputs, [-1, kernel.shape[0]]), kernel) + self.bias
        return tf.nn.depth_to_space(tf.reshape(pixels, [-1, height, width, 4]), 2)
