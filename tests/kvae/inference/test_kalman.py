import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kvae.inference import kalman, kalman_parallel
from tests.kvae import reference

tfd = tfp.distributions

SMALLEST = [
    dict(batch=1, num_steps=1, dim_y=1, dim_z=1),
    dict(batch=1, num_steps=2, dim_y=1, dim_z=1),
    dict(batch=1, num_steps=1, dim_y=2, dim_z=4),
    dict(batch=2, num_steps=2, dim_y=1, dim_z=3, dim_u=2),
]
BY_COORDINATE = [
    dict(by_coordinate=True),
    dict(by_coordinate=True, missing=1.0),
    dict(by_coordinate=True, missing=0.6, dim_y=3, dim_z=2),
]
SHAPES = [
    dict(),
    dict(missing=0.0),
    dict(missing=1.0),
    dict(dim_y=3, dim_z=2, dim_u=3),
    *SMALLEST,
    *BY_COORDINATE,
]


def tensors(model, dtype=tf.float64):
    """The arguments of `filter` and `smooth`."""
    *matrices, y, mask, u = (tf.constant(array, dtype) for array in model)
    return kalman.LinearGaussian(*matrices), y, mask, u


def run(model, dtype=tf.float64, inference=kalman):
    """Everything that filter and smoother return, by name."""
    arguments = tensors(model, dtype)
    filtered = inference.filter(*arguments)
    smoothed = inference.smooth(*arguments)
    found = {**filtered._asdict(), **smoothed._asdict()}
    gain = found.pop("gain")
    found["cross_cov"] = found["smoothed_cov"][:, 1:] @ tf.linalg.matrix_transpose(gain[:, :-1])
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("inference", [kalman, kalman_parallel])
def test_filter_and_smoother_are_dense_gaussian_conditioning(inference, shape, seed):
    model = reference.random_model(seed, **shape)
    found, expected = run(model, inference=inference), reference.exact_moments(model)
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("inference", [kalman, kalman_parallel])
@pytest.mark.parametrize("zero", [("Q",), ("Sigma0",), ("Q", "Sigma0")])
@pytest.mark.parametrize("rank", [0, 1])
def test_covariances_without_an_inverse(inference, zero, rank):
    """What is known for certain stays so, and divides nothing."""
    model = reference.random_model(4)
    size = model.Q.shape[0]
    root = np.random.default_rng(5).normal(size=[size, rank])
    model = model._replace(**dict.fromkeys(zero, root @ root.T))
    found, expected = run(model, inference=inference), reference.exact_moments(model)
    for name in expected:
        # Transitions that shrink what is known for certain leave predictions that are nearly singular.
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inference", [kalman, kalman_parallel])
def test_float32_is_close_to_float64(inference, shape):
    model = reference.random_model(2, **shape)
    found, expected = run(model, tf.float32, inference), reference.exact_moments(model)
    for name in expected:
        # The smoother goes on from what the filter found before it was rounded.
        assert found[name].dtype == (np.float64 if name in kalman.Filtered._fields else np.float32)
        scale = max(np.abs(expected[name]).max(initial=0), 1e-3)
        np.testing.assert_allclose(found[name] / scale, expected[name] / scale, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_filter_and_smoother_are_those_of_tfp(missing):
    """TFP's model has time-varying matrices through callables, and masks that are True = missing."""
    model = reference.random_model(3, batch=1, num_steps=7, missing=missing)
    A, B, C = model.A[0], model.B[0], model.C[0]
    offset = np.einsum("tzu,tu->tz", B, model.u[0])
    # TFP wants a matrix for the step after the last too, though nothing depends on it.
    A, offset = np.concatenate([A, A[:1]]), np.concatenate([offset, offset[:1]])

    def at(array, t):
        return tf.gather(tf.constant(array), t)

    # TFP's step t goes from z_t to z_{t+1}; ours into z_t.
    tfp_model = tfd.LinearGaussianStateSpaceModel(
        num_timesteps=7,
        transition_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(at(A, t + 1)),
        transition_noise=lambda t: tfd.MultivariateNormalFullCovariance(at(offset, t + 1), model.Q),
        observation_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(at(C, t)),
        observation_noise=tfd.MultivariateNormalFullCovariance(np.zeros(2), model.R),
        initial_state_prior=tfd.MultivariateNormalFullCovariance(model.mu0, model.Sigma0),
    )
    is_missing = tf.constant(model.mask[0] == 0)
    likelihoods, means, covs, predicted_means, predicted_covs, _, _ = tfp_model.forward_filter(
        model.y[0], mask=is_missing
    )
    smoothed_means, smoothed_covs = tfp_model.posterior_marginals(model.y[0], mask=is_missing)
    found = run(model)
    for name, expected in {
        "filtered_mean": means,
        "filtered_cov": covs,
        "smoothed_mean": smoothed_means,
        "smoothed_cov": smoothed_covs,
        "log_likelihood": tf.where(is_missing, 0.0, likelihoods),
    }.items():
        np.testing.assert_allclose(found[name][0], expected, rtol=1e-8, atol=1e-8, err_msg=name)
    # TFP's predictions are one step further on than ours.
    np.testing.assert_allclose(found["predicted_mean"][0, 1:], predicted_means[:-1], atol=1e-8)
    np.testing.assert_allclose(found["predicted_cov"][0, 1:], predicted_covs[:-1], atol=1e-8)


def test_a_mask_of_coordinates_that_are_missing_together_is_one_of_steps():
    model = reference.random_model(4)
    by_coordinate = model._replace(mask=np.repeat(model.mask[..., None], 2, axis=2))
    found, expected = run(by_coordinate), run(model)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("by_coordinate", [False, True])
def test_missing_observations_are_ignored_even_if_they_are_not_numbers(by_coordinate):
    model = reference.random_model(4, by_coordinate=by_coordinate)
    assert 0 < model.mask.mean() < 1
    seen = model.mask if by_coordinate else model.mask[..., None]
    hidden = model._replace(y=np.where(seen > 0, model.y, np.nan))
    found, expected = run(hidden), run(model)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)

    matrices, y, mask, u = tensors(hidden)
    with tf.GradientTape() as tape:
        tape.watch(y)
        loss = tf.reduce_sum(kalman.filter(matrices, y, mask, u).log_likelihood)
    gradient = tape.gradient(loss, y).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[model.mask == 0] == 0).all()


