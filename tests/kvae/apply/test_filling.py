import numpy as np
import pytest
import tensorflow as tf

from kvae.apply.filling import FillingError, fill
from kvae.arguments import ArgumentError
from kvae.config import Config
from kvae.models.arguments import FitError
from kvae.models.kvae import KVAE
from kvae.models.rivals import RecurrentAutoencoder
from tests.kvae.models.small import coloured, tiny

T, N = 10, 4
SMALL = {"num_filters": (4,), "alpha_units": 5, "dim_a": 2, "dim_z": 3}


def model_of(**options):
    """Return a model with weights that are not those at the start, which are too near to each other."""
    model = KVAE(Config(**SMALL, **options))
    model.build((None, None, 8, 8))
    rng = np.random.default_rng(0)
    model.lgssm.A.assign(0.9 * model.lgssm.A + 0.1 * rng.standard_normal(model.lgssm.A.shape))
    model.lgssm.C.assign(0.5 * rng.standard_normal(model.lgssm.C.shape))
    return model


@pytest.fixture(scope="module")
def linear():
    """One model, so that all is exact: alpha is 1 whatever the codes are."""
    return model_of(K=1, num_paths=0)


@pytest.fixture(scope="module")
def mixture():
    return model_of(K=3, num_paths=60)


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(1).integers(0, 2, [T, 8, 8], np.uint8) * 255


@pytest.fixture(scope="module")
def observed():
    mask = np.ones(T, np.float32)
    mask[[3, 4, 5, 8]] = 0
    return mask


