"""The neural networks: encoder, decoder, and the dynamics parameter network."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kvae.config.rules import check_frame_sides


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
        super().__init__(**kwargs)
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
                    kernel_initializer=glorot(seed),
                    name=f"conv{i}",
                    **common,
                )
            else:
                layer = keras.layers.Dense(width, kernel_initializer=glorot(seed), name=f"dense{i}", **common)
            self.hidden.append(layer)
        self.mean = keras.layers.Dense(dim_a, kernel_initializer=glorot(seed), name="mean")
        self.var = keras.layers.Dense(dim_a, kernel_initializer=glorot(seed), name="var")

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
        super().__init__(**kwargs)
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
            self.out = keras.layers.Dense(height * width, kernel_initializer=glorot(seed), name="out")

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
        super().__init__(**kwargs)
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


class DynamicsParameterNetwork(keras.layers.Layer):
    """The network behind the mixture weights: alpha_t = softmax(net(a_0 .. a_{t-1})).

    An LSTM over all past codes (`rnn`), or an MLP over the last `fifo_size`, a zero-filled queue,
    oldest first. It runs over a whole sequence (`call`), or step by step (`step`), where the next code
    depends on the last output; both give the same numbers. With `learn_u` it has twice the units: the
    first half gives alpha, the second half a control input. With K = 1 alpha is 1.

    Args:
        dim_a: dimension of a code.
        K: number of mixture components.
        dim_u: dimension of the learned control, 0 for none.
        rnn: LSTM (True) or MLP.
        units: units of the LSTM or of each hidden layer of the MLP.
        num_layers: hidden layers of the MLP.
        activation: activation of the MLP.
        fifo_size: past codes that the MLP sees.
        seed: a `keras.random.SeedGenerator` for the initial weights.
    """

    def __init__(self, dim_a, K, dim_u, rnn, units, num_layers, activation, fifo_size, seed, **kwargs):
        super().__init__(**kwargs)
        self.dim_a, self.K, self.dim_u = dim_a, K, dim_u
        self.rnn, self.units, self.fifo_size = rnn, units, fifo_size
        self.lstm, self.hidden, self.dense, self.control = None, [], None, None
        if K == 1 and not dim_u:
            return
        hidden_units = units * (2 if dim_u else 1)
        if rnn:
            self.lstm = keras.layers.LSTM(
                hidden_units,
                return_sequences=True,
                kernel_initializer=glorot(seed),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
                # On a GPU Keras takes cuDNN's kernel otherwise, which XLA cannot compile.
                use_cudnn=False,
                name="lstm",
            )
        else:
            self.hidden = [
                keras.layers.Dense(
                    hidden_units,
                    activation=activation,
                    kernel_initializer=glorot(seed),
                    name=f"dense{i}",
                )
                for i in range(1, num_layers + 1)
            ]
        if K > 1:
            self.dense = keras.layers.Dense(
                K, activation="softmax", kernel_initializer=glorot(seed), name="dense"
            )
        if dim_u:
            self.control = keras.layers.Dense(dim_u, kernel_initializer=glorot(seed), name="control")

    def build(self, input_shape=None):
        """Build all weights; the shapes follow from the arguments of the constructor."""
        if self.lstm:
            self.lstm.build((None, None, self.dim_a))
        width = self.fifo_size * self.dim_a
        for layer in self.hidden:
            layer.build((None, width))
            width = layer.units
        for head in (self.dense, self.control):
            if head:
                head.build((None, self.units))

    def call(self, codes):
        """Run over whole sequences.

        Args:
            codes: [B, T, dim_a], the codes that precede each step: a_0, a_1 .. a_{T-1}.

        Returns:
            alpha [B, T, K], and the learned control [B, T, dim_u] or None.
        """
        if self.lstm:
            hidden = self.lstm(codes)
        else:
            num_steps = tf.shape(codes)[1]
            padded = tf.pad(codes, [[0, 0], [self.fifo_size - 1, 0], [0, 0]])
            queue = [padded[:, i : i + num_steps] for i in range(self.fifo_size)]
            hidden = self._dense_layers(tf.concat(queue, axis=-1))
        return self._heads(hidden)

    def initial_state(self, batch):
        """Return the state before the first step, for that many sequences."""
        if self.lstm:
            return tuple(tf.zeros([batch, self.lstm.units]) for _ in range(2))
        return tf.zeros([batch, self.fifo_size, self.dim_a])

    def step(self, code, state):
        """Run one step.

        Args:
            code: [B, dim_a], the code that precedes the step.
            state: what `initial_state` or the last step returned.

        Returns:
            alpha [B, K], the learned control [B, dim_u] or None, and the next state.
        """
        if self.lstm:
            hidden, state = self.lstm.cell(code, list(state))
            state = tuple(state)
        else:
            state = tf.concat([state[:, 1:], code[:, None]], axis=1)
            hidden = self._dense_layers(tf.reshape(state, [-1, self.fifo_size * self.dim_a]))
        return *self._heads(hidden), state

    def _dense_layers(self, hidden):
        for layer in self.hidden:
            hidden = layer(hidden)
        return hidden

    def _heads(self, hidden):
        alpha = self.dense(hidden[..., : self.units]) if self.dense else tf.ones_like(hidden[..., :1])
        control = self.control(hidden[..., self.units :]) if self.control else None
        return alpha, control


def glorot(seed: keras.random.SeedGenerator) -> keras.initializers.Initializer:
    """Return a Glorot-uniform initializer that draws from the model's own seed generator."""
    return keras.initializers.GlorotUniform(seed=seed)