def test_the_first_transition_is_not_used():
    model = reference.random_model(5)
    A, B, u = model.A.copy(), model.B.copy(), model.u.copy()
    A[:, 0], B[:, 0], u[:, 0] = 1e6, 1e6, 1e6
    found, expected = run(model._replace(A=A, B=B, u=u)), run(model)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_graph_of_unknown_sizes_gives_the_same():
    model = reference.random_model(6)
    matrices, y, mask, u = tensors(model)

    def unknown(tensor):
        return tf.TensorSpec([None, None, *tensor.shape[2:]], tensor.dtype)

    constants = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in matrices._asdict().items()}
    specs = kalman.LinearGaussian(**constants)._replace(
        A=unknown(matrices.A), B=unknown(matrices.B), C=unknown(matrices.C)
    )
    arguments = (matrices, y, mask, u)

    @tf.function(input_signature=[specs, unknown(y), unknown(mask), unknown(u)])
    def smooth(model, y, mask, u):
        return kalman.smooth(model, y, mask, u)

    for of_graph, eager in zip(smooth(*arguments), kalman.smooth(*arguments), strict=True):
        np.testing.assert_allclose(of_graph, eager, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("by_coordinate", [pytest.param(False, marks=pytest.mark.slow), True])
def test_gradients_are_finite_differences(by_coordinate):
    model = reference.random_model(7, batch=2, num_steps=4, by_coordinate=by_coordinate)
    weights = reference.random_model(8, batch=2, num_steps=4).y

    # Traced once for all arguments.
    @tf.function
    def loss_and_gradients(*arrays):
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            *matrices, y, mask, u = arrays
            arguments = (kalman.LinearGaussian(*matrices), y, mask, u)
            likelihood = tf.reduce_sum(kalman.filter(*arguments).log_likelihood)
            smoothed = kalman.smooth(*arguments)
            loss = (
                likelihood
                + tf.reduce_sum(smoothed.smoothed_mean[..., :2] * weights)
                + tf.reduce_sum(tf.linalg.trace(smoothed.smoothed_cov))
            )
        return loss, tape.gradient(loss, arrays, unconnected_gradients="zero")

    arrays = [tf.constant(array) for array in model]
    _, gradients = loss_and_gradients(*arrays)
    rng = np.random.default_rng(0)
    for name in ("y", "A", "B", "C", "u", "mu0", "Sigma0"):
        i = model._fields.index(name)
        gradient = gradients[i].numpy()
        for _ in range(3):
            direction = rng.normal(size=gradient.shape)
            if name == "Sigma0":
                direction = direction + direction.T
            step = 1e-5
            ends = [
                loss_and_gradients(*arrays[:i], arrays[i] + sign * step * direction, *arrays[i + 1 :])[0]
                for sign in (1, -1)
            ]
            np.testing.assert_allclose(
                np.sum(gradient * direction),
                (ends[0] - ends[1]) / (2 * step),
                rtol=1e-6,
                atol=1e-6,
                err_msg=name,
            )


def test_covariances_stay_symmetric_and_positive_over_a_long_sequence():
    rng = np.random.default_rng(9)
    model = reference.random_model(9, batch=2, num_steps=300)
    A = np.stack([np.linalg.qr(rng.normal(size=[4, 4]))[0] for _ in range(600)])
    model = model._replace(A=A.reshape(2, 300, 4, 4))
    arguments = tensors(model, tf.float32)
    # Compiled, for so many steps take long in Python.
    filtered, smoothed = (tf.function(function)(*arguments) for function in (kalman.filter, kalman.smooth))
    found = filtered._asdict() | smoothed._asdict()
    for name in ("predicted_cov", "filtered_cov", "smoothed_cov"):
        np.testing.assert_array_equal(found[name], np.swapaxes(found[name], -1, -2))
        assert np.linalg.eigvalsh(found[name]).min() > 0, name


def test_sampled_states_have_the_joint_posteriors_moments():
    model = reference.random_model(5, batch=1, num_steps=5, dim_z=2, missing=0.4)
    exact = reference.exact_moments(model)
    count = 20000
    arguments = tensors(model)
    filtered = kalman.filter(*arguments)

    def repeated(tensor):
        return tf.repeat(tensor, count, axis=0)

    noise = tf.constant(np.random.default_rng(0).normal(size=[count, 5, 2]))
    repeated_model = arguments[0].map_sequences(repeated)
    repeated_filtered = tf.nest.map_structure(repeated, filtered)
    states = kalman.sample_filtered(repeated_model, repeated_filtered, noise).numpy()
    deviation = np.sqrt(np.diagonal(exact["smoothed_cov"][0], axis1=1, axis2=2))
    mean = states.mean(axis=0)
    np.testing.assert_allclose(mean / deviation, exact["smoothed_mean"][0] / deviation, atol=0.03)
    centred = (states - mean) / deviation
    cov = np.einsum("nti,ntj->tij", centred, centred) / count
    scaled = exact["smoothed_cov"][0] / deviation[:, :, None] / deviation[:, None]
    np.testing.assert_allclose(cov, scaled, atol=0.03)
    # Steps are drawn together, not each from its own marginal.
    cross = np.einsum("nti,ntj->tij", centred[:, 1:], centred[:, :-1]) / count
    scaled = exact["cross_cov"][0] / deviation[1:, :, None] / deviation[:-1, None]
    np.testing.assert_allclose(cross, scaled, atol=0.03)
