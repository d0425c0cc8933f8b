import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.models.alpha_network import DynamicsParameterNetwork


def dynamics(K=3, dim_u=0, rnn=True, fifo_size=1, dim_a=2):
    network = DynamicsParameterNetwork(
        dim_a,
        K,
        dim_u,
        rnn=rnn,
        units=6,
        num_layers=2,
        activation="relu",
        fifo_size=fifo_size,
        seed=keras.random.SeedGenerator(0),
    )
    network.build()
    return network


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(dim_u=2),
        dict(K=1),
        dict(K=1, dim_u=1),
        dict(rnn=False),
        dict(rnn=False, fifo_size=3),
        dict(rnn=False, fifo_size=3, dim_u=2),
        dict(dim_a=1, K=2),
    ],
)
@pytest.mark.parametrize("num_steps", [1, 5])
def test_sequence_and_steps_give_the_same(options, num_steps):
    network = dynamics(**options)
    dim_a, K, dim_u = options.get("dim_a", 2), options.get("K", 3), options.get("dim_u", 0)
    codes = tf.random.stateless_normal([4, num_steps, dim_a], seed=[0, 1])
    alpha, control = network(codes)
    assert alpha.shape == (4, num_steps, K)
    np.testing.assert_allclose(tf.reduce_sum(alpha, -1), 1, rtol=1e-5)
    assert (control is None) == (dim_u == 0)
    state = network.initial_state(4)
    for t in range(num_steps):
        alpha_t, control_t, state = network.step(codes[:, t], state)
        np.testing.assert_allclose(alpha_t, alpha[:, t], rtol=1e-5, atol=1e-6)
        if dim_u:
            assert control_t.shape == (4, dim_u)
            np.testing.assert_allclose(control_t, control[:, t], rtol=1e-5, atol=1e-6)


def test_the_mlp_sees_a_zero_filled_queue_of_the_last_codes():
    network = dynamics(rnn=False, fifo_size=2)
    codes = np.random.default_rng(0).normal(size=[1, 4, 2]).astype(np.float32)
    alpha, _ = network(codes)
    for t in range(4):
        before = codes[0, t - 1] if t else np.zeros(2)
        hidden = np.concatenate([before, codes[0, t]])
        for layer in network.hidden:
            hidden = np.maximum(hidden @ layer.kernel.numpy() + layer.bias.numpy(), 0)
        logits = hidden @ network.dense.kernel.numpy() + network.dense.bias.numpy()
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(alpha[0, t], expected, rtol=1e-4)


def test_learned_controls_take_twice_the_units():
    assert dynamics().lstm.units == 6
    assert dynamics(dim_u=1).lstm.units == 12
    assert [layer.units for layer in dynamics(dim_u=1, rnn=False).hidden] == [12, 12]


def test_one_model_needs_no_network():
    assert dynamics(K=1).trainable_variables == []
    assert len(dynamics(K=1, dim_u=1).trainable_variables) == 5


def test_the_lstm_is_made_of_operations_that_xla_compiles_on_a_gpu_too(monkeypatch):
    """There Keras prefers cuDNN's kernel, which XLA does not know."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])

    def operations(layer):
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec([2, 5, 2])).graph
        return {operation.type for operation in graph.get_operations()}

    assert "CudnnRNNV3" in operations(keras.layers.LSTM(6))
    assert not any("Cudnn" in name for name in operations(dynamics(K=3)))
