"""Exact inference in a linear-Gaussian state space model with time-varying matrices.

Pure functions over a batch of sequences. The model, for t = 1..T::

    z_1 ~ N(mu0, Sigma0)
    z_t = A_t z_{t-1} + B_t u_t + N(0, Q)          t = 2..T
    y_t = C_t z_t + N(0, R)

`A[:, t]` is the transition INTO step t, so `A[:, 0]`, `B[:, 0]` and `u[:, 0]` are not used. `mask[:, t]`
is 1 where y_t was observed and 0 where it is missing (TFP's state space models use the inverse).
Every function takes tensors of one float dtype, runs eagerly or inside a `tf.function`, and is
differentiable. The cost is linear in T; the loop over time is sequential.

The recursions are those of Murphy, "Machine Learning: a Probabilistic Perspective", 18.3, with the
covariance updates in Joseph form, which stays positive semi-definite under rounding.
"""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


class Filtered(NamedTuple):
    """What the Kalman filter returns; D is the state's dimension.

    Attributes:
        predicted_mean: [B, T, D], m_{t|t-1}.
        predicted_cov: [B, T, D, D], P_{t|t-1}.
        filtered_mean: [B, T, D], m_{t|t}.
        filtered_cov: [B, T, D, D], P_{t|t}.
        log_likelihood: [B, T], log p(y_t | y_{1..t-1}), zero where y_t is missing.
    """

    predicted_mean: tf.Tensor
    predicted_cov: tf.Tensor
    filtered_mean: tf.Tensor
    filtered_cov: tf.Tensor
    log_likelihood: tf.Tensor


class Smoothed(NamedTuple):
    """What the Rauch-Tung-Striebel smoother returns; D is the state's dimension.

    Attributes:
        smoothed_mean: [B, T, D], m_{t|T}.
        smoothed_cov: [B, T, D, D], P_{t|T}.
        gain: [B, T, D, D], J_t = P_{t|t} A_{t+1}' P_{t+1|t}^-1, zero for the last step. The covariance
            of z_{t+1} and z_t given all observations is P_{t+1|T} J_t'.
    """

    smoothed_mean: tf.Tensor
    smoothed_cov: tf.Tensor
    gain: tf.Tensor


def symmetrize(matrix):
    """Return (M + M') / 2 for a matrix or a batch of matrices."""
    return 0.5 * (matrix + tf.linalg.matrix_transpose(matrix))


def predict(mean, cov, A, offset, Q):
    """Carry a Gaussian belief one step through the transition.

    Args:
        mean: [..., D].
        cov: [..., D, D].
        A: [..., D, D], the transition matrix.
        offset: [..., D], the control's effect B_t u_t.
        Q: [D, D], covariance of the transition noise.

    Returns:
        The predicted mean [..., D] and covariance [..., D, D].
    """
    predicted_mean = tf.linalg.matvec(A, mean) + offset
    predicted_cov = A @ tf.matmul(cov, A, transpose_b=True) + Q
    return predicted_mean, symmetrize(predicted_cov)


def gain(cov, mask, C, R):
    """Return the Kalman gain P C' (C P C' + R)^-1, zero where the observation is missing.

    Args:
        cov: [..., D, D], the predicted covariance.
        mask: [...], 1 = observed.
        C: [..., M, D], the emission matrix.
        R: [M, M], covariance of the emission noise.

    Returns:
        [..., D, M].
    """
    cov_Ct = tf.matmul(cov, C, transpose_b=True)
    innovation_cov = symmetrize(C @ cov_Ct + R)
    gain_t = tf.linalg.cholesky_solve(tf.linalg.cholesky(innovation_cov), tf.linalg.matrix_transpose(cov_Ct))
    return tf.linalg.matrix_transpose(gain_t) * mask[..., None, None]


