"""The network that weighs the state space models of the mixture: the dynamics parameter network, alpha."""

from typing import Any

import keras
import tensorflow as tf

from kvae.inference.protocols import NetworkState
from kvae.models.initializers import glorot


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

    def __init__(
        self,
        dim_a: int,
        K: int,
        dim_u: int,
        rnn: bool,
        units: int,
        num_layers: int,
        activation: str,
        fifo_size: int,
        seed: keras.random.SeedGenerator,
        **kwargs: Any,
    ):
        super().__init__(dtype="float32", **kwargs)
        self.dim_a, self.K, self.dim_u = dim_a, K, dim_u
        self.rnn, self.units, self.fifo_size = rnn, units, fifo_size
        self.lstm: keras.layers.LSTM | None = None
        self.hidden: list[keras.layers.Dense] = []
        self.dense: keras.layers.Dense | None = None
        self.control: keras.layers.Dense | None = None
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
                dtype="float32",
                name="lstm",
            )
        else:
            self.hidden = [
                keras.layers.Dense(
                    hidden_units,
                    activation=activation,
                    kernel_initializer=glorot(seed),
                    dtype="float32",
                    name=f"dense{i}",
                )
                for i in range(1, num_layers + 1)
            ]
        if K > 1:
            self.dense = keras.layers.Dense(
                K, activation="softmax", kernel_initializer=glorot(seed), dtype="float32", name="dense"
            )
        if dim_u:
            self.control = keras.layers.Dense(
                dim_u, kernel_initializer=glorot(seed), dtype="float32", name="control"
            )

    def build(self, input_shape: Any = None) -> None:
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

    def call(self, codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
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

    def initial_state(self, batch: int | tf.Tensor) -> NetworkState:
        """Return the state before the first step, for that many sequences.

        Of an LSTM twice [batch, units], of an MLP its queue [batch, fifo_size, dim_a].
        """
        if self.lstm:
            return tuple(tf.zeros([batch, self.lstm.units]) for _ in range(2))
        return tf.zeros([batch, self.fifo_size, self.dim_a])

    def step(self, code: tf.Tensor, state: NetworkState) -> tuple[tf.Tensor, tf.Tensor | None, NetworkState]:
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

    def _dense_layers(self, hidden: tf.Tensor) -> tf.Tensor:
        for layer in self.hidden:
            hidden = layer(hidden)
        return hidden

    def _heads(self, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        alpha = self.dense(hidden[..., : self.units]) if self.dense else tf.ones_like(hidden[..., :1])
        control = self.control(hidden[..., self.units :]) if self.control else None
        return alpha, control
