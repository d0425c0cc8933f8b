import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.config.rules import ShapeError
from kvae.models import image_networks
from kvae.models.image_networks import Decoder, DynamicsParameterNetwork, Encoder

CONV = dict(conv=True, widths=(4, 8), filter_size=3, activation="relu")
DENSE = dict(conv=False, widths=(5, 5), filter_size=3, activation="tanh")


def encoder(trunk, dim_a=2, dtype="float32"):
    return Encoder(dim_a, 0.03, seed=keras.random.SeedGenerator(0), trunk_dtype=dtype, **trunk)


def decoder(trunk, height, width, dtype="float32"):
    return Decoder(height, width, seed=keras.random.SeedGenerator(0), trunk_dtype=dtype, **trunk)


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


@pytest.mark.parametrize("trunk", [CONV, DENSE])
@pytest.mark.parametrize("sides", [(8, 8), (4, 12)])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_codes_and_frames_have_their_shapes_in_float32(trunk, sides, dtype):
    frames = tf.random.stateless_uniform([3, *sides], seed=[1, 2])
    mean, variance = encoder(trunk, dim_a=1, dtype=dtype)(frames)
    assert mean.shape == variance.shape == (3, 1)
    assert mean.dtype == variance.dtype == tf.float32
    assert (variance.numpy() > 0).all()
    assert (variance.numpy() < 0.03).all()
    logits = decoder(trunk, *sides, dtype=dtype)(mean)
    assert logits.shape == (3, *sides)
    assert logits.dtype == tf.float32


def test_the_decoder_has_the_specified_layers():
    layer = decoder(dict(CONV, widths=(4, 8)), 8, 16)
    layer.build((None, 2))
    shapes = [tuple(weight.shape) for weight in layer.trainable_variables if len(weight.shape) > 1]
    # Dense to the trunk's last shape 2 x 4 x 8, convolutions to 4 x 8 and 4 x 4 channels, 1x1 to one.
    assert shapes == [(2, 64), (3, 3, 8, 32), (3, 3, 8, 16), (1, 1, 4, 1)]


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ShapeError, match=r"multiples of 4\. Received: 8x10"):
        decoder(CONV, 8, 10)
    decoder(DENSE, 7, 5)


def test_initial_weights_come_from_the_seed():
    def kernel(seed):
        layer = Encoder(2, 0.03, seed=keras.random.SeedGenerator(seed), trunk_dtype="float32", **CONV)
        layer.build((None, 8, 8))
        return layer.hidden[0].kernel.numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert np.abs(kernel(1) - kernel(2)).max() > 0.01
    limit = np.sqrt(6 / (9 * 1 + 9 * 4))
    assert 0.8 * limit < np.abs(kernel(1)).max() <= limit


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


def test_the_head_is_upscaling_then_a_convolution():
    head = image_networks.UpscalingHead(keras.initializers.RandomNormal(seed=0))
    inputs = tf.random.stateless_normal([2, 3, 5, 28], seed=[0, 1])
    found = head(inputs)
    head.bias.assign([0.5])
    expected = tf.nn.conv2d(tf.nn.depth_to_space(inputs, 2), head.kernel.value, 1, "SAME")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(head(inputs), expected + 0.5, rtol=1e-5, atol=1e-6)
    # What comes in as bfloat16 is multiplied in float32.
    assert head(tf.cast(inputs, tf.bfloat16)).dtype == tf.float32


def test_the_lstm_is_made_of_operations_that_xla_compiles_on_a_gpu_too(monkeypatch):
    """There Keras prefers cuDNN's kernel, which XLA does not know."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])

    def operations(layer):
        graph = tf.function(layer).get_concrete_function(tf.TensorSpec([2, 5, 2])).graph
        return {operation.type for operation in graph.get_operations()}

    assert "CudnnRNNV3" in operations(keras.layers.LSTM(6))
    assert not any("Cudnn" in name for name in operations(dynamics(K=3)))
