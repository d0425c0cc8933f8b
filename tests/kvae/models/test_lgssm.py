import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import kalman, kalman_parallel
from kvae.models import lgssm
from kvae.models.lgssm import MixtureStateSpaceModel
from tests.kvae.mixtures import codes_and_controls, state_space_model


def test_long_sequences_are_filtered_in_parallel_on_a_gpu(monkeypatch):
    monkeypatch.setattr(lgssm, "has_gpu", lambda: False)
    long = lgssm.PARALLEL_FROM
    assert lgssm.inference_for(long) is kalman
    model = state_space_model()
    codes, u = codes_and_controls(num_steps=long)
    expected, dynamics = model.filter(codes, None, u)
    expected_smoothed = model.smooth(expected, dynamics)
    monkeypatch.setattr(lgssm, "has_gpu", lambda: True)
    assert lgssm.inference_for(long - 1) is lgssm.inference_for(None) is kalman
    assert lgssm.inference_for(long) is kalman_parallel
    found, _ = model.filter(codes, None, u)
    for a, b in zip((*found, *model.smooth(found, dynamics)), (*expected, *expected_smoothed), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_mixing_is_a_weighted_sum():
    model = state_space_model()
    alpha = tf.nn.softmax(tf.random.stateless_normal([2, 5, 3], seed=[0, 0]))
    for mixed, base in zip(model.mix(alpha), (model.A, model.B, model.C), strict=True):
        expected = np.einsum("btk,kij->btij", alpha, base)
        np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)


def test_initial_values_are_those_of_the_original():
    network = state_space_model().network
    fresh = MixtureStateSpaceModel(
        network, 2, 4, 500, 3, 0.08, 0.03, 20.0, 0.05, keras.random.SeedGenerator(0)
    )
    fresh.build()
    np.testing.assert_array_equal(fresh.A, np.stack([np.eye(4)] * 3))
    np.testing.assert_array_equal(fresh.a_0, np.zeros(2))
    assert np.std(fresh.B) == pytest.approx(0.05, rel=0.1)
    np.testing.assert_allclose(fresh.Q, 0.08 * np.eye(4))
    np.testing.assert_allclose(fresh.R, 0.03 * np.eye(2))
    np.testing.assert_allclose(fresh.prior().covariance(), 20 * np.eye(4), rtol=1e-6)


def test_learned_variances_start_there_and_one_is_learned_for_each_dimension():
    network = state_space_model().network
    fresh = MixtureStateSpaceModel(
        network, 2, 4, 1, 3, 0.08, 0.03, 20.0, 0.05, keras.random.SeedGenerator(0), learn_noise=True
    )
    fresh.build()
    for covariance, variance, size in ((fresh.Q, 0.08, 4), (fresh.R, 0.03, 2), (fresh.Sigma0, 20.0, 4)):
        np.testing.assert_allclose(covariance, variance * np.eye(size), rtol=1e-6)
    fresh.log_variances["R"].assign(np.log([0.5, 2.0]))
    np.testing.assert_allclose(np.diagonal(fresh.R), [0.5, 2.0], rtol=1e-6)
    fresh.log_variances["Sigma0"].assign(np.log([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(fresh.prior().variance(), [1, 2, 3, 4], rtol=1e-6)


def test_an_offset_turns_a_velocity_around_at_a_wall():
    """Position and velocity [x, v] behind a wall at 7 become [14 - x - v, -v]: no linear map does that."""
    model = state_space_model(K=1, dim_a=1, dim_z=2, learn_offset=True)
    model.A.assign([[[-1.0, -1.0], [0.0, -1.0]]])
    model.B.assign([[[0.0, 14.0], [0.0, 0.0]]])
    model.C.assign([[[1.0, 0.0]]])
    given = tf.constant([[[6.5, 1.0]], [[6.0, 1.5]]])
    rolled = model.roll_out(given, tf.zeros([2, 2, 1]))
    np.testing.assert_allclose(rolled.states[:, 1], [[6.5, -1.0], [6.5, -1.5]], rtol=1e-6)
    predicted = model.filter(tf.constant([[[6.5], [6.5]]]), None, tf.zeros([1, 2, 1]))[0].predicted_mean
    filtered = model.filter(tf.constant([[[6.5], [6.5]]]), None, tf.zeros([1, 2, 1]))[0].filtered_mean
    np.testing.assert_allclose(predicted[0, 1, 0], 14 - np.sum(filtered[0, 0]), rtol=1e-6)


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_compiled_likelihood_has_the_same_value_and_gradients(masked):
    model = state_space_model(K=2, learn_u=True, learn_noise=True, learn_offset=True)
    codes, u = codes_and_controls(num_steps=4)
    mask = tf.constant([[1.0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]) if masked else None
    weight = tf.constant([1.0, 0.0, 2.0])
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function
    def value_and_gradients(log_likelihood):
        with tf.GradientTape() as tape:
            tape.watch(codes)
            # Not 1: what comes from above must reach every gradient.
            value = 3 * log_likelihood()
        return value, tape.gradient(value, [codes, *weights])

    def plain():
        return lgssm.total_of(weight, model.filter(codes, mask, u)[0])

    value, gradients = value_and_gradients(lambda: model.compiled_log_likelihood(codes, mask, u, weight))
    expected_value, expected_gradients = value_and_gradients.python_function(plain)
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(gradient / scale, expected / scale, atol=1e-4)
