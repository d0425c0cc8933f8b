"""The networks between frames and codes: encoder and decoder."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kvae.config.rules import check_frame_sides
from kvae.models.initializers import glorot


class Encoder(keras.layers.Layer):
    """The recognition network: a frame to the mean and variance of its code, q(a_t | x_t).

    Args:
        dim_a: dimension of the code.
        max_variance: upper bound of the variance, which is max_variance * sigmoid(s(x)).
        conv: convolutions of stride 2 (True), or dense layers.
        widths: filters of each convolution, or units of each dense layer.
        filter_size: side of the convolution kernels.
        activation: name of the activation.
        seed: a `keras.random.SeedGenerator` for the initial weights.
        trunk_dtype: dtype policy of the hidden layers; the two heads are float32.
    """

    def __init__(
        self,
        dim_a: int,
        max_variance: float,
        conv: bool,
        widths: Sequence[int],
        filter_size: int,
        activation: str,
        seed: keras.random.SeedGenerator,
        trunk_dtype: str,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.max_variance = max_variance
        self.conv = conv
        common = {"activation": activation, "dtype": trunk_dtype}
        self.hidden = []
        for i, width in enumerate(widths, start=1):
            if conv:
                layer = keras.layers.Conv2D(
                    width,
                    filter_size,
                    strides=2,
                    padding="same",
                    data_format="channels_last",
                    kernel_initializer=glorot(seed),
                    name=f"conv{i}",
                    **common,
                )
            else:
                layer = keras.layers.Dense(width, kernel_initializer=glorot(seed), name=f"dense{i}", **common)
            self.hidden.append(layer)
        self.mean = keras.layers.Dense(dim_a, kernel_initializer=glorot(seed), dtype="float32", name="mean")
        self.var = keras.layers.Dense(dim_a, kernel_initializer=glorot(seed), dtype="float32", name="var")

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build for frames of shape [batch, H, W]."""
        _, height, width = input_shape
        shape: tuple[Any, ...] = (None, height, width, 1) if self.conv else (None, height * width)
        for layer in self.hidden:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        flat = (None, shape[1] * shape[2] * shape[3]) if self.conv else shape
        self.mean.build(flat)
        self.var.build(flat)

    def call(self, frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Encode frames [M, H, W]; return the codes' means [M, dim_a] and variances [M, dim_a]."""
        height, width = frames.shape[1:]
        hidden = frames[..., None] if self.conv else tf.reshape(frames, [-1, height * width])
        for layer in self.hidden:
            hidden = layer(hidden)
        hidden = tf.reshape(hidden, [-1, self.mean.kernel.shape[0]])
        return self.mean(hidden), self.max_variance * tf.sigmoid(self.var(hidden))


class Decoder(keras.layers.Layer):
    """The emission network: a code to the pixels' logits (Bernoulli) or means (Gaussian).

    With `conv`: a dense layer, then for each filter count, in reverse, a convolution to four times as
    many channels and sub-pixel upscaling by 2 (Shi et al., CVPR 2016), then a 1x1 convolution.

    Args: as `Encoder`, with the frame's height and width.
    """

    def __init__(
        self,
        height: int,
        width: int,
        conv: bool,
        widths: Sequence[int],
        filter_size: int,
        activation: str,
        seed: keras.random.SeedGenerator,
        trunk_dtype: str,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.height, self.width, self.conv = height, width, conv
        self.activation = keras.activations.get(activation)
        if conv:
            check_frame_sides(height, width, len(widths))
            self.grid = (height >> len(widths), width >> len(widths), widths[-1])
            self.dense = keras.layers.Dense(
                self.grid[0] * self.grid[1] * self.grid[2],
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
                    activation=activation,
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
                    activation=activation,
                    kernel_initializer=glorot(seed),
                    name=f"dense{i}",
                    dtype=trunk_dtype,
                )
                for i, units in enumerate(reversed(widths), start=1)
            ]
            self.out = keras.layers.Dense(
                height * width, kernel_initializer=glorot(seed), dtype="float32", name="out"
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
        """Decode codes [M, dim_a]; return logits or means [M, H, W] in float32."""
        hidden = codes
        if self.conv:
            hidden = tf.reshape(self.dense(hidden), [-1, *self.grid])
        for i, layer in enumerate(self.hidden):
            if self.conv and i > 0:
                hidden = tf.nn.depth_to_space(hidden, 2)
            hidden = layer(hidden)
        return tf.reshape(self.out(hidden), [-1, self.height, self.width])


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
