import functools

import numpy as np
import pytest
import tensorflow as tf

from kvae.models import pixel_errors, subsampling
from tests.kvae.models.small import tiny, videos


@pytest.mark.parametrize(
    ("num_steps", "share", "count"), [(20, 0.35, 7), (6, 0.5, 3), (7, 0.99, 7), (5, 0.01, 1)]
)
def test_frames_are_spread_and_each_is_as_likely(num_steps, share, count):
    chosen = subsampling.draw(tf.constant([4000, num_steps]), share, tf.constant([3, 4]))
    index = chosen.index.numpy()
    assert index.shape == (4000, count)
    assert index.min() == 0
    assert index.max() == num_steps - 1
    assert float(chosen.factor) == pytest.approx(num_steps / count)
    steps = np.diff(index, axis=1)
    assert np.isin(steps, [int(num_steps / count), int(np.ceil(num_steps / count))]).all()
    likely = np.bincount(index.ravel(), minlength=num_steps) / 4000
    # Four standard errors.
    np.testing.assert_allclose(likely, count / num_steps, atol=4 * 0.5 / 4000**0.5)


def test_what_is_taken_belongs_together():
    chosen = subsampling.draw(tf.constant([3, 6]), 0.5, tf.constant([0, 1]))
    numbers = tf.reshape(tf.range(18.0), [3, 6])
    codes, frames, counts = subsampling.take(chosen, (numbers[..., None], numbers[..., None, None], numbers))
    expected = 6 * np.arange(3)[:, None] + chosen.index.numpy()
    np.testing.assert_array_equal(codes[..., 0], expected)
    np.testing.assert_array_equal(frames[..., 0, 0], expected)
    np.testing.assert_array_equal(counts, 2 * expected)


def test_the_bound_of_some_frames_is_that_of_all_on_average():
    images = videos()
    mask = np.array([[1, 1, 0, 1, 0, 1], [1] * 6, [1, 0, 1, 1, 1, 1]], np.float32)
    some, everything = tiny(images, decode_share=0.34), tiny(images)
    whole = everything.elbo(images, mask, training=True, sample=False)
    bound_of = tf.function(functools.partial(some.elbo, images, mask, training=True, sample=False))
    found = [bound_of(seed=tf.constant([seed, 0])) for seed in range(300)]
    log_px = np.array([bound.log_px for bound in found])
    assert log_px.std() > 0
    assert abs(log_px.mean() - whole.log_px) < 4 * log_px.std() / len(log_px) ** 0.5
    # All codes count in the rest of it, and all frames where nothing is learned.
    np.testing.assert_allclose([bound.exact for bound in found], whole.exact, rtol=1e-5)
    np.testing.assert_allclose([bound.log_qa for bound in found], whole.log_qa, rtol=1e-5)
    judged = [model.elbo(images, mask, sample=False).log_px for model in (some, everything)]
    np.testing.assert_allclose(judged[0], judged[1], rtol=1e-6)


def test_the_variances_of_pixels_follow_from_some_frames_too(monkeypatch):
    # As long a mean of as many batches as are drawn: the first value counts for little in it.
    monkeypatch.setattr(pixel_errors, "ERROR_RATE", 0.05)
    options = dict(out_distr="gaussian", learn_pixel_var=True, pixel_var_from_errors=True, init_lr=1e-9)
    images = videos()
    errors = []
    for share in (1.0, 0.34):
        model = tiny(images, decode_share=share, **options)
        model.compile()
        model.optimizer.build(model.trainable_variables)
        step = tf.function(model.train_step, autograph=False)
        for _ in range(80):
            step({"images": images})
        errors.append(np.asarray(model.pixel_errors))
    np.testing.assert_allclose(errors[1].mean(), errors[0].mean(), rtol=0.05)
