"""Filter, smoother and likelihood in float32 against dense algebra in float64, on 10,000 random models.

Run with -s, it prints the worst errors.
"""

import functools
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import kalman, kalman_parallel

VARIANCES = (1e-4, 1e2)
LARGEST_RADIUS = 1.05
LARGEST_VARIANCE = 1e6
SIZES = [(1, 1), (2, 1), (4, 2)]
SHORT = [1, 2, 3, 5, 8, 13, 20]
TOLERANCE = 1e-3
"""Of the largest entry."""
NEGATIVE = -1e-5
"""Of the norm: how far the smallest eigenvalue of a covariance may lie below zero."""


def random_covariance(rng, size):
    """Eigenvalues spread over all orders of magnitude, in any direction."""
    directions = np.linalg.qr(rng.normal(size=[size, size]))[0]
    return (directions * 10 ** rng.uniform(*np.log10(VARIANCES), size=size)) @ directions.T


def random_problem(rng, batch, num_steps, dim_z, dim_y):
    """Models of one Q, R and Sigma0, each with transitions, masks and observations of its own."""
    Q, R = random_covariance(rng, dim_z), random_covariance(rng, dim_y)
    Sigma0 = 10 ** rng.uniform(-4, 2) * np.eye(dim_z)
    A = rng.normal(size=[batch, num_steps, dim_z, dim_z])
    # Half of the models keep one transition, as theirs alone can grow for long.
    A[::2] = A[::2, :1]
    radius = np.abs(np.linalg.eigvals(A)).max(axis=-1)
    A *= (rng.uniform(0, LARGEST_RADIUS, [batch, 1]) / radius)[..., None, None]
    while (too_large := prior_variance(A, Q, Sigma0) > LARGEST_VARIANCE).any():
        A[too_large] *= 0.9
    C = rng.normal(size=[batch, num_steps, dim_y, dim_z])
    shape = [batch, num_steps, dim_y]
    mask = (rng.random(shape) >= rng.choice([0, 0.3, 0.7, 0.95, 1], size=[batch, 1, 1])).astype(float)
    if rng.random() < 0.7:
        mask = mask[..., 0]
    z = np.zeros([batch, num_steps, dim_z])
    roots = [np.linalg.cholesky(cov) for cov in (Sigma0, Q, R)]
    for t in range(num_steps):
        noise = rng.normal(size=[batch, dim_z])
        z[:, t] = noise @ (roots[0] if t == 0 else roots[1]).T
        if t:
            z[:, t] += np.einsum("bij,bj->bi", A[:, t], z[:, t - 1])
    y = np.einsum("btij,btj->bti", C, z) + rng.normal(size=shape) @ roots[2].T
    # The same numbers for both: rounding the problem is not an error of its solution.
    return [array.astype(np.float32).astype(float) for array in (y, mask, A, C, Q, R, Sigma0)]


def prior_variance(A, Q, Sigma0):
    """Return the largest variance of any state without observations, for each model."""
    cov = np.broadcast_to(Sigma0, A[:, 0].shape)
    largest = np.full(len(A), Sigma0.max())
    for t in range(1, A.shape[1]):
        cov = A[:, t] @ cov @ A[:, t].swapaxes(1, 2) + Q
        largest = np.maximum(largest, np.diagonal(cov, axis1=1, axis2=2).max(axis=-1))
    return largest


def dense(y, mask, A, C, Q, R, Sigma0):
    """Solve for all states at once, from the precision matrix of their joint distribution.

    Returns:
        smoothed mean [B, T, D] and covariance [B, T, D, D]; log-likelihood [B].
    """
    batch, num_steps, dim = A.shape[:3]
    dim_y = y.shape[-1]
    mask = np.broadcast_to(mask.reshape(batch, num_steps, -1), y.shape)
    means, covs, likelihoods = [], [], []
    precision_Q, precision_0 = np.linalg.inv(Q), np.linalg.inv(Sigma0)
    for b in range(batch):
        precision = np.zeros([num_steps, dim, num_steps, dim])
        precision[0, :, 0] = precision_0
        for t in range(1, num_steps):
            precision[t, :, t] += precision_Q
            precision[t, :, t - 1] -= precision_Q @ A[b, t]
            precision[t - 1, :, t] -= A[b, t].T @ precision_Q
            precision[t - 1, :, t - 1] += A[b, t].T @ precision_Q @ A[b, t]
        linear = np.zeros([num_steps, dim])
        seen_terms, blocks = 0.0, []
        for t in range(num_steps):
            (seen,) = np.nonzero(mask[b, t])
            if len(seen) == 0:
                continue
            H, noise = C[b, t, seen], R[np.ix_(seen, seen)]
            weighted = np.linalg.solve(noise, H)
            precision[t, :, t] += H.T @ weighted
            linear[t] = weighted.T @ y[b, t, seen]
            blocks.append((t, seen, H, noise))
            seen_terms += np.linalg.slogdet(noise)[1] + len(seen) * np.log(2 * np.pi)
        flat = precision.reshape(num_steps * dim, -1)
        cov = np.linalg.inv(flat)
        mean = np.linalg.solve(flat, linear.reshape(-1)).reshape(num_steps, dim)
        # log p(y) = log p(z) + log p(y|z) - log p(z|y), at the mean of z.
        squares = mean[0] @ precision_0 @ mean[0]
        step = mean[1:] - np.einsum("tij,tj->ti", A[b, 1:], mean[:-1])
        squares += np.einsum("ti,ij,tj->", step, precision_Q, step)
        for t, seen, H, noise in blocks:
            residual = y[b, t, seen] - H @ mean[t]
            squares += residual @ np.linalg.solve(noise, residual)
        determinants = np.linalg.slogdet(Sigma0)[1] + (num_steps - 1) * np.linalg.slogdet(Q)[1]
        likelihoods.append(-0.5 * (squares + seen_terms + determinants + np.linalg.slogdet(flat)[1]))
        means.append(mean)
        covs.append(cov.reshape(num_steps, dim, num_steps, dim)[range(num_steps), :, range(num_steps)])
    assert dim_y == C.shape[2]
    return np.array(means), np.array(covs), np.array(likelihoods)


