"""Models of frames in colour: what holds of grey ones holds of them."""

import numpy as np
import pytest
import tensorflow as tf

import kvae
from kvae.arguments import ArgumentError
from kvae.config import Config
from kvae.config.rules import ShapeError
from kvae.models.arguments import FitError
from kvae.models.factory import make_model
from kvae.runs.weights import load_weights, save_weights
from tests.kvae.models.small import TINY, coloured, tiny, videos

MASK = np.array([[1, 1, 0, 0, 1, 1]] * 3)
PERCEPTRON = {"conv": False, "num_filters": (), "vae_num_units": 5}
GAUSSIAN = {"out_distr": "gaussian", "noise_pixel_var": 0.2, "learn_pixel_var": True}


pytestmark = pytest.mark.filterwarnings("ignore:Even though the .* option is set")


@pytest.mark.parametrize(
    ("options", "sides"),
    [({}, {}), (PERCEPTRON, {"height": 7, "width": 9}), (GAUSSIAN, {"height": 7, "width": 9})],
)
def test_every_method_gives_frames_in_colour(options, sides, eagerly):
    images = coloured(**sides)
    model = tiny(images, num_paths=4, **options)
    assert model.frame_shape == images.shape[2:]
    assert model.config.channels == 3
    found = model.impute(images, MASK, num_samples=2, seed=0)
    seen = MASK > 0
    np.testing.assert_array_equal(found.images.numpy()[seen], model.pixels(images).numpy()[seen])
    assert found.samples.images.shape == (3, 2, *images.shape[1:])
    for frames in (model.smooth(images, MASK), model.filter(images), model.reconstruct(images)):
        assert frames.images.shape == images.shape
    assert model.generate(images, 9, 2).images.shape == (3, 9, *images.shape[2:])
    assert model.sample(2, 5).images.shape == (2, 5, *images.shape[2:])


def test_hidden_frames_in_colour_are_not_looked_at(eagerly):
    model, images = tiny(coloured(), **GAUSSIAN), coloured() / 255
    expected = model.smooth(images, MASK).images
    images[MASK == 0] = np.nan
    np.testing.assert_array_equal(model.smooth(images, MASK).images, expected)
    assert np.isfinite(model.elbo(images, MASK).total)


def test_the_density_is_of_every_value_of_every_pixel(eagerly):
    images = np.random.default_rng(0).random([2, 3, 8, 8, 3]).astype(np.float32)
    model = tiny(images, **GAUSSIAN)
    variance = np.linspace(0.1, 0.3, 192).reshape(8, 8, 3)
    model.log_pixel_var.assign(np.log(variance))
    mean = model.reconstruct(images).images.numpy()
    log_px = (-0.5 * (images - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)).sum() / 6
    assert float(model.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)
    binary = coloured()
    model = tiny(binary)
    p = np.clip(model.reconstruct(binary).images.numpy(), 1e-7, 1 - 1e-7)
    log_px = np.log(np.where(binary > 0, p, 1 - p)).sum() / 18
    assert float(model.elbo(binary, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)


@pytest.mark.slow
def test_a_model_learns_colours():
    images = coloured()
    model = make_model(Config(**{**TINY, "num_filters": (8, 8)}, init_lr=0.02, kf_elbo="sampled"))
    model.compile(jit_compile=False)
    batches = tf.data.Dataset.from_tensors({"images": images}).repeat(400)
    model.fit(batches, shuffle=False, verbose=0)
    found = model.reconstruct(images).images.numpy()
    # Red is red, and nothing else: a grey network with three outputs alike could not do it.
    assert ((found > 0.5) != (images > 0)).mean() < 0.02
    assert model.predict({"images": images[:3], "mask": MASK}, verbose=0).shape == (3, *images.shape[1:])


def test_a_model_of_colour_is_saved_and_loaded(eagerly, tmp_path):
    images = coloured()
    model = tiny(images)
    model.compile()
    model.save(tmp_path / "model.keras")
    loaded = kvae.load(tmp_path / "model.keras")
    assert loaded.frame_shape == (8, 8, 3)
    np.testing.assert_array_equal(loaded.smooth(images).images, model.smooth(images).images)
    found = loaded.predict({"images": images, "mask": MASK}, verbose=0)
    np.testing.assert_allclose(found, model.predict({"images": images, "mask": MASK}, verbose=0), atol=1e-6)
    assert found.shape == images.shape
    save_weights(model, tmp_path / "weights.npz")
    other = make_model(model.config)
    other.build(images.shape)
    load_weights(other, tmp_path / "weights.npz")
    np.testing.assert_array_equal(other.smooth(images).images, model.smooth(images).images)


def test_frames_with_other_channels_than_the_model_s_are_refused_with_what_works(eagerly):
    grey, colour = tiny(), tiny(coloured())
    with pytest.raises(
        FitError, match=r"frames of 8x8. Received: frames in colour of 8x8: .*to_grey\(images\)"
    ):
        grey.smooth(coloured())
    with pytest.raises(FitError, match=r"frames in colour of 8x8. Received: frames of 8x8: numpy.repeat"):
        colour.impute(videos())
    with pytest.raises(ShapeError, match="With channels=3 the frames must be"):
        kvae.KVAE(Config(**TINY, channels=3)).smooth(videos())


@pytest.mark.parametrize(
    ("shape", "message", "mend"),
    [
        ((2, 3, 8, 8, 1), r"images\[..., 0\] are grey", lambda x: x[..., 0]),
        ((2, 3, 8, 8, 4), r"images\[..., :3\] are red, green and blue", lambda x: x[..., :3]),
        (
            (2, 3, 3, 8, 8),
            r"channels come last; numpy.moveaxis\(images\[..., :3, :, :\], -3, -1\)",
            lambda x: np.moveaxis(x[..., :3, :, :], -3, -1),
        ),
        ((2, 3, 1, 8, 8), r"channels come last; images\[..., 0, :, :\]", lambda x: x[..., 0, :, :]),
        ((3, 8, 8), r"one sequence is images\[None\]", lambda x: x[None]),
        ((3, 8, 8, 3), r"look like one sequence in colour, which is images\[None\]", lambda x: x[None]),
    ],
)
def test_other_axes_are_refused_with_what_works(shape, message, mend, eagerly):
    images = np.zeros(shape, np.uint8)
    with pytest.raises(ArgumentError, match=message):
        kvae.KVAE(Config(**TINY)).encode(images)
    kvae.KVAE(Config(**TINY)).encode(mend(images))
