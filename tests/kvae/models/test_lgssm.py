import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import kalman, kalman_parallel
from kvae.models import lgssm
from kvae.models.image_networks import DynamicsParameterNetwork
from kvae.models.lgssm import MixtureStateSpaceModel
from tests.kvae import reference


def state_space_model(
    K=3, dim_a=2, dim_z=4, dim_u=1, rnn=True, fifo_size=1, learn_u=False, seed=0, **of_layer
):
    seeds = keras.random.SeedGenerator(seed)
    network = DynamicsParameterNetwork(
        dim_a,
        K,
        dim_u if learn_u else 0,
        rnn=rnn,
        units=8,
        num_layers=2,
        activation="relu",
        fifo_size=fifo_size,
        seed=seeds,
    )
    network.build()
    model = MixtureStateSpaceModel(
        network,
        dim_a,
        dim_z,
        dim_u,
        K,
        transition_variance=0.08,
        emission_variance=0.03,
        initial_variance=20.0,
        matrix_stddev=0.5,
        seed=seeds,
        **of_layer,
    )
    model.build()
    # The identity in every component would hide what the mixture does.
    rng = np.random.default_rng(seed)
    model.A.assign(model.A + 0.3 * rng.normal(size=model.A.shape))
    model.a_0.assign(rng.normal(size=model.a_0.shape))
    for log_variances in model.log_variances.values():
        log_variances.assign(log_variances + 0.5 * rng.normal(size=log_variances.shape))
    return model


def codes_and_controls(batch=3, num_steps=6, dim_a=2, dim_u=1, seed=0):
    rng = np.random.default_rng(seed)
    codes = tf.constant(rng.normal(size=[batch, num_steps, dim_a]), tf.float32)
    return codes, tf.constant(rng.normal(size=[batch, num_steps, dim_u]), tf.float32)


def as_reference(dynamics, codes, mask):
    """The same model for the dense reference."""
    arrays = (*dynamics.model, codes, mask, dynamics.u)
    return reference.Model(*(np.asarray(array, np.float64) for array in arrays))


OPTIONS = [
    dict(),
    dict(rnn=False),
    dict(rnn=False, fifo_size=3),
    dict(learn_u=True),
    dict(K=1),
    dict(K=1, learn_u=True, dim_u=2),
    dict(K=2, dim_a=1, dim_z=1),
    dict(learn_noise=True, learn_offset=True),
    dict(learn_u=True, learn_offset=True, dim_u=2),
]


def dims(options):
    return {name: options[name] for name in ("dim_a", "dim_u") if name in options}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 6])
def test_in_step_and_over_the_sequence_give_the_same(options, num_steps):
    model = state_space_model(**options)
    codes, u = codes_and_controls(num_steps=num_steps, **dims(options))
    fast, fast_dynamics = model.filter(codes, None, u)
    slow, slow_dynamics = model.filter(codes, tf.ones(codes.shape[:2]), u)
    for name, a, b in zip(fast._fields, fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=name)
    names = ("alpha", *fast_dynamics.model._fields, "u")
    flat = (tf.nest.flatten(dynamics) for dynamics in (fast_dynamics, slow_dynamics))
    for name, a, b in zip(names, *flat, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


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


@pytest.mark.parametrize("options", OPTIONS)
def test_missing_codes_are_replaced_by_the_filters_prediction(options):
    """Repeat the filter with a naive loop: dense conditioning, and the network step by step."""
    model = state_space_model(**options)
    codes, u = codes_and_controls(num_steps=5, **dims(options))
    mask = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    hidden = tf.where(mask[..., None] > 0, codes, np.nan)
    filtered, dynamics = model.filter(hidden, mask, u)

    fed = np.array(codes)
    for t in range(5):
        before = np.concatenate([np.broadcast_to(model.a_0, fed[:, :1].shape), fed[:, :t]], axis=1)
        alpha, learned = model.network(tf.constant(before, tf.float32))
        np.testing.assert_allclose(dynamics.alpha[:, t], alpha[:, -1], rtol=1e-3, atol=1e-4)
        if learned is not None:
            found = dynamics.u[:, t, : model.dim_u]
            np.testing.assert_allclose(found, learned[:, -1], rtol=1e-3, atol=1e-4)
        if model.learn_offset:
            np.testing.assert_array_equal(dynamics.u[:, t, model.dim_u :], np.ones([3, 1]))
        C = np.einsum("bk,kij->bij", alpha[:, -1], model.C)
        predicted = np.einsum("bij,bj->bi", C, filtered.predicted_mean[:, t])
        fed[:, t] = np.where(mask[:, t, None] > 0, fed[:, t], predicted)
    expected = reference.exact_moments(as_reference(dynamics, codes, mask))
    for name, value in filtered._asdict().items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-3, atol=2e-3, err_msg=name)
    smoothed = model.smooth(filtered, dynamics)
    np.testing.assert_allclose(smoothed.smoothed_mean, expected["smoothed_mean"], rtol=2e-3, atol=2e-3)


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
    np.testing.assert_allclose(fresh.emission(tf.zeros([4]), fresh.C[0]).variance(), [0.5, 2.0], rtol=1e-6)
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


