from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kvae
from kvae.config import Config
from kvae.models.rivals import RecurrentAutoencoder
from simulation.worlds import make_world
from tests.kvae.models.small import coloured, tiny, videos

PRETRAINED = Path(__file__).parents[3] / "pretrained"
OPTIONS = [
    dict(),
    dict(K=1),
    dict(learn_noise=True, learn_offset=True),
    dict(alpha_rnn=False, fifo_size=3),
    dict(learn_u=True, dim_u=2),
    dict(out_distr="gaussian", dim_u=2),
]


@pytest.fixture(scope="module")
def trained():
    return kvae.load(PRETRAINED / "box_gravity")


@pytest.fixture(scope="module")
def ball():
    return make_world("box_gravity").sample_sequence(np.random.default_rng(5), 20).images[0]


@pytest.mark.parametrize(
    ("make", "options"),
    [*((videos, options) for options in OPTIONS), (coloured, {})],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_is_the_batch_filter(make, options):
    images = make(num_steps=9)[:1]
    model = tiny(images, **options)
    mask = np.array([[0, 1, 1, 0, 0, 1, 0, 1, 1]], np.float32)
    controls = None
    if options.get("dim_u") and not options.get("learn_u"):
        controls = np.random.default_rng(0).normal(size=[1, 9, 2]).astype(np.float32)
    expected = model.infer(images, mask, controls)
    decoded = model.filter(images, mask, controls)
    tracker = kvae.Tracker(model)
    for t, frame in enumerate(images[0]):
        control = None if controls is None else controls[0, t]
        found = tracker.update(frame if mask[0, t] else None, control)
        np.testing.assert_allclose(found.code, expected.filtered_codes[0, t], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            found.state.mean, expected.filtered_states.mean[0, t], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(found.state.cov, expected.filtered_states.cov[0, t], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.alpha, expected.alpha[0, t], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.image, decoded.images[0, t], rtol=1e-3, atol=1e-5)


def test_the_log_likelihood_is_that_of_the_bound():
    images = videos(num_steps=7)[:1]
    model = tiny(images)
    mask = np.array([[1, 1, 0, 1, 0, 1, 1]], np.float32)
    tracker = kvae.Tracker(model)
    found = [tracker.update(frame if seen else None) for frame, seen in zip(images[0], mask[0], strict=True)]
    values = np.array([step.log_likelihood for step in found])
    assert (values[mask[0] == 0] == 0).all()
    exact = model.elbo(images, mask, sample=False).exact
    np.testing.assert_allclose(values.sum() / mask.sum(), exact, rtol=1e-5)


@pytest.mark.parametrize("options", OPTIONS[2:4], ids=str)
def test_predicts_what_the_filter_says_of_a_missing_next_frame(options):
    images = videos(num_steps=5)[:1]
    model = tiny(images, **options)
    tracker = kvae.Tracker(model)
    for frame in images[0]:
        found = tracker.update(frame)
    longer = np.concatenate([images, images[:, :1]], axis=1)
    mask = np.array([[1, 1, 1, 1, 1, 0]], np.float32)
    expected = model.infer(longer, mask)
    np.testing.assert_allclose(found.next_code, expected.filtered_codes[0, -1], rtol=1e-4, atol=1e-5)
    again = tracker.update(None)
    np.testing.assert_allclose(again.code, found.next_code, rtol=1e-5, atol=1e-6)
    # What the next step's code is worth follows from its state and the emission.
    filtered, dynamics = model.lgssm.filter(
        model.encode(longer).mean(), mask, tf.zeros([1, 6, model.config.dim_u])
    )
    C, P = dynamics.model.C[0, -1].numpy(), filtered.predicted_cov[0, -1].numpy()
    np.testing.assert_allclose(found.next_code_cov, C @ P @ C.T + model.lgssm.R.numpy(), rtol=1e-3, atol=1e-5)


def test_the_uncertainty_of_the_next_frame_is_that_of_many_draws(trained, ball):
    tracker = kvae.Tracker(trained)
    for frame in ball[:8]:
        found = tracker.update(frame)
    # Some steps later the ball may be at many a place.
    for _ in range(3):
        found = tracker.update(None)
    rng = np.random.default_rng(0)
    codes = rng.multivariate_normal(found.next_code, found.next_code_cov, [2000, 1]).astype(np.float32)
    pixels = trained.decode(codes).sample(seed=0).numpy()[:, 0]
    # A few draws in place of thousands: near enough to tell certain pixels from others.
    np.testing.assert_allclose(found.next_image, pixels.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(found.next_stddev, pixels.std(axis=0), atol=0.3)
    for guess, truth in ((found.next_image, pixels.mean(axis=0)), (found.next_stddev, pixels.std(axis=0))):
        assert np.corrcoef(guess.numpy().ravel(), truth.ravel())[0, 1] > 0.9


def test_the_noise_of_gaussian_pixels_is_part_of_their_uncertainty():
    tracker = kvae.Tracker(tiny(out_distr="gaussian", noise_pixel_var=0.04))
    assert (tracker.update(np.zeros([8, 8])).next_stddev.numpy() > 0.2).all()


def test_every_step_is_the_same_work():
    images = videos(num_steps=6)[:1]
    model = tiny(images)
    tracker = kvae.Tracker(model)
    tracker.update(images[0, 0])
    sizes = [tensor.shape for tensor in tf.nest.flatten(tracker._belief)]
    for t in range(200):
        tracker.update(None if t % 3 else images[0, t % 6])
    assert [tensor.shape for tensor in tf.nest.flatten(tracker._belief)] == sizes
    assert tracker._step.experimental_get_tracing_count() == 1


def test_reset_begins_anew():
    images = videos(num_steps=4)[:1]
    tracker = kvae.Tracker(tiny(images))
    first = [tracker.update(frame) for frame in images[0]]
    tracker.reset()
    second = [tracker.update(frame) for frame in images[0]]
    for a, b in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_trained_model_sees_where_the_ball_goes(trained, ball):
    tracker = kvae.Tracker(trained)
    predicted = np.array([tracker.update(frame).next_image for frame in ball])[4:-1] > 0.5
    now, ahead = ball[4:-1] > 0, ball[5:] > 0
    assert (predicted != ahead).mean() < 0.5 * (now != ahead).mean()


def test_refuses_what_it_cannot_follow():
    model = tiny()
    tracker = kvae.Tracker(model)
    with pytest.raises(ValueError, match=r"built for frames of 8x8. Received: frames of 4x8"):
        tracker.update(np.zeros([4, 8]))
    with pytest.raises(ValueError, match=r"control must be \[dim_u\] = \[1\]"):
        tracker.update(np.zeros([8, 8]), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        tracker.update(None, [np.nan])
    with pytest.raises(ValueError, match="no weights yet"):
        kvae.Tracker(kvae.KVAE(Config()))
    with pytest.raises(TypeError, match="RecurrentAutoencoder"):
        kvae.Tracker(RecurrentAutoencoder(Config(model="ae_rnn")))
    # And goes on after it.
    assert np.isfinite(tracker.update(np.zeros([8, 8])).next_image).all()
    gaussian = kvae.Tracker(tiny(out_distr="gaussian"))
    with pytest.raises(ValueError, match="finite"):
        gaussian.update(np.full([8, 8], np.nan))