def update(mean, cov, y, mask, C, R):
    """Condition a Gaussian belief on an observation, where there is one.

    Args:
        mean: [..., D], the predicted mean.
        cov: [..., D, D], the predicted covariance.
        y: [..., M]; must be finite even where it is missing.
        mask: [...], 1 = observed.
        C: [..., M, D], the emission matrix.
        R: [M, M], covariance of the emission noise.

    Returns:
        The filtered mean [..., D] and covariance [..., D, D].
    """
    K = gain(cov, mask, C, R)
    filtered_mean = mean + tf.linalg.matvec(K, y - tf.linalg.matvec(C, mean))
    left = tf.eye(mean.shape[-1], dtype=mean.dtype) - K @ C
    filtered_cov = left @ tf.matmul(cov, left, transpose_b=True)
    filtered_cov += K @ tf.matmul(R, K, transpose_b=True)
    return filtered_mean, symmetrize(filtered_cov)


def log_likelihood(predicted_mean, predicted_cov, y, mask, C, R):
    """Log-likelihood of each observation given those before it: log N(y_t; C_t m, C_t P C_t' + R).

    Args:
        predicted_mean: [B, T, D], m_{t|t-1}.
        predicted_cov: [B, T, D, D], P_{t|t-1}.
        y: [B, T, M]; must be finite even where it is missing.
        mask: [B, T], 1 = observed.
        C: [B, T, M, D].
        R: [M, M].

    Returns:
        [B, T], zero where y_t is missing. Summed over t it is log p(y_observed | u).
    """
    innovation_cov = symmetrize(C @ tf.matmul(predicted_cov, C, transpose_b=True) + R)
    predictive = tfd.MultivariateNormalTriL(
        tf.linalg.matvec(C, predicted_mean), tf.linalg.cholesky(innovation_cov)
    )
    return mask * predictive.log_prob(y)


def filter(y, mask, A, B, C, Q, R, mu0, Sigma0, u):
    """Run the Kalman filter.

    Args:
        y: [B, T, M] observations; where the mask is 0 any value, NaN included, is ignored.
        mask: [B, T], 1 = observed, 0 = missing.
        A: [B, T, D, D], A[:, t] is the transition into step t.
        B: [B, T, D, U].
        C: [B, T, M, D].
        Q: [D, D].
        R: [M, M].
        mu0: [D].
        Sigma0: [D, D].
        u: [B, T, U].

    Returns:
        A `Filtered`.
    """
    mask = tf.cast(mask, y.dtype)
    y = hide(y, mask)
    offset = tf.linalg.matvec(B, u)

    def step(carry, inputs):
        _, _, mean, cov = carry
        y_t, mask_t, C_t, A_next, offset_next = inputs
        filtered_mean, filtered_cov = update(mean, cov, y_t, mask_t, C_t, R)
        next_mean, next_cov = predict(filtered_mean, filtered_cov, A_next, offset_next, Q)
        return filtered_mean, filtered_cov, next_mean, next_cov

    mean, cov = initial_belief(mu0, Sigma0, batch_size(y))
    inputs = (y, mask, C, next_step(A), next_step(offset))
    filtered_mean, filtered_cov, next_mean, next_cov = scan(step, inputs, (mean, cov, mean, cov))
    predicted_mean = tf.concat([mean[:, None], next_mean[:, :-1]], axis=1)
    predicted_cov = tf.concat([cov[:, None], next_cov[:, :-1]], axis=1)
    return Filtered(
        predicted_mean,
        predicted_cov,
        filtered_mean,
        filtered_cov,
        log_likelihood(predicted_mean, predicted_cov, y, mask, C, R),
    )


