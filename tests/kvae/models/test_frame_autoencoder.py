import numpy as np
import pytest
import tensorflow as tf

from tests.kvae.models.small import tiny, videos


def test_codes_are_drawn_from_q():
    model = tiny()
    images = np.repeat(videos(batch=1, num_steps=1), 4000, axis=0)
    codes = model.encode(images)
    draws = codes.sample(seed=[0, 1]).numpy()[:, 0]
    np.testing.assert_allclose(draws.mean(axis=0), codes.mean()[0, 0], atol=0.01)
    np.testing.assert_allclose(draws.var(axis=0), codes.variance()[0, 0], rtol=0.1)
    # The bound draws anew at every call; with use_vae=False there is nothing to draw.
    assert float(model.elbo(images[:3]).total) != float(model.elbo(images[:3]).total)
    plain = tiny(use_vae=False)
    assert float(plain.elbo(images[:3]).total) == float(plain.elbo(images[:3]).total)
    assert float(plain.elbo(images[:3]).log_qa) == 0


def test_gaussian_pixels_have_their_density():
    images = np.random.default_rng(0).random([2, 3, 8, 8]).astype(np.float32)
    model = tiny(images, out_distr="gaussian", noise_pixel_var=0.2)
    mean = model.reconstruct(images).images.numpy()
    log_px = (-0.5 * (images - mean) ** 2 / 0.2 - 0.5 * np.log(2 * np.pi * 0.2)).sum() / 6
    assert float(model.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)
    learned = tiny(images, out_distr="gaussian", noise_pixel_var=0.2, learn_pixel_var=True)
    assert float(learned.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)
    learned.log_pixel_var.assign(np.log(np.linspace(0.1, 0.3, 64).reshape(8, 8)))
    variance = np.linspace(0.1, 0.3, 64).reshape(8, 8)
    log_px = (-0.5 * (images - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)).sum() / 6
    assert float(learned.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)


def test_grey_targets_have_their_cross_entropy():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, [2, 3, 8, 8], np.uint8)
    mask = np.array([[1, 0, 1], [1, 1, 0]])
    model = tiny(images, grey_targets=True)
    p = model.reconstruct(images).images.numpy().astype(np.float64)
    x = images / 255
    cross_entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(2, 3))
    assert float(model.elbo(images, sample=False).log_px) == pytest.approx(-cross_entropy.mean(), rel=1e-4)
    seen = -(mask * cross_entropy).sum() / mask.sum()
    assert float(model.elbo(images, mask, sample=False).log_px) == pytest.approx(seen, rel=1e-4)
    # Without them any pixel above 0 is a 1; of black and white both say the same.
    plain, white = tiny(images), np.uint8(255) * (images > 0)
    plain.set_weights(model.get_weights())
    of_white = [float(of.elbo(white, sample=False).log_px) for of in (model, plain)]
    assert of_white == [pytest.approx(float(plain.elbo(images, sample=False).log_px), rel=1e-5)] * 2


def test_grey_targets_are_learned():
    """The least cross-entropy is the entropy of the targets, where the decoder's mean is what they are."""
    images = np.full([4, 3, 8, 8], 51, np.uint8)
    model = tiny(images, grey_targets=True, init_lr=0.05)
    model.compile()
    model.fit({"images": images}, epochs=60, batch_size=4, verbose=0)
    assert np.abs(model.reconstruct(images).images - 0.2).max() < 0.03


def test_frames_may_be_of_any_kind():
    images = videos()
    model = tiny()
    expected = model.smooth(images).images
    for kind in (images > 0, (images / 255).astype(np.float32), tf.constant(images), images.astype(int)):
        np.testing.assert_array_equal(model.smooth(kind).images, expected)


def test_wrong_frames_are_refused():
    model = tiny()
    with pytest.raises(ValueError, match=r"built for frames of 8x8. Received: frames of 4x8"):
        model.smooth(videos(height=4))
    with pytest.raises(
        ValueError, match=r"\[B, T, H, W\], or \[B, T, H, W, 3\] in colour. Received: shape \(6, 8, 8\)"
    ):
        model.smooth(videos()[0])


def test_evaluation_on_samples_draws():
    images = videos()
    mean, sampled = tiny(), tiny(evaluate_on_samples=True)
    np.testing.assert_array_equal(mean.reconstruct(images).codes, mean.encode(images).mean())
    distance = np.abs(sampled.reconstruct(images).codes - sampled.encode(images).mean())
    assert 1e-3 < distance.max() < 1