def _run(inference, model, y, mask, u):
    # Of any number of steps the scan in parallel would be traced for minutes.
    num_steps = y.shape[1] if inference is kalman_parallel else None
    return _traced(inference, num_steps, *model.C.shape[2:], mask.shape.rank)(model, y, mask, u)


@functools.cache
def _traced(inference, num_steps, dim_y, dim_z, rank_of_mask):
    """Filter and smooth, traced once for any number of models, and of steps where that is None."""

    def per_step(*sizes):
        return tf.TensorSpec([None, num_steps, *sizes], tf.float32)

    def square(size):
        return tf.TensorSpec([size, size], tf.float32)

    of_states = (per_step(dim_z, dim_z), per_step(dim_z, 1), per_step(dim_y, dim_z))
    model = kalman.LinearGaussian(
        *of_states, square(dim_z), square(dim_y), tf.TensorSpec([dim_z], tf.float32), square(dim_z)
    )
    mask = per_step(*[dim_y] * (rank_of_mask - 2))

    @tf.function(input_signature=[model, per_step(dim_y), mask, per_step(1)])
    def run(model, y, mask, u):
        filtered = inference.filter(model, y, mask, u)
        return filtered, inference.smooth_filtered(model, filtered)

    return run


def in_float32(A, C, Q, R, Sigma0, y, mask):
    """Return the arguments of `filter` for a model without controls whose first state has mean 0."""
    batch, num_steps, dim = A.shape[:3]
    B, u, mu0 = np.zeros([batch, num_steps, dim, 1]), np.zeros([batch, num_steps, 1]), np.zeros([dim])
    arrays = (kalman.LinearGaussian(A, B, C, Q, R, mu0, Sigma0), y, mask, u)
    return tf.nest.map_structure(lambda array: tf.constant(array, tf.float32), arrays)


def errors_of(rng, inference, batch, num_steps, dim_z, dim_y):
    """Return the worst errors over a batch of models, by name."""
    y, mask, A, C, Q, R, Sigma0 = random_problem(rng, batch, num_steps, dim_z, dim_y)
    mean, cov, log_likelihood = dense(y, mask, A, C, Q, R, Sigma0)
    hidden = np.where(mask.reshape(batch, num_steps, -1) > 0, y, np.nan)
    filtered, smoothed = _run(inference, *in_float32(A, C, Q, R, Sigma0, hidden, mask))
    found = {
        name: value.numpy() for name, value in (*filtered._asdict().items(), *smoothed._asdict().items())
    }
    assert all(np.isfinite(value).all() for value in found.values())
    # A likelihood is a sum of terms; where they cancel, the terms' size is what counts.
    terms = np.abs(found["log_likelihood"]).sum(axis=1)
    errors = {
        "smoothed mean": relative(found["smoothed_mean"], mean),
        "smoothed covariance": relative(found["smoothed_cov"], cov),
        # The last step's filter has seen what the smoother has.
        "last filtered mean": relative(found["filtered_mean"][:, -1], mean[:, -1]),
        "last filtered covariance": relative(found["filtered_cov"][:, -1], cov[:, -1]),
        "log-likelihood": np.max(
            np.abs(found["log_likelihood"].sum(axis=1) - log_likelihood) / np.maximum(terms, 1)
        ),
    }
    covariances = [found[name] for name in ("predicted_cov", "filtered_cov", "smoothed_cov")]
    eigenvalues = np.linalg.eigvalsh(np.stack(covariances).astype(np.float64))
    errors["negative eigenvalue"] = max(0.0, float(np.max(-eigenvalues[..., 0] / eigenvalues[..., -1])))
    return errors


