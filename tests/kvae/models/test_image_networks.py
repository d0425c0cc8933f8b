import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.models import image_networks
from kvae.models.image_networks import LEAST_SHARE, Decoder, Encoder, activation_of

CONV = dict(conv=True, widths=(4, 8), filter_size=3, activation="relu")
DENSE = dict(conv=False, widths=(5, 5), filter_size=3, activation="tanh")


def encoder(trunk, dim_a=2, dtype="float32"):
    return Encoder(dim_a, 0.03, seed=keras.random.SeedGenerator(0), trunk_dtype=dtype, **trunk)


def decoder(trunk, height, width, dtype="float32"):
    return Decoder((height, width), seed=keras.random.SeedGenerator(0), trunk_dtype=dtype, **trunk)


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


def test_the_variance_of_a_code_is_never_zero():
    """Where the network is sure beyond what float32 can tell, its logarithm is still a number."""
    layer = encoder(CONV)
    frames = np.zeros([2, 8, 8], np.float32)
    layer(frames)
    layer.var.bias.assign(tf.fill(layer.var.bias.shape, -200.0))
    _, variance = layer(frames)
    np.testing.assert_allclose(variance, 0.03 * LEAST_SHARE, rtol=1e-5)


def test_the_decoder_has_the_specified_layers():
    layer = decoder(dict(CONV, widths=(4, 8)), 8, 16)
    layer.build((None, 2))
    shapes = [tuple(weight.shape) for weight in layer.trainable_variables if len(weight.shape) > 1]
    # Dense to the trunk's last shape 2 x 4 x 8, convolutions to 4 x 8 and 4 x 4 channels, 1x1 to one.
    assert shapes == [(2, 64), (3, 3, 8, 32), (3, 3, 8, 16), (1, 1, 4, 1)]


def test_frames_that_cannot_be_halved_are_padded_and_cut():
    frames = tf.random.stateless_uniform([3, 7, 10], seed=[1, 2])
    whole = tf.pad(frames, [[0, 0], [0, 1], [1, 1]])
    for found, expected in zip(encoder(CONV)(frames), encoder(CONV)(whole), strict=True):
        np.testing.assert_array_equal(found, expected)
    codes = tf.random.stateless_normal([3, 2], seed=[1, 2])
    cut, uncut = decoder(CONV, 7, 10)(codes), decoder(CONV, 8, 12)(codes)
    np.testing.assert_array_equal(cut, uncut[:, :7, 1:11])


@pytest.mark.parametrize("trunk", [CONV, DENSE])
def test_networks_of_colour_have_channels_at_both_ends(trunk):
    frames = tf.random.stateless_uniform([3, 8, 8, 3], seed=[1, 2])
    assert encoder(trunk)(frames)[0].shape == (3, 2)
    of_colour = Decoder((8, 8, 3), seed=keras.random.SeedGenerator(0), trunk_dtype="float32", **trunk)
    assert of_colour(tf.zeros([3, 2])).shape == (3, 8, 8, 3)


def test_convolutions_see_a_channel_as_they_see_a_grey_frame():
    frames = tf.random.stateless_uniform([3, 8, 8, 3], seed=[1, 2])
    colour, grey = encoder(CONV), encoder(CONV)
    codes = colour(frames)[0]
    of_channels = []
    for channel, kernel in enumerate(tf.split(colour.mean.kernel.value, 3)):
        grey(frames[..., channel])
        for own, shared in zip(grey.hidden, colour.hidden, strict=True):
            own.set_weights(shared.get_weights())
        grey.mean.kernel.assign(kernel)
        of_channels.append(grey(frames[..., channel])[0])
    np.testing.assert_allclose(codes, tf.add_n(of_channels), rtol=1e-5, atol=1e-6)
    decode = Decoder((8, 8, 3), seed=keras.random.SeedGenerator(0), trunk_dtype="float32", **CONV)
    pixels = decode(codes)
    alone = decoder(CONV, 8, 8)
    alone(codes)
    for channel, kernel in enumerate(tf.split(decode.dense.kernel.value, 3, axis=1)):
        for own, shared in zip([*alone.hidden, alone.out], [*decode.hidden, decode.out], strict=True):
            own.set_weights(shared.get_weights())
        alone.dense.kernel.assign(kernel)
        np.testing.assert_allclose(pixels[..., channel], alone(codes), rtol=1e-5, atol=1e-6)


def test_convolutions_are_chosen_by_the_frames():
    for side, count in ((32, 3), (64, 4)):
        layer = encoder(dict(CONV, widths=()))
        layer.build((None, side, side))
        assert [weight.shape[-1] for weight in layer.weights if weight.shape.rank == 4] == [32] * count


def test_initial_weights_come_from_the_seed():
    def kernel(seed):
        layer = Encoder(2, 0.03, seed=keras.random.SeedGenerator(seed), trunk_dtype="float32", **CONV)
        layer.build((None, 8, 8))
        return layer.hidden[0].kernel.numpy()

    np.testing.assert_array_equal(kernel(1), kernel(1))
    assert np.abs(kernel(1) - kernel(2)).max() > 0.01
    limit = np.sqrt(6 / (9 * 1 + 9 * 4))
    assert 0.8 * limit < np.abs(kernel(1)).max() <= limit


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


def test_activations_are_those_of_keras():
    x = tf.linspace(-3.0, 3.0, 11)
    for name in ("relu", "leaky_relu", "tanh", "elu"):
        np.testing.assert_allclose(activation_of(name)(x), keras.activations.get(name)(x), rtol=1e-6)
