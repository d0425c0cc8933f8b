"""The filter and smoother of `kvae.kalman`, parallel in time.

The same functions with the same arguments and results, as associative scans: of order log T steps one
after another in place of T, each over the whole sequence, at about twice the arithmetic. Source: Särkkä
and García-Fernández, "Temporal Parallelization of Bayesian Smoothers", IEEE Transactions on Automatic
Control, 2021; lemmas 7 to 10, here with controls and missing observations.
"""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

from kvae.inference import kalman
from kvae.inference import small_matrices as small
from kvae.inference.linear_gaussian import checked

_Element = Sequence[tf.Tensor]
"""A stretch of time, as the scans know it."""


def filter(model: kalman.LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor) -> kalman.Filtered:
    """Run the Kalman filter; arguments and result as `kalman.filter`."""
    return filter_checked(*checked(model, y, mask, u))


def filter_checked(
    model: kalman.LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor
) -> kalman.Filtered:
    """Run the Kalman filter on what is known to be in order; arguments and result as `kalman.filter`."""
    model, (y, u) = kalman.precise_model(model), kalman.precise(y, u)
    model, y, mask, log_likelihood_of_missing = kalman.observed_part(model, y, mask)
    offset = tf.linalg.matvec(model.B, u)
    elements = _filtering_elements(model, y, mask, offset)
    _, filtered_mean, filtered_cov, _, _ = tfp.math.scan_associative(_combine_filtering, elements, axis=1)
    # From here on the batch is the last axis, as in `kalman`.
    filtered_mean, filtered_cov = small.batch_last(filtered_mean), small.batch_last(filtered_cov)
    filtered_cov = small.symmetrize(filtered_cov)
    y, mask, A, C, offset = (small.batch_last(tensor) for tensor in (y, mask, model.A, model.C, offset))
    mean, cov = kalman.initial_belief(model.mu0, model.Sigma0, y.shape[-1] or tf.shape(y)[-1])
    next_mean, next_cov = kalman.predict(filtered_mean[:-1], filtered_cov[:-1], A[1:], offset[1:], model.Q)
    predicted_mean = tf.concat([mean[None], next_mean], axis=0)
    predicted_cov = tf.concat([cov[None], next_cov], axis=0)
    *_, log_likelihood = kalman.update(predicted_mean, predicted_cov, y, mask, C, model.R)
    found = (predicted_mean, predicted_cov, filtered_mean, filtered_cov, log_likelihood)
    found = kalman.Filtered(*(small.batch_first(tensor) for tensor in found))
    return found._replace(log_likelihood=found.log_likelihood - log_likelihood_of_missing)


def smooth_filtered(model: kalman.LinearGaussian, filtered: kalman.Filtered) -> kalman.Smoothed:
    """Run the Rauch-Tung-Striebel smoother; arguments and result as `kalman.smooth_filtered`."""
    gain, conditional_cov = (small.batch_first(x) for x in kalman.smoothing_gains(model, filtered))
    next_mean = kalman.next_step(filtered.predicted_mean)
    offset = filtered.filtered_mean - tf.linalg.matvec(gain, next_mean)
    elements = [tf.reverse(element, axis=[1]) for element in (gain, offset, conditional_cov)]
    scanned = tfp.math.scan_associative(_combine_smoothing, elements, axis=1)
    _, mean, cov = (tf.reverse(element, axis=[1]) for element in scanned)
    return kalman.Smoothed(*(tf.cast(tensor, model.A.dtype) for tensor in (mean, _symmetrize(cov), gain)))


def smooth(model: kalman.LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor) -> kalman.Smoothed:
    """Run filter and smoother; arguments and result as `kalman.smooth`."""
    return smooth_filtered(model, filter(model, y, mask, u))


