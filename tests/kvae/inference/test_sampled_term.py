import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import kalman
from kvae.inference.sampled_term import emissions, prior, transitions
from tests.kvae import reference
from tests.kvae.mixtures import as_reference, codes_and_controls, dims, state_space_model


def test_distributions_are_the_models_equations():
    model = reference.random_model(0, batch=2, num_steps=3)
    *matrices, _, _, u = (tf.constant(array) for array in model)
    linear_gaussian = kalman.LinearGaussian(*matrices)
    z = np.random.default_rng(0).normal(size=[2, 3, 4])
    np.testing.assert_allclose(prior(linear_gaussian).mean(), model.mu0)
    np.testing.assert_allclose(prior(linear_gaussian).covariance(), model.Sigma0)
    transition = transitions(linear_gaussian, z, u)
    moved = np.einsum("btij,btj->bti", model.A[:, 1:], z[:, :-1])
    moved += np.einsum("btij,btj->bti", model.B[:, 1:], model.u[:, 1:])
    np.testing.assert_allclose(transition.mean(), moved)
    np.testing.assert_allclose(transition.covariance()[1, 0], model.Q)
    emission = emissions(linear_gaussian, z)
    np.testing.assert_allclose(emission.mean(), np.einsum("btij,btj->bti", model.C, z))
    np.testing.assert_allclose(emission.covariance()[1, 0], model.R)


@pytest.mark.parametrize("options", [dict(), dict(K=1), dict(dim_a=1, dim_z=1)])
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("num_steps", [1, 2, 6])
def test_the_sampled_term_has_its_closed_form_and_stays_below_the_exact_one(options, missing, num_steps):
    model = state_space_model(**options)
    codes, u = codes_and_controls(num_steps=num_steps, **dims(options))
    mask = (np.random.default_rng(3).random(codes.shape[:2]) >= missing).astype(np.float32)
    filtered, dynamics = model.filter(codes, mask, u)
    smoothed = model.smooth(filtered, dynamics)

    def repeated(tensor):
        return tf.tile(tensor, [300, *[1] * (len(tensor.shape) - 1)])

    many_codes, many_masks = repeated(codes), repeated(mask)
    many_dynamics = dynamics.map_sequences(repeated)
    many_smoothed = tf.nest.map_structure(repeated, smoothed)
    noise = tf.random.stateless_normal([*many_codes.shape[:2], model.dim_z], seed=[0, 7])
    draws = model.sampled_term(many_codes, many_masks, many_dynamics, many_smoothed, noise)
    draws = draws.numpy().reshape(300, -1)
    expected = reference.sampled_term_expectation(as_reference(dynamics, codes, mask))
    standard_error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - expected) < 4.5 * standard_error + 1e-3).all()
    exact = filtered.log_likelihood.numpy().sum(axis=1)
    if num_steps == 1:
        np.testing.assert_allclose(exact, expected, rtol=1e-4, atol=1e-4)
        # With one step the posterior factorises, and the estimate has no variance either.
        np.testing.assert_allclose(draws - exact, 0, atol=2e-3)
    else:
        assert (exact > expected).all()


@pytest.mark.parametrize("seed", range(20))
def test_exact_is_at_least_the_expected_sampled_term_on_random_models(seed):
    """On models of any kind: random matrices, covariances, controls and missing steps."""
    model = reference.random_model(seed, missing=0.3, num_steps=5)
    *matrices, y, mask, u = (tf.constant(array) for array in model)
    exact = kalman.filter(kalman.LinearGaussian(*matrices), y, mask, u).log_likelihood
    assert (tf.reduce_sum(exact, axis=1).numpy() >= reference.sampled_term_expectation(model) - 1e-9).all()
