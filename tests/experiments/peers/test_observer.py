"""Who knows the physics: held to dense Gaussian algebra, to the pictures and to the truth."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from experiments.peers import observer
from experiments.peers.tasks import Split, line
from simulation.worlds.swinging_line import wrapped


@pytest.fixture(scope="module")
def frames():
    return observer.Frames(line(), 2**12)


def sequences(count=8, num_steps=40, share=0.5):
    rng = np.random.default_rng(0)
    found = [line().sample_sequence(np.random.default_rng(n), num_steps) for n in range(count)]
    images, states, _ = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    seen = rng.random(images.shape[:2]) < share
    seen[:, :2] = True
    return Split(images, states, np.ones_like(seen), seen)


def test_of_a_linear_system_it_is_what_dense_algebra_says():
    rng = np.random.default_rng(0)
    A, Q = np.array([[0.9, 0.3], [-0.2, 0.8]]), np.diag([0.1, 0.4])
    num_steps, P, m = 6, np.array([[2.0, 0.3], [0.3, 1.0]]), np.array([0.5, -1.0])
    seen = np.array([[1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 0, 1]]) > 0
    observed, variance = rng.normal(size=[2, num_steps]), rng.uniform(0.1, 1, [2, num_steps])

    def step(states):
        return states @ A.T, np.broadcast_to(A, (len(states), 2, 2))

    start = (np.tile(m, [2, 1]), np.tile(P, [2, 1, 1]))
    found = observer.smooth(step, start, Q, observed, variance, seen)
    # Means and covariances of all states at once.
    mean, cov = np.zeros([num_steps, 2]), np.zeros([num_steps, 2, num_steps, 2])
    mean[0], cov[0, :, 0] = m, P
    for t in range(1, num_steps):
        mean[t] = A @ mean[t - 1]
        cov[t, :, t] = A @ cov[t - 1, :, t - 1] @ A.T + Q
        for s in range(t):
            cov[t, :, s] = A @ cov[t - 1, :, s]
            cov[s, :, t] = cov[t, :, s].T
    for n in range(2):
        steps = np.flatnonzero(seen[n])
        of_seen = cov[steps, 0][:, steps, 0] + np.diag(variance[n, steps])
        gain = np.linalg.solve(of_seen, cov[:, :, steps, 0].reshape(-1, len(steps)).T).T
        expected = mean.ravel() + gain @ (observed[n, steps] - mean[steps, 0])
        left = cov.reshape(12, 12) - gain @ cov[steps, 0].reshape(len(steps), 12)
        np.testing.assert_allclose(found.mean[n].ravel(), expected, atol=1e-10)
        blocks = left.reshape(6, 2, 6, 2)
        np.testing.assert_allclose(found.cov[n], [blocks[t, :, t] for t in range(6)], atol=1e-10)
        density = multivariate_normal(mean[steps, 0], of_seen).logpdf(observed[n, steps])
        assert found.log_likelihood[n] == pytest.approx(density, abs=1e-10)
    # Where a system is linear, it does not matter where derivatives are taken.
    again = observer.smooth(step, start, Q, observed, variance, seen, points=rng.normal(size=[2, 6, 2]))
    np.testing.assert_allclose(again.mean, found.mean, atol=1e-10)


def test_derivatives_of_a_small_swing_are_those_of_a_damped_oscillator():
    moved, slopes = observer.step_of(line())(np.zeros([1, 2]))
    np.testing.assert_allclose(moved, 0, atol=1e-12)
    pull, c, t = 3 * 9.81, 0.1, 0.05
    omega = np.sqrt(pull - c**2 / 4)
    cos, sin, decay = np.cos(omega * t), np.sin(omega * t) / omega, np.exp(-c * t / 2)
    expected = decay * np.array([[cos + c / 2 * sin, sin], [-pull * sin, cos - c / 2 * sin]])
    np.testing.assert_allclose(slopes[0], expected, atol=1e-3)


def test_a_frame_tells_the_angle_it_was_drawn_at(frames):
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 300)
    mean, variance = frames.read(line().draw(angles))
    score = wrapped(mean - angles) / np.sqrt(variance)
    assert np.sqrt(variance).max() < 0.01
    assert abs(score).max() < 4
    assert score.std() == pytest.approx(1, abs=0.15)
    # An angle that is known for sure gives the very frame, one of which nothing is known the mean of all.
    np.testing.assert_allclose(
        frames.mean_frame(angles[:5], np.zeros(5)), line().draw(angles[:5]) / 255, atol=0.2
    )
    of_all = line().draw(np.linspace(-np.pi, np.pi, 500, endpoint=False)).mean(axis=0) / 255
    of_unknown = frames.mean_frame(np.zeros(1), np.full(1, 100.0), num_quantiles=2000)[0]
    np.testing.assert_allclose(of_unknown, of_all, atol=0.02)


def test_a_frame_that_no_angle_gives_is_taken_for_the_most_alike(frames):
    image = line().draw(np.array([0.7]))
    image[0, 0, 0] = 3
    np.testing.assert_array_equal(frames.read(image), frames.read(line().draw(np.array([0.7]))))


def test_its_errors_are_as_large_as_it_says(frames):
    split = sequences()
    found = observer.observe(split, frames=frames)
    assert len(found.sequence) == 8
    error = wrapped(found.belief.mean[..., 0] - split.states[..., 0])[~split.seen]
    deviation = np.sqrt(found.belief.cov[..., 0, 0][~split.seen])
    assert (error / deviation).std() == pytest.approx(1, abs=0.3)
    assert np.abs(error).mean() < 0.03


def test_what_is_hidden_is_not_looked_at():
    split = sequences(3)
    filled = observer.fill(split)
    images = np.where(split.seen[..., None, None], split.images, np.uint8(77))
    np.testing.assert_array_equal(observer.fill(split._replace(images=images)), filled)
    np.testing.assert_array_equal(filled[split.seen], (split.images[split.seen] / 255).astype(np.float32))
    error = ((filled - split.images / 255) ** 2)[~split.seen].mean()
    assert error < 1e-3


def test_a_line_that_is_seen_late_may_have_begun_in_several_ways(frames):
    split = sequences(4, num_steps=30)
    split.seen[:, :12] = False
    found = observer.observe(split, frames=frames)
    assert len(found.sequence) == 4 * observer.NUM_MOTIONS
    np.testing.assert_allclose(np.bincount(found.sequence, found.weight), 1)
    # One of those that are likely is the true one.
    for number in range(4):
        likely = (found.sequence == number) & (found.weight > 0.01)
        late = wrapped(found.belief.mean[likely, 15:, 0] - split.states[number, 15:, 0])
        assert np.abs(late).mean(axis=1).min() < 0.1