def _filtering_elements(
    model: kalman.LinearGaussian, y: tf.Tensor, mask: tf.Tensor, offset: tf.Tensor
) -> list[tf.Tensor]:
    """Return the elements that the filter scans over.

    Element t says how the belief at t depends on that at t - 1: given z_{t-1}, z_t ~ N(A' z_{t-1} + b,
    cov), and the likelihood of y_t as a function of z_{t-1} is exp(eta' z - z' J z / 2). The first one is
    the belief itself, so its A' is zero.

    Returns:
        A' [B, T, D, D], b [B, T, D], cov [B, T, D, D], eta [B, T, D], J [B, T, D, D].
    """
    A, R = model.A, model.R
    batch, num_steps, dim = kalman.batch_size(y), tf.shape(y)[1], A.shape[-1]
    is_first = tf.range(num_steps) == 0
    first_matrix, first_vector = is_first[None, :, None, None], is_first[None, :, None]
    A = tf.where(first_matrix, tf.zeros_like(A), A)
    prior_mean = tf.where(first_vector, model.mu0, offset)
    prior_cov = tf.broadcast_to(tf.where(first_matrix, model.Sigma0, model.Q), [batch, num_steps, dim, dim])

    y, mask, prior_mean, prior_cov, A, C = (
        small.batch_last(tensor) for tensor in (y, mask, prior_mean, prior_cov, A, model.C)
    )
    b, cov, _ = kalman.update(prior_mean, prior_cov, y, mask, C, R)
    C_cov = small.matmul(C, prior_cov)
    R = R[..., None] if R.shape.rank == 2 else R
    innovation_cov = small.symmetrize(small.matmul(C_cov, C, transpose_b=True) + R)
    CA = small.matmul(C, A)
    solved, _, _ = small.solve(innovation_cov, tf.concat([C_cov, CA], axis=-2))
    solved *= mask[..., None, None, :]
    gain, weighted = small.transpose(solved[..., :dim, :]), solved[..., dim:, :]
    eta = small.matvec(weighted, y - small.matvec(C, prior_mean), transpose_a=True)
    J = small.matmul(small.transpose(weighted), CA)
    A = A - small.matmul(gain, CA)
    return [small.batch_first(element) for element in (A, b, cov, eta, J)]


def _combine_filtering(first: _Element, second: _Element) -> _Element:
    """Chain two stretches of time, the first before the second."""
    A1, b1, cov1, eta1, J1 = first
    A2, b2, cov2, eta2, J2 = second
    eye = tf.eye(A1.shape[-1], dtype=A1.dtype)
    # (I + cov1 J2)^-1 from the left of everything that passes from the first to the second.
    solved = tf.linalg.solve(
        eye + cov1 @ J2,
        tf.concat([A1, cov1, (b1 + tf.linalg.matvec(cov1, eta2))[..., None]], axis=-1),
    )
    dim = A1.shape[-1]
    from_A, from_cov, from_b = solved[..., :dim], solved[..., dim : 2 * dim], solved[..., 2 * dim]
    A = A2 @ from_A
    b = tf.linalg.matvec(A2, from_b) + b2
    cov = A2 @ tf.matmul(from_cov, A2, transpose_b=True) + cov2
    # A1' (I + J2 cov1)^-1 is the transpose of (I + cov1 J2)^-1 A1.
    eta = tf.linalg.matvec(from_A, eta2 - tf.linalg.matvec(J2, b1), transpose_a=True) + eta1
    J = tf.matmul(from_A, J2 @ A1, transpose_a=True) + J1
    return A, b, _symmetrize(cov), eta, _symmetrize(J)


def _combine_smoothing(later: _Element, earlier: _Element) -> _Element:
    """Chain two stretches of time; time runs backwards, so the first argument is the later one."""
    gain2, offset2, cov2 = later
    gain1, offset1, cov1 = earlier
    return (
        gain1 @ gain2,
        tf.linalg.matvec(gain1, offset2) + offset1,
        gain1 @ tf.matmul(cov2, gain1, transpose_b=True) + cov1,
    )


def _symmetrize(matrix: tf.Tensor) -> tf.Tensor:
    """Return (M + M') / 2 for [..., D, D]."""
    return 0.5 * (matrix + tf.linalg.matrix_transpose(matrix))
