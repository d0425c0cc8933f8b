"""Where the steps after a hidden one want its code: Gaussians that let particles look ahead.

See `kvae.inference.particles`, which draws from its prediction times g_t.
"""

from typing import NamedTuple

import tensorflow as tf

from kvae.inference import small_matrices as small

WIDENING = 2.0
"""Factor on the variance of the first pass's weighted paths: few of them may carry the weight."""


class Guide(NamedTuple):
    """g_t(a) = exp(-(a - center)' diag(precision) (a - center) / 2), both [T, dim_a, B]."""

    center: tf.Tensor
    precision: tf.Tensor


def guide_of(
    drawn: tf.Tensor, drawn_weights: tf.Tensor, left: tf.Tensor, weights: tf.Tensor, R: tf.Tensor
) -> Guide:
    """Return the `Guide` that a first pass suggests: what the later steps made of the codes it drew.

    Args:
        drawn: [T, dim_a, B, P], codes as they were drawn, before later steps chose among them.
        drawn_weights: [T, B, P], theirs at that time.
        left: [T, dim_a, B, P], the codes of the paths that are left in the end.
        weights: [B, P], theirs.
        R: [dim_a, dim_a], covariance of the emission noise.
    """
    emission = tf.linalg.diag_part(R)[:, None]
    drawn_mean, drawn_variance = _moments(drawn, drawn_weights[:, None])
    mean, variance = _moments(left, weights)
    # However few paths are left, a code is not known better than its noise allows.
    drawn_variance, variance = drawn_variance + emission, WIDENING * variance + emission
    precision = tf.maximum(1 / variance - 1 / drawn_variance, 0.0)
    center = tf.math.divide_no_nan(mean / variance - drawn_mean / drawn_variance, precision)
    # Where the later steps say next to nothing the quotient may lie anywhere: keep it near what was drawn.
    reach = 3 * tf.sqrt(drawn_variance)
    return Guide(tf.clip_by_value(center, drawn_mean - reach, drawn_mean + reach), precision)


def guided_draw(
    mean: tf.Tensor, cov: tf.Tensor, guide: Guide, noise: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw from N(mean, cov) g, up to its scale.

    Args:
        mean: [M, N].
        cov: [M, M, N].
        guide: a `Guide` of [M, N].
        noise: [M, N], draws from N(0, I).

    Returns:
        The logarithm of the integral of N(mean, cov) g [N], and the draws [M, N].
    """
    size = mean.shape[0]
    # With L = diag(precision)^(1/2): I + L cov L is symmetric, and never singular.
    root = small.square_root(guide.precision)
    root_cov = root[:, None] * cov
    innovation_cov = tf.eye(size)[..., None] + root_cov * root
    innovation = root * (guide.center - mean)
    solved, reduced, pivots = small.solve(
        small.symmetrize(innovation_cov), tf.concat([root_cov, innovation[:, None]], axis=1)
    )
    gain = small.transpose(solved[:, :size])
    log_integral = -0.5 * tf.reduce_sum(tf.math.log(pivots) + reduced[:, size] ** 2 / pivots, axis=0)
    mean += small.matvec(gain, innovation)
    cov = small.symmetrize(cov - small.matmul(gain, root_cov))
    return log_integral, mean + small.matvec(small.cholesky(cov), noise)


def _moments(codes: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and variance [T, dim_a, B] of codes [T, dim_a, B, P] under weights that sum to 1."""
    mean = tf.reduce_sum(weights * codes, axis=-1)
    return mean, tf.reduce_sum(weights * (codes - mean[..., None]) ** 2, axis=-1)
