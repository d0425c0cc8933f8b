"""Slow, plain references in numpy and float64, against which the fast code is tested."""

from typing import NamedTuple

import numpy as np


class Model(NamedTuple):
    """A `kalman.LinearGaussian` with a batch, and what else `kalman.filter` takes."""

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    mu0: np.ndarray
    Sigma0: np.ndarray
    y: np.ndarray
    mask: np.ndarray
    u: np.ndarray


def random_covariance(rng, size):
    """A well-conditioned covariance matrix."""
    root = rng.normal(size=[size, size])
    return root @ root.T / size + 0.3 * np.eye(size)


def random_model(seed, batch=3, num_steps=6, dim_y=2, dim_z=4, dim_u=1, missing=0.3, by_coordinate=False):
    """A random model, observations with missing ones, whole steps or coordinates, and controls."""
    rng = np.random.default_rng(seed)
    shape = [batch, num_steps, dim_y] if by_coordinate else [batch, num_steps]
    mask = (rng.random(shape) >= missing).astype(float)
    return Model(
        y=2 * rng.normal(size=[batch, num_steps, dim_y]),
        mask=mask,
        A=0.6 * rng.normal(size=[batch, num_steps, dim_z, dim_z]),
        B=rng.normal(size=[batch, num_steps, dim_z, dim_u]),
        C=rng.normal(size=[batch, num_steps, dim_y, dim_z]),
        Q=random_covariance(rng, dim_z),
        R=random_covariance(rng, dim_y),
        mu0=rng.normal(size=[dim_z]),
        Sigma0=2 * random_covariance(rng, dim_z),
        u=rng.normal(size=[batch, num_steps, dim_u]),
    )


def joint_prior(model, b):
    """Mean [T D] and covariance [T D, T D] of all states of sequence b, before any observation."""
    num_steps, dim = model.A.shape[1:3]
    mean = np.zeros([num_steps, dim])
    cov = np.zeros([num_steps, dim, num_steps, dim])
    mean[0], cov[0, :, 0] = model.mu0, model.Sigma0
    for t in range(1, num_steps):
        A = model.A[b, t]
        mean[t] = A @ mean[t - 1] + model.B[b, t] @ model.u[b, t]
        for s in range(t):
            cov[t, :, s] = A @ cov[t - 1, :, s]
            cov[s, :, t] = cov[t, :, s].T
        cov[t, :, t] = A @ cov[t - 1, :, t - 1] @ A.T + model.Q
    return mean.reshape(-1), cov.reshape(num_steps * dim, num_steps * dim)


def condition(model, b, num_seen):
    """Condition all states of sequence b on its observations among the first `num_seen` steps.

    Returns:
        Mean [T, D], covariance [T, D, T, D], and the log-likelihood of those observations.
    """
    num_steps, dim = model.A.shape[1:3]
    dim_y = model.y.shape[-1]
    mean, cov = joint_prior(model, b)
    mask = model.mask[b] if model.mask.ndim == 3 else np.repeat(model.mask[b, :, None], dim_y, axis=1)
    (seen,) = np.nonzero((mask > 0)[:num_seen].reshape(-1))
    log_likelihood = 0.0
    if len(seen):
        H = np.zeros([num_steps, dim_y, num_steps, dim])
        for t in range(num_steps):
            H[t, :, t] = model.C[b, t]
        H = H.reshape(num_steps * dim_y, -1)[seen]
        R = np.kron(np.eye(num_steps), model.R)[np.ix_(seen, seen)]
        S = H @ cov @ H.T + R
        residual = model.y[b].reshape(-1)[seen] - H @ mean
        log_likelihood = -0.5 * (
            residual @ np.linalg.solve(S, residual)
            + np.linalg.slogdet(S)[1]
            + len(residual) * np.log(2 * np.pi)
        )
        gain = np.linalg.solve(S, H @ cov).T
        mean, cov = mean + gain @ residual, cov - gain @ H @ cov
    return mean.reshape(num_steps, dim), cov.reshape(num_steps, dim, num_steps, dim), log_likelihood


def exact_moments(model):
    """What filter and smoother should return, by dense Gaussian conditioning.

    Returns:
        A dictionary of arrays: predicted_mean, predicted_cov, filtered_mean, filtered_cov, smoothed_mean,
        smoothed_cov, cross_cov (of z_{t+1} and z_t, t < T, smoothed) and log_likelihood per step.
    """
    batch, num_steps = model.mask.shape[:2]
    found = {}
    for b in range(batch):
        steps = range(num_steps)
        conditioned = [condition(model, b, n) for n in range(num_steps + 1)]
        likelihoods = [likelihood for _, _, likelihood in conditioned]
        mean, cov, _ = conditioned[-1]
        of_sequence = {
            "predicted_mean": [conditioned[t][0][t] for t in steps],
            "predicted_cov": [conditioned[t][1][t, :, t] for t in steps],
            "filtered_mean": [conditioned[t + 1][0][t] for t in steps],
            "filtered_cov": [conditioned[t + 1][1][t, :, t] for t in steps],
            "smoothed_mean": mean,
            "smoothed_cov": [cov[t, :, t] for t in steps],
            "cross_cov": cov[range(1, num_steps), :, range(num_steps - 1)],
            "log_likelihood": np.diff(likelihoods),
        }
        for name, value in of_sequence.items():
            found.setdefault(name, []).append(np.asarray(value))
    return {name: np.stack(values) for name, values in found.items()}


def sampled_term_expectation(model):
    """The expectation, per sequence, of the bound's sampled state space term.

    Under independent draws from the smoothed marginals every term is the expectation of a quadratic.
    """
    moments = exact_moments(model)
    mean, cov = moments["smoothed_mean"], moments["smoothed_cov"]

    def expected_log_normal(residual, residual_cov, noise_cov):
        precision = np.linalg.inv(noise_cov)
        return -0.5 * (
            residual @ precision @ residual
            + np.trace(precision @ residual_cov)
            + np.linalg.slogdet(2 * np.pi * noise_cov)[1]
        )

    totals = []
    for b in range(len(mean)):
        total = expected_log_normal(mean[b, 0] - model.mu0, cov[b, 0], model.Sigma0)
        for t in range(mean.shape[1]):
            A, C = model.A[b, t], model.C[b, t]
            if t:
                residual = mean[b, t] - A @ mean[b, t - 1] - model.B[b, t] @ model.u[b, t]
                total += expected_log_normal(residual, cov[b, t] + A @ cov[b, t - 1] @ A.T, model.Q)
            if model.mask[b, t] > 0:
                total += expected_log_normal(model.y[b, t] - C @ mean[b, t], C @ cov[b, t] @ C.T, model.R)
            # Minus the expectation of the log density of a Gaussian: its entropy.
            total += 0.5 * np.linalg.slogdet(2 * np.pi * np.e * cov[b, t])[1]
        totals.append(total)
    return np.array(totals)