def relative(found, expected):
    """Return the largest error of a model's entries over the largest of them, at worst."""
    axes = tuple(range(1, expected.ndim))
    return float(np.max(np.abs(found - expected).max(axis=axes) / np.abs(expected).max(axis=axes).clip(1e-6)))


def check(inference, groups, seed):
    """Run groups of (batch, num_steps, dim_z, dim_y); return the number of models."""
    rng = np.random.default_rng(seed)
    worst, count = {}, 0
    for group in groups:
        for name, error in errors_of(rng, inference, *group).items():
            worst[name] = max(worst.get(name, (0.0, ())), (error, group))
        count += group[0]
    print(f"\n{inference.__name__}: {count} models")
    for name, (error, group) in worst.items():
        print(f"  {name}: {error:.1e}, with (batch, steps, dim_z, dim_y) = {group}")
    assert worst["negative eigenvalue"][0] < -NEGATIVE
    assert max(error for name, (error, _) in worst.items() if name != "negative eigenvalue") < TOLERANCE
    return count


@pytest.mark.parametrize("inference", [kalman, pytest.param(kalman_parallel, marks=pytest.mark.slow)])
def test_some_random_models(inference):
    groups = [(10, num_steps, *sizes) for num_steps in SHORT for sizes in SIZES for _ in range(2)]
    assert check(inference, groups, seed=0) == 420


@pytest.mark.slow
def test_ten_thousand_random_models():
    groups = [(20, num_steps, *sizes) for num_steps in SHORT for sizes in SIZES for _ in range(24)]
    assert check(kalman, groups, seed=1) >= 10_000


@pytest.mark.slow
@pytest.mark.parametrize("inference", [kalman, kalman_parallel])
def test_long_sequences(inference):
    groups = [(4, num_steps, *sizes) for num_steps in (100, 500) for sizes in SIZES for _ in range(4)]
    assert check(inference, groups, seed=2) == 96


# --- outside those bounds, where float64 is no reference either ---


def rational(array):
    """Return a matrix as fractions, in an array of objects."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, float))


def rational_inverse(matrix):
    """Gauss and Jordan, without rounding."""
    size = len(matrix)
    rows = np.concatenate([matrix, rational(np.eye(size))], axis=1)
    for i in range(size):
        rows[i] = rows[i] / rows[i, i]
        for k in range(size):
            if k != i:
                rows[k] = rows[k] - rows[k, i] * rows[i]
    return rows[:, size:]


def rational_covariances(A, C, Q, R, Sigma0):
    """Return the filtered and the smoothed covariances, computed without rounding: both [T, D, D]."""
    A, C, Q, R, predicted = (rational(array) for array in (A, C, Q, R, Sigma0))
    predictions, filtered = [], []
    for t in range(len(A)):
        if t:
            predicted = A[t] @ filtered[-1] @ A[t].T + Q
        gain = predicted @ C[t].T @ rational_inverse(C[t] @ predicted @ C[t].T + R)
        predictions.append(predicted)
        filtered.append(predicted - gain @ C[t] @ predicted)
    smoothed = [filtered[-1]]
    for t in range(len(A) - 2, -1, -1):
        gain = filtered[t] @ A[t + 1].T @ rational_inverse(predictions[t + 1])
        smoothed.insert(0, filtered[t] + gain @ (smoothed[0] - predictions[t + 1]) @ gain.T)
    return np.array(filtered, float), np.array(smoothed, float)


@pytest.mark.parametrize(
    ("inference", "largest", "smallest", "tolerance"),
    [
        (kalman, 1e2, 1e-4, 1e-6),
        (kalman, 1e4, 1e-6, 1e-5),
        (kalman, 1e6, 1e-6, 1e-3),
        (kalman_parallel, 1e2, 1e-4, 1e-6),
        (kalman_parallel, 1e4, 1e-6, 1e-3),
    ],
)
def test_errors_grow_with_the_spread_of_variances(inference, largest, smallest, tolerance):
    """A wide first state, seen and moved precisely."""
    num_steps, dim, worst = 5, 2, 0.0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        A, C = rng.normal(size=[num_steps, dim, dim]), rng.normal(size=[num_steps, 1, dim])
        Q, R, Sigma0 = smallest * np.eye(dim), smallest * np.eye(1), largest * np.eye(dim)
        A, C, Q, R, Sigma0 = (np.float32(array) for array in (A, C, Q, R, Sigma0))
        y, mask = np.zeros([1, num_steps, 1]), np.ones([1, num_steps])
        filtered, smoothed = _run(inference, *in_float32(A[None], C[None], Q, R, Sigma0, y, mask))
        expected = rational_covariances(A, C, Q, R, Sigma0)
        for found, wanted in zip((filtered.filtered_cov, smoothed.smoothed_cov), expected, strict=True):
            worst = max(worst, relative(found.numpy().swapaxes(0, 1), wanted[:, None]))
    print(f"\n{inference.__name__}, variances from {smallest} to {largest}: {worst:.1e}")
    assert worst < tolerance