def test_distributions_are_the_models_equations():
    model = state_space_model()
    z = np.random.default_rng(0).normal(size=[3, 4]).astype(np.float32)
    A, B, C = (matrix[0] for matrix in (model.A, model.B, model.C))
    transition = model.transition(z, A, B, tf.constant([[2.0]] * 3))
    np.testing.assert_allclose(transition.mean(), z @ A.numpy().T + 2 * B[:, 0].numpy(), rtol=1e-5)
    np.testing.assert_allclose(transition.covariance()[0], 0.08 * np.eye(4), atol=1e-7)
    emission = model.emission(z, C)
    np.testing.assert_allclose(emission.mean(), z @ C.numpy().T, rtol=1e-5)
    np.testing.assert_allclose(emission.covariance()[0], 0.03 * np.eye(2), atol=1e-7)


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


@pytest.mark.parametrize("options", OPTIONS)
def test_roll_out_is_a_plain_loop(options):
    model = state_space_model(**options)
    _, u = codes_and_controls(num_steps=7, **dims(options))
    given = tf.random.stateless_normal([3, 2, model.dim_z], seed=[1, 1])
    rolled = model.roll_out(given, u)
    network_state = model.network.initial_state(3)
    code = np.broadcast_to(model.a_0, [3, model.dim_a])
    for t in range(7):
        alpha, learned, network_state = model.network.step(tf.constant(code), network_state)
        A, B, C = (np.einsum("bk,kij->bij", alpha, base) for base in (model.A, model.B, model.C))
        u_t = np.array(u[:, t] if learned is None else learned)
        if model.learn_offset:
            u_t = np.append(u_t, np.ones([3, 1]), axis=1)
        if t < 2:
            z = given[:, t].numpy()
        else:
            z = np.einsum("bij,bj->bi", A, z) + np.einsum("bij,bj->bi", B, u_t)
        code = np.einsum("bij,bj->bi", C, z).astype(np.float32)
        np.testing.assert_allclose(rolled.alpha[:, t], alpha, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(rolled.states[:, t], z, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(rolled.codes[:, t], code, rtol=1e-3, atol=1e-3)


def test_stochastic_roll_out_has_the_models_noise():
    model = state_space_model(K=1)
    given = tf.ones([4000, 1, 4])
    rolled = model.roll_out(given, tf.zeros([4000, 2, 1]), noise_seed=[0, 1])
    # The given states stay; their codes get emission noise; the next states get transition noise.
    np.testing.assert_array_equal(rolled.states[:, :1], given)
    first_codes = rolled.codes[:, 0].numpy()
    np.testing.assert_allclose(np.cov(first_codes.T), 0.03 * np.eye(2), atol=0.003)
    next_states = rolled.states[:, 1].numpy()
    np.testing.assert_allclose(np.cov(next_states.T), 0.08 * np.eye(4), atol=0.008)
    np.testing.assert_allclose(next_states.mean(axis=0), model.A[0].numpy() @ np.ones(4), atol=0.03)
    again = model.roll_out(given, tf.zeros([4000, 2, 1]), noise_seed=[0, 1])
    np.testing.assert_array_equal(again.codes, rolled.codes)


@pytest.mark.parametrize("masked", [False, True])
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
    expected_value, expected_gradients = value_and_gradients(plain)
    np.testing.assert_allclose(value, expected_value, rtol=1e-4)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(gradient / scale, expected / scale, atol=1e-4)
