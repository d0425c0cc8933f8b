"""Posterior sampling of hidden codes, where the truth is known: exactly for K = 1, else by quadrature."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import particles, posterior
from kvae.inference.guide import guide_of
from tests.kvae.mixtures import codes_and_controls, state_space_model

NUM_PATHS = 8000


# Once for all masks, for what samples is traced anew for every model.
@functools.cache
def model_and_sequences(batch, num_steps, **options):
    """A model, and codes and controls that it could have made itself."""
    model = state_space_model(**options)
    # Alpha has to depend on the codes strongly enough to tell one path from many.
    for weight in model.network.trainable_variables:
        weight.assign(3 * weight)
    _, u = codes_and_controls(batch, num_steps, dim_u=model.dim_u)
    return model, model.roll_out(tf.ones([batch, 1, model.dim_z]), u, tf.constant([0, 1])).codes, u


def quadrature(model, codes, mask, u):
    """Sum over a grid of all hidden codes (few, of one dimension) of one sequence.

    Given all codes the model is exact, so p(hidden, seen) is the likelihood of the completed sequence.

    Returns:
        log p(seen); mean and variance of the codes [T]; mean [T, D] and covariance [T, D, D] of the states;
        mean of the smoothed codes [T].
    """
    (hidden,) = np.nonzero(mask[0] == 0)
    axis = np.linspace(-9, 9, 181)
    grid = np.array(list(itertools.product(axis, repeat=len(hidden))))
    completed = np.repeat(codes.numpy(), len(grid), axis=0)
    completed[:, hidden, 0] = grid
    filtered, dynamics = model.filter(
        tf.constant(completed, tf.float32), None, tf.repeat(u, len(grid), axis=0)
    )
    smoothed = model.smooth(filtered, dynamics)
    log_density = np.sum(filtered.log_likelihood.numpy().astype(np.float64), axis=1)
    largest = log_density.max()
    weights = np.exp(log_density - largest)
    log_seen = np.log(weights.sum()) + largest + len(hidden) * np.log(axis[1] - axis[0])
    weights /= weights.sum()

    def mean_of(values):
        return np.einsum("n,n...->...", weights, np.asarray(values, np.float64))

    means = smoothed.smoothed_mean.numpy()
    state_mean = mean_of(means)
    spread = means - state_mean
    state_cov = mean_of(smoothed.smoothed_cov) + mean_of(spread[:, :, :, None] * spread[:, :, None, :])
    code_mean = mean_of(completed)[:, 0]
    variance = mean_of((completed[..., 0] - code_mean) ** 2)
    smoothed_codes = mean_of(tf.linalg.matvec(dynamics.model.C, smoothed.smoothed_mean))[:, 0]
    return log_seen, code_mean, variance, state_mean, state_cov, smoothed_codes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rnn": False, "fifo_size": 2},
        pytest.param({"learn_u": True}, marks=pytest.mark.slow),
        {"dim_z": 1, "dim_u": 2},
        pytest.param({"learn_noise": True, "learn_offset": True}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("hidden", [[2], [1, 2], [2, 4], [0], [4]])
def test_sampling_is_the_sum_over_all_hidden_codes(options, hidden):
    model, codes, u = model_and_sequences(1, 5, **{"K": 3, "dim_a": 1, "dim_z": 2, **options})
    mask = np.ones([1, 5], np.float32)
    mask[:, hidden] = 0
    log_seen, code_mean, variance, state_mean, state_cov, smoothed_codes = quadrature(model, codes, mask, u)

    paths = particles.draw_paths(model, codes, mask, u, NUM_PATHS, 1000, [1, 2])
    assert float(paths.log_likelihood[0]) == pytest.approx(log_seen, abs=0.1)
    drawn = paths.codes.numpy()[0, ..., 0]
    np.testing.assert_array_equal(drawn[:, mask[0] > 0], np.tile(codes.numpy()[:, mask[0] > 0, 0], [1000, 1]))
    scale = np.sqrt(variance[hidden])
    np.testing.assert_allclose(drawn.mean(axis=0)[hidden] / scale, code_mean[hidden] / scale, atol=0.12)
    np.testing.assert_allclose(drawn.var(axis=0)[hidden], variance[hidden], rtol=0.2)

    found = posterior.sample_posterior(model, codes, tf.constant(mask), u, NUM_PATHS, 1000, [1, 2])
    deviation = np.sqrt(np.diagonal(state_cov, axis1=1, axis2=2))
    for mean in (found.state_mean, found.sampled_states):
        np.testing.assert_allclose(
            np.mean(mean[0], axis=0) / deviation, state_mean / deviation, atol=0.13, err_msg=str(hidden)
        )
    cov = np.stack([np.cov(found.sampled_states[0, :, t], rowvar=False) for t in range(5)])
    cov = cov.reshape(state_cov.shape) / deviation[:, :, None] / deviation[:, None, :]
    expected = state_cov / deviation[:, :, None] / deviation[:, None, :]
    np.testing.assert_allclose(cov, expected, atol=0.2)
    np.testing.assert_allclose(
        np.mean(found.codes[0, ..., 0], axis=0)[hidden] / scale, smoothed_codes[hidden] / scale, atol=0.1
    )


def test_the_papers_procedure_is_another_where_alpha_depends_on_the_hidden_codes():
    """Otherwise the test above would not tell them apart."""
    model, codes, u = model_and_sequences(1, 5, K=3, dim_a=1, dim_z=2)
    mask = np.float32([[1, 0, 0, 1, 1]])
    *_, smoothed_codes = quadrature(model, codes, mask, u)
    plain = posterior.sample_posterior(model, codes, tf.constant(mask), u, 0, 1, [1, 2])
    assert np.abs(plain.codes[0, 0, 1:3, 0] - smoothed_codes[1:3]).max() > 0.05


@pytest.mark.parametrize(
    "options",
    [pytest.param({}, marks=pytest.mark.slow), {"dim_a": 1, "dim_z": 1}, {"dim_a": 3, "dim_u": 2}],
)
def test_with_one_model_sampling_is_the_exact_smoother(options):
    """Then alpha depends on nothing, and the filter is exact under any mask."""
    model, codes, u = model_and_sequences(3, 12, K=1, **options)
    mask = np.ones([3, 12], np.float32)
    mask[0, 3:10] = 0
    mask[1, [2, 4, 5, 11]] = 0
    codes = tf.where(mask[..., None] > 0, codes, np.nan)
    filtered, dynamics = model.filter(codes, tf.constant(mask), u)
    exact = model.smooth(filtered, dynamics)
    paths = particles.draw_paths(model, codes, mask, u, NUM_PATHS, 10, [0, 0])
    np.testing.assert_allclose(paths.log_likelihood, np.sum(filtered.log_likelihood, axis=1), atol=0.35)
    # Where nothing is hidden there is nothing to draw.
    np.testing.assert_allclose(paths.log_likelihood[2], np.sum(filtered.log_likelihood[2]), atol=1e-3)
    np.testing.assert_allclose(paths.effective_sample_size[2], NUM_PATHS // 2, rtol=1e-3)

    found = posterior.sample_posterior(model, codes, tf.constant(mask), u, NUM_PATHS, 500, [0, 0])
    deviation = np.sqrt(np.diagonal(exact.smoothed_cov, axis1=2, axis2=3))
    for mean in (found.state_mean, found.sampled_states):
        error = (np.mean(mean, axis=1) - exact.smoothed_mean) / deviation
        assert np.abs(error).max() < 0.25
    np.testing.assert_allclose(found.alpha, 1)


def test_looking_ahead_keeps_more_paths_alive():
    model, codes, u = model_and_sequences(8, 12)
    mask = np.ones([8, 12], np.float32)
    mask[:, 3:9] = 0
    blind = particles._run(model, codes, tf.constant(mask), u, 500, [3, 4])
    guide = guide_of(blind.drawn, blind.drawn_weights, blind.codes, blind.weights, model.R)
    guided = particles._run(model, codes, tf.constant(mask), u, 500, [5, 6], guide)
    alive = [np.median(found.effective_sample_size[9]) for found in (blind, guided)]
    assert alive[1] > 2 * alive[0]


def test_a_seed_makes_the_same_draws_again():
    model = state_space_model()
    codes, u = codes_and_controls()
    mask = np.float32([[1, 1, 0, 0, 1, 1]] * 3)
    first, again, other = (
        particles.draw_paths(model, codes, mask, u, 20, 5, [0, seed]).codes for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first.numpy()[:, :, 2] != other.numpy()[:, :, 2]).all()


@pytest.mark.parametrize(("num_steps", "num_paths"), [(1, 2), (2, 3), (6, 2)])
def test_the_smallest_shapes(num_steps, num_paths):
    model = state_space_model(K=2, dim_a=1, dim_z=1)
    codes, u = codes_and_controls(batch=1, num_steps=num_steps, dim_a=1)
    for mask in (np.zeros([1, num_steps]), np.ones([1, num_steps])):
        paths = particles.draw_paths(model, codes, tf.constant(mask), u, num_paths, 1, [0, 0])
        assert paths.codes.shape == [1, 1, num_steps, 1]
        assert np.isfinite(paths.codes).all()
        # Where nothing was seen every path is as good as any other.
        assert np.isfinite(paths.log_likelihood).all()


def test_large_batches_go_in_parts(monkeypatch):
    model = state_space_model()
    codes, u = codes_and_controls(batch=5)
    mask = tf.constant([[1.0, 1, 0, 0, 1, 1]] * 5)
    monkeypatch.setattr(posterior, "MAX_PATHS_AT_ONCE", 40)
    found = posterior.sample_posterior(model, codes, mask, u, 20, 3, [0, 0])
    assert found.codes.shape == [5, 3, 6, 2]
    # Each part has draws of its own.
    same = tf.repeat(codes[:1], 5, axis=0)
    found = posterior.sample_posterior(model, same, mask, tf.repeat(u[:1], 5, axis=0), 20, 3, [0, 0])
    assert (found.codes[0].numpy()[:, 2] != found.codes[2].numpy()[:, 2]).any()


def test_codes_that_no_path_explains_leave_numbers():
    model = state_space_model()
    codes, u = codes_and_controls(batch=2)
    # Its squared distance is more than a float holds.
    far = tf.constant(np.where(np.arange(6)[None, :, None] == 1, np.float32([[[1e25]], [[0]]]), codes))
    mask = tf.constant([[1.0, 1, 0, 0, 1, 1]] * 2)
    paths = particles.draw_paths(model, far, mask, u, 20, 3, [0, 0])
    assert paths.log_likelihood[0] == -np.inf
    assert np.isfinite(paths.log_likelihood[1])
    assert not np.isnan(paths.codes).any()
    assert not np.isnan(paths.effective_sample_size).any()


def test_no_path_without_weight_is_drawn():
    rng = np.random.default_rng(0)
    weights = rng.random([1000, 50]).astype(np.float32)
    weights[:, 40:] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    largest = np.nextafter(np.float32(1), np.float32(0))
    for uniform in (0, 0.5, largest):
        drawn = particles._systematic(tf.constant(weights), tf.fill([1000], np.float32(uniform)), 64).numpy()
        assert drawn.min() >= 0
        assert (np.take_along_axis(weights, drawn, axis=1) > 0).all()
    # Each as often as its weight says, to within one.
    counts = np.stack([np.bincount(row, minlength=50) for row in drawn])
    assert np.abs(counts - 64 * weights).max() < 1.001


@pytest.mark.parametrize("num_seen", [0, 1, 3, 6])
def test_steps_that_are_seen_by_all_are_followed_once(monkeypatch, num_seen):
    model, codes, u = model_and_sequences(2, 6, dim_a=2, dim_z=3)
    mask = np.ones([2, 6], np.float32)
    mask[0, num_seen:] = 0
    mask[1, num_seen + 1 :: 2] = 0
    assert particles._seen_by_all(tf.constant(mask)) == min(num_seen, 5)
    run = functools.partial(particles.draw_paths, model, codes, mask, u, 50, 4, tf.constant([0, 1]))
    found = run()
    monkeypatch.setattr(particles, "_seen_by_all", lambda mask: tf.constant(0))
    for once, of_all in zip(found, run(), strict=True):
        np.testing.assert_allclose(once, of_all, rtol=1e-4, atol=1e-4)