def condition(model, codes, observed, num_steps):
    """Return mean and covariance of C z_t for T + N steps given the seen codes, by dense Gaussian algebra."""
    lgssm = model.lgssm
    A, C, Q, R, P = (
        np.asarray(x, np.float64) for x in (lgssm.A[0], lgssm.C[0], lgssm.Q, lgssm.R, lgssm.Sigma0)
    )
    size, total = len(A), len(codes) + num_steps
    cov = np.zeros([total, total, size, size])
    for t in range(total):
        cov[t, t] = P if t == 0 else A @ cov[t - 1, t - 1] @ A.T + Q
        for s in range(t + 1, total):
            cov[s, t] = np.linalg.matrix_power(A, s - t) @ cov[t, t]
            cov[t, s] = cov[s, t].T
    dense = np.einsum("ij,tsjk,lk->tisl", C, np.stack([[*row] for row in _filled(cov)]), C)
    dim = len(C)
    dense = dense.reshape(total * dim, total * dim)
    seen = np.repeat(np.pad(observed, (0, num_steps)) > 0, dim)
    noise = np.kron(np.eye(int(seen.sum()) // dim), R)
    gain = dense[:, seen] @ np.linalg.inv(dense[np.ix_(seen, seen)] + noise)
    mean = gain @ codes[observed > 0].reshape(-1)
    posterior = dense - gain @ dense[seen]
    blocks = posterior.reshape(total, dim, total, dim)
    return mean.reshape(total, dim), np.stack([blocks[t, :, t] for t in range(total)])


def _filled(cov):
    """Complete what `condition` filled column by column."""
    total = len(cov)
    for t in range(total):
        for s in range(t + 1, total):
            cov[t, s] = cov[s, t].T
    return cov


@pytest.fixture(scope="module")
def filled_linear(linear, frames, observed):
    return fill(linear, frames, observed, N, num_samples=2, num_draws=2000)


def codes_of(model, frames):
    return model.reconstruct(frames[None]).codes[0].numpy().astype(np.float64)


def test_a_linear_model_is_conditioned_exactly(linear, filled_linear, frames, observed):
    mean, cov = condition(linear, codes_of(linear, frames), observed, N)
    found = filled_linear
    np.testing.assert_allclose(found.codes[:T], mean[:T], atol=2e-4)
    np.testing.assert_allclose(found.code_cov[:T], cov[:T], atol=2e-4)
    # The continuation is drawn: within five standard errors of 2,000 draws.
    error = np.sqrt(np.diagonal(cov, axis1=1, axis2=2) / 2000)
    assert (np.abs(found.codes - mean) < 5 * error + 2e-4)[T:].all()
    np.testing.assert_allclose(found.code_cov[T:], cov[T:], rtol=0.2, atol=0.1 * cov[T:].max())
    # What is not seen grows less certain.
    assert (np.diff(found.code_stddev[T - 1 :].sum(axis=1)) > 0).all()


def test_the_continuation_starts_from_all_that_was_seen(linear, filled_linear, frames, observed):
    """Not from the first frames alone, and not from the prior."""
    codes = codes_of(linear, frames)
    mean, _ = condition(linear, codes, observed, 1)
    without_last = observed * (np.arange(T) < T - 1)
    other, cov = condition(linear, codes, without_last, 1)
    error = np.sqrt(np.diagonal(cov[T]) / 2000)
    # The test can tell.
    assert (np.abs(mean[T] - other[T]) > 6 * error).any()
    assert (np.abs(filled_linear.codes[T] - mean[T]) < 3 * error).all()


def test_shapes_and_types(mixture, frames, observed):
    found = fill(mixture, frames, observed, N, num_samples=3, num_draws=8)
    total = T + N
    assert found.images.shape == found.uncertainty.shape == (total, 8, 8)
    assert found.samples.shape == (3, total, 8, 8)
    assert found.codes.shape == found.code_stddev.shape == (total, 2)
    assert found.code_cov.shape == (total, 2, 2)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found.observed, np.pad(observed, (0, N)))
    assert all(np.isfinite(array).all() for array in found)


def test_seen_frames_stay_and_are_certain(mixture, frames, observed):
    found = fill(mixture, frames, observed, N, num_draws=8)
    seen = found.observed > 0
    np.testing.assert_array_equal(found.images[seen], frames[observed > 0] / 255)
    for sample in found.samples:
        np.testing.assert_array_equal(sample[seen], frames[observed > 0] / 255)
    assert (found.uncertainty[seen] == 0).all()
    assert (found.uncertainty[~seen].max(axis=(1, 2)) > 0).all()


def test_mean_and_uncertainty_are_those_of_the_samples(mixture, frames, observed):
    found = fill(mixture, frames, observed, N, num_samples=8, num_draws=8)
    np.testing.assert_allclose(found.images, found.samples.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.uncertainty, found.samples.std(axis=0), atol=1e-5)


def test_hidden_frames_are_not_looked_at(mixture, frames, observed):
    other = frames / 255
    other[observed == 0] = np.nan
    results = [fill(mixture, clip, observed, N, num_draws=8, seed=3) for clip in (frames, other)]
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("num_paths", [0, 60])
def test_alpha_is_driven_by_the_codes_of_each_draw(num_paths, frames, observed):
    """The roll-out goes over the past of each draw again: with other codes its matrices would be others."""
    model = model_of(K=3, num_paths=num_paths)
    # An alpha that depends on the codes, strongly.
    for weight in model.alpha.trainable_variables:
        weight.assign(3 * weight + 0.5 * np.random.default_rng(0).standard_normal(weight.shape))
    codes = model.reconstruct(frames[None]).codes
    drawn = model.sample_posterior(codes, observed[None], None, num_paths, 6)
    u = tf.zeros([6, T + N, 1])
    noise = tf.constant([1, 2])
    rolled = model.lgssm.roll_out(drawn.sampled_states[0], u, noise, given_codes=drawn.paths[0])
    np.testing.assert_allclose(rolled.alpha[:, :T], drawn.alpha[0], atol=1e-5)
    np.testing.assert_allclose(rolled.states[:, :T], drawn.sampled_states[0], atol=1e-6)
    without = model.lgssm.roll_out(drawn.sampled_states[0], u, noise)
    assert np.abs(without.alpha[:, :T] - drawn.alpha[0]).max() > 0.01
    # Where a code was seen that one is the draw's, whatever the path.
    np.testing.assert_allclose(
        drawn.paths[0].numpy()[:, observed > 0],
        np.broadcast_to(codes.numpy()[:, observed > 0], (6, int(observed.sum()), 2)),
        atol=1e-6,
    )


def test_without_a_continuation_it_fills_in(mixture, frames, observed):
    found = fill(mixture, frames, observed, num_samples=0, num_draws=8)
    assert found.images.shape == (T, 8, 8)
    assert found.samples.shape == (0, T, 8, 8)


def test_a_rival_is_told(frames, observed):
    rival = RecurrentAutoencoder(Config(model="ae_rnn", num_filters=(4,), alpha_units=5))
    rival.build((None, None, 8, 8))
    with pytest.raises(FillingError, match="ae_rnn looks back alone"):
        fill(rival, frames, observed)


def test_a_clip_in_colour_is_filled_in_in_colour(observed):
    images = coloured(num_steps=T)
    found = fill(tiny(images, num_paths=0), images[0], observed, N, num_samples=2, num_draws=4)
    assert found.images.shape == found.uncertainty.shape == (T + N, 8, 8, 3)
    assert found.samples.shape == (2, T + N, 8, 8, 3)
    np.testing.assert_array_equal(found.images[:T][observed > 0], images[0][observed > 0] / 255)
    assert (found.uncertainty[found.observed > 0] == 0).all()
    assert (found.uncertainty[found.observed == 0] > 0).any()


def test_other_sides_are_told(mixture, observed):
    with pytest.raises(FitError, match=r"frames of 8x8\. Received: frames of 16x8"):
        fill(mixture, np.zeros([T, 16, 8], np.uint8), observed)


@pytest.mark.parametrize(
    "options", [{"num_steps": -1}, {"num_draws": 1}, {"num_samples": -1}, {"num_samples": 9, "num_draws": 8}]
)
def test_numbers_out_of_range_are_told(options, mixture, frames, observed):
    with pytest.raises(ValueError, match="must be a whole number"):
        fill(mixture, frames, observed, **options)


def test_a_mask_of_another_length_is_told(mixture, frames):
    with pytest.raises(ValueError, match=r"observed must be \[T\]"):
        fill(mixture, frames, np.ones(T - 1))


def test_controls_act_on_the_way_into_their_frames(frames, observed):
    model = model_of(dim_u=2, num_paths=0)
    count = len(frames)
    controls = np.zeros([count + 3, 2], np.float32)
    still = fill(model, frames, observed, 3, seed=0)
    np.testing.assert_array_equal(
        fill(model, frames, observed, 3, seed=0, controls=controls).codes, still.codes
    )
    # Nothing moves into the first frame.
    controls[0] = 9
    np.testing.assert_array_equal(
        fill(model, frames, observed, 3, seed=0, controls=controls).codes, still.codes
    )
    controls[count + 1] = 9
    pushed = fill(model, frames, observed, 3, seed=0, controls=controls).codes
    np.testing.assert_allclose(pushed[: count + 1], still.codes[: count + 1], atol=1e-5)
    assert not np.allclose(pushed[count + 1], still.codes[count + 1])
    # Those to come may be left out; they are zeros then.
    hidden = int(np.argmin(observed))
    controls[:] = 0
    controls[hidden] = 9
    shorter = fill(model, frames, observed, 3, seed=0, controls=controls[:count]).codes
    np.testing.assert_array_equal(fill(model, frames, observed, 3, seed=0, controls=controls).codes, shorter)
    assert not np.allclose(shorter[hidden], still.codes[hidden])


@pytest.mark.parametrize("shape", [(1, 1), (3,), (100, 1), (12, 2)])
def test_controls_of_another_shape_are_told(shape, mixture, frames, observed):
    with pytest.raises(ArgumentError, match=r"controls must be \[T, dim_u\]"):
        fill(mixture, frames, observed, 2, controls=np.zeros(shape))