def smoothing_gains(filtered, A, Q):
    """Return what the smoother needs from each step, whatever the later ones say.

    Args:
        filtered: a `Filtered`.
        A: [B, T, D, D], A[:, t] is the transition into step t.
        Q: [D, D].

    Returns:
        The gain J_t = P_{t|t} A_{t+1}' P_{t+1|t}^-1 and the covariance of z_t given z_{t+1} and the
        observations up to t, both [B, T, D, D]. After the last step there is none: its gain is zero, and
        its covariance the filtered one.
    """
    # All gains come from the filter alone, so one batched solve serves every step.
    A_next = A[:, 1:]
    gain_t = tf.linalg.cholesky_solve(
        tf.linalg.cholesky(filtered.predicted_cov[:, 1:]), A_next @ filtered.filtered_cov[:, :-1]
    )
    gain = tf.linalg.matrix_transpose(gain_t)
    # P_{t|t} - J P_{t+1|t} J' written as a sum of squares.
    left = tf.eye(A.shape[-1], dtype=A.dtype) - gain @ A_next
    conditional_cov = left @ tf.matmul(filtered.filtered_cov[:, :-1], left, transpose_b=True)
    conditional_cov += gain @ tf.matmul(Q, gain, transpose_b=True)
    gain = tf.concat([gain, tf.zeros_like(filtered.filtered_cov[:, :1])], axis=1)
    return gain, tf.concat([conditional_cov, filtered.filtered_cov[:, -1:]], axis=1)


def smooth_filtered(filtered, A, Q):
    """Run the Rauch-Tung-Striebel smoother over what the filter returned.

    Args:
        filtered: a `Filtered`.
        A: [B, T, D, D], A[:, t] is the transition into step t.
        Q: [D, D].

    Returns:
        A `Smoothed`.
    """
    gain, conditional_cov = smoothing_gains(filtered, A, Q)

    def step(carry, inputs):
        mean_next, cov_next = carry
        gain_t, filtered_mean, predicted_mean_next, conditional_cov_t = inputs
        mean = filtered_mean + tf.linalg.matvec(gain_t, mean_next - predicted_mean_next)
        cov = conditional_cov_t + gain_t @ tf.matmul(cov_next, gain_t, transpose_b=True)
        return mean, symmetrize(cov)

    inputs = (gain, filtered.filtered_mean, next_step(filtered.predicted_mean), conditional_cov)
    start = (
        tf.zeros_like(filtered.filtered_mean[:, 0]),
        tf.zeros_like(filtered.filtered_cov[:, 0]),
    )
    smoothed_mean, smoothed_cov = scan(step, inputs, start, reverse=True)
    return Smoothed(smoothed_mean, smoothed_cov, gain)


def smooth(y, mask, A, B, C, Q, R, mu0, Sigma0, u):
    """Run the Kalman filter and the Rauch-Tung-Striebel smoother.

    Args: as `filter`.

    Returns:
        A `Smoothed`.
    """
    return smooth_filtered(filter(y, mask, A, B, C, Q, R, mu0, Sigma0, u), A, Q)


def batch_size(tensor):
    """Return the leading dimension, as a number where it is known."""
    return tensor.shape[0] if tensor.shape[0] is not None else tf.shape(tensor)[0]


def hide(y, mask):
    """Replace missing observations by zeros, so that a NaN among them reaches nothing.

    Args:
        y: [B, T, M].
        mask: [B, T], 1 = observed.

    Returns:
        [B, T, M].
    """
    return tf.where(mask[..., None] > 0, y, tf.zeros_like(y))


def next_step(sequence):
    """Shift [B, T, ...] one step back in time: entry t becomes entry t + 1, the last one zero."""
    return tf.concat([sequence[:, 1:], tf.zeros_like(sequence[:, :1])], axis=1)


def initial_belief(mu0, Sigma0, batch):
    """Return the prior of the first state for every sequence: [batch, D] and [batch, D, D]."""
    dim = mu0.shape[0]
    return tf.broadcast_to(mu0, [batch, dim]), tf.broadcast_to(Sigma0, [batch, dim, dim])


def scan(step, inputs, start, reverse=False):
    """Fold `step(carry, inputs_t) -> carry` over time and keep every carry.

    Args:
        step: the function to repeat.
        inputs: a nested structure of tensors [B, T, ...].
        start: the first carry, a nested structure of tensors [B, ...].
        reverse: go from the last step to the first.

    Returns:
        The carries, a structure like `start` of tensors [B, T, ...].
    """
    inputs = tf.nest.map_structure(swap_batch_and_time, inputs)
    carries = tf.scan(step, inputs, start, reverse=reverse)
    return tf.nest.map_structure(swap_batch_and_time, carries)


def swap_batch_and_time(tensor):
    """Turn [B, T, ...] into [T, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
