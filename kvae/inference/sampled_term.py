"""The state space term of the bound as the original code estimates it: from states that are drawn."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from kvae.inference.kalman import LinearGaussian, Smoothed


def prior(model: LinearGaussian) -> tfd.Distribution:
    """Return p(z_1), a distribution over [D]."""
    return _normal(model.mu0, model.Sigma0)


def transitions(model: LinearGaussian, z: tf.Tensor, u: tf.Tensor) -> tfd.Distribution:
    """Return p(z_t | z_{t-1}, u_t) of all steps but the first, a batch [B, T - 1] of distributions over [D].

    Args:
        model: a `LinearGaussian`.
        z: [B, T, D] states.
        u: [B, T, U] controls.
    """
    A, B = model.A[:, 1:], model.B[:, 1:]
    return _normal(tf.linalg.matvec(A, z[:, :-1]) + tf.linalg.matvec(B, u[:, 1:]), model.Q)


def emissions(model: LinearGaussian, z: tf.Tensor) -> tfd.Distribution:
    """Return p(y_t | z_t) for states [B, T, D], a batch [B, T] of distributions over [M]."""
    return _normal(tf.linalg.matvec(model.C, z), model.R)


def sampled_term(
    model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor, smoothed: Smoothed, noise: tf.Tensor
) -> tf.Tensor:
    """Estimate the log-likelihood of observations from states that are drawn.

    States are drawn from each smoothed marginal, independently for each step:
    log p(z_1) + sum log p(z_t | z_{t-1}) + sum mask_t log p(y_t | z_t) - sum log N(z_t; m_t|T, P_t|T).
    Its expectation is at most the exact term, the filter's log-likelihood.

    Args:
        model: a `LinearGaussian`.
        y: [B, T, M], finite.
        mask: [B, T], 1 = observed.
        u: [B, T, U] controls.
        smoothed: the `Smoothed` of those.
        noise: [B, T, D], draws from N(0, I).

    Returns:
        [B], one value a sequence.
    """
    posterior = _normal(smoothed.smoothed_mean, smoothed.smoothed_cov)
    z = posterior.mean() + posterior.scale.matvec(noise)
    return (
        prior(model).log_prob(z[:, 0])
        + tf.reduce_sum(transitions(model, z, u).log_prob(z[:, 1:]), axis=1)
        + tf.reduce_sum(mask * emissions(model, z).log_prob(y), axis=1)
        - tf.reduce_sum(posterior.log_prob(z), axis=1)
    )


def _normal(mean: tf.Tensor, cov: tf.Tensor) -> tfd.Distribution:
    """Return N(mean, cov)."""
    return tfd.MultivariateNormalTriL(mean, tf.linalg.cholesky(cov))
