"""Exact inference in a linear-Gaussian state space model with time-varying matrices.

Pure functions over a batch of sequences, of a model that `LinearGaussian` defines. `mask[:, t]` is 1 where
y_t was observed and 0 where it is missing (TFP's state space models use the inverse); a mask [B, T, M] says
so for every coordinate of y_t.
`filter` and `smooth` take arrays or tensors of numbers, and check what they are given, its values where they
are known already. Every function runs eagerly or inside a `tf.function`, and is differentiable. The cost is
linear in T; the loop over time is sequential.

`filter` computes in float64, whatever its arguments are, and returns that for the smoother to go on from.
One precise observation of a wide belief leaves a covariance whose eigenvalues lie many orders of magnitude
apart, and float32 loses the small ones, which are what is left after the next observation: in one of ten
thousand random models a smoothed covariance was wrong by one percent. `smooth` and `sample_filtered` return
the float dtype of their arguments. `predict` and `update`, one step, compute in the dtype of theirs.

The recursions are those of Murphy, "Machine Learning: a Probabilistic Perspective", 18.3, with the
covariance updates in Joseph form, which stays positive semi-definite under rounding. Inside, time is the
first axis and the batch the last, see `kvae.inference.small_matrices`.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from kvae.inference import small_matrices as small
from kvae.inference.linear_gaussian import LinearGaussian as LinearGaussian
from kvae.inference.linear_gaussian import checked, in_floats
from kvae.inference.scan import scan


class Filtered(NamedTuple):
    """What the Kalman filter returns, in float64; D is the state's dimension.

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


def predict(
    mean: tf.Tensor, cov: tf.Tensor, A: tf.Tensor, offset: tf.Tensor, Q: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Carry Gaussian beliefs one step through the transition; the batch is the last axis.

    Args:
        mean: [..., D, N].
        cov: [..., D, D, N].
        A: [..., D, D, N], the transition matrix.
        offset: [..., D, N], the control's effect B_t u_t.
        Q: [D, D], covariance of the transition noise.

    Returns:
        The predicted mean [..., D, N] and covariance [..., D, D, N].
    """
    predicted_mean = small.matvec(A, mean) + offset
    predicted_cov = small.congruence(A, cov) + Q[..., None]
    return predicted_mean, small.symmetrize(predicted_cov)


def update(
    mean: tf.Tensor, cov: tf.Tensor, y: tf.Tensor, mask: tf.Tensor, C: tf.Tensor, R: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Condition Gaussian beliefs on an observation, where there is one; the batch is the last axis.

    Args:
        mean: [..., D, N], the predicted mean.
        cov: [..., D, D, N], the predicted covariance.
        y: [..., M, N]; must be finite even where it is missing.
        mask: [..., N], 1 = observed.
        C: [..., M, D, N], the emission matrix.
        R: covariance of the emission noise, [M, M] or, one for each belief, [..., M, M, N].

    Returns:
        The filtered mean [..., D, N] and covariance [..., D, D, N], and log p(y) = log N(y; C m, C P C' + R)
        [..., N], zero where y is missing.
    """
    dim_y, dim_z = C.shape[-3:-1]
    R = R[..., None] if R.shape.rank == 2 else R
    C_cov = small.matmul(C, cov)
    innovation_cov = small.symmetrize(small.matmul(C_cov, C, transpose_b=True) + R)
    innovation = y - small.matvec(C, mean)
    # One elimination gives the gain's transpose, S^-1 C P, and what the density of the innovation needs.
    solved, reduced, pivots = small.solve(
        innovation_cov, tf.concat([C_cov, innovation[..., None, :]], axis=-2)
    )
    gain = small.transpose(solved[..., :dim_z, :]) * mask[..., None, None, :]
    terms = reduced[..., dim_z, :] ** 2 / pivots + tf.math.log(pivots)
    log_likelihood = -0.5 * (tf.reduce_sum(terms, axis=-2) + dim_y * math.log(2 * math.pi))

    filtered_mean = mean + small.matvec(gain, innovation)
    left = tf.eye(dim_z, dtype=mean.dtype)[..., None] - small.matmul(gain, C)
    filtered_cov = small.congruence(left, cov) + small.congruence(gain, R)
    return filtered_mean, small.symmetrize(filtered_cov), mask * log_likelihood


def filter(model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor) -> Filtered:
    """Run the Kalman filter.

    Args:
        model: a `LinearGaussian`.
        y: [B, T, M] observations; where the mask is 0 any value, NaN included, is ignored.
        mask: [B, T] or, for every coordinate, [B, T, M]; 1 = observed, 0 = missing.
        u: [B, T, U] controls.

    Returns:
        A `Filtered`.

    Raises:
        ArgumentError: an argument has another shape, is not finite where it counts, or is no covariance.

    Examples:
        A random walk, seen with noise; the third observation is missing.

        >>> import tensorflow as tf
        >>> from kvae.inference import kalman
        >>> y, mask = tf.constant([[[1.0], [2.0], [float("nan")]]]), tf.constant([[1.0, 1.0, 0.0]])
        >>> one, variance = tf.ones([1, 3, 1, 1]), tf.eye(1)
        >>> walk = kalman.LinearGaussian(
        ...     A=one, B=one, C=one, Q=variance, R=variance, mu0=tf.zeros([1]), Sigma0=variance
        ... )
        >>> none = tf.zeros([1, 3, 1])
        >>> print(kalman.filter(walk, y, mask, none).filtered_mean.numpy().round(3).ravel())
        [0.5 1.4 1.4]
        >>> print(kalman.smooth(walk, y, mask, none).smoothed_mean.numpy().round(3).ravel())
        [0.8 1.4 1.4]
    """
    return filter_checked(*checked(model, y, mask, u))


def filter_checked(model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor) -> Filtered:
    """Run the Kalman filter on what is known to be in order; arguments and result as `filter`."""
    model, (y, u) = precise_model(model), precise(y, u)
    model, y, mask, log_likelihood_of_missing = observed_part(model, y, mask)
    offset = tf.linalg.matvec(model.B, u)

    def step(carry: tuple, inputs: list[tf.Tensor], constants: list[tf.Tensor]) -> tuple:
        _, _, _, mean, cov = carry
        y_t, mask_t, C_t, A_next, offset_next, *R_t = inputs
        Q, *R = constants
        (R,) = R_t or R
        filtered_mean, filtered_cov, log_likelihood = update(mean, cov, y_t, mask_t, C_t, R)
        next_belief = predict(filtered_mean, filtered_cov, A_next, offset_next, Q)
        return (filtered_mean, filtered_cov, log_likelihood, *next_belief)

    mean, cov = initial_belief(model.mu0, model.Sigma0, batch_size(y))
    inputs, constants = [y, mask, model.C, next_step(model.A), next_step(offset)], [model.Q]
    (inputs if model.R.shape.rank == 4 else constants).append(model.R)
    inputs[:5] = [small.batch_last(x) for x in inputs[:5]]
    start = (mean, cov, tf.zeros_like(mean[0]), mean, cov)
    filtered = filtered_of_scan(mean, cov, *scan(step, inputs, start, constants))
    return filtered._replace(log_likelihood=filtered.log_likelihood - log_likelihood_of_missing)


def filtered_of_scan(
    mean: tf.Tensor,
    cov: tf.Tensor,
    filtered_mean: tf.Tensor,
    filtered_cov: tf.Tensor,
    log_likelihood: tf.Tensor,
    next_mean: tf.Tensor,
    next_cov: tf.Tensor,
) -> Filtered:
    """Return the `Filtered` that a loop over time found.

    Args:
        mean: [D, B], the belief before the first observation.
        cov: [D, D, B].
        filtered_mean: [T, D, B].
        filtered_cov: [T, D, D, B].
        log_likelihood: [T, B].
        next_mean: [T, D, B], the prediction for the step after.
        next_cov: [T, D, D, B].
    """
    predicted_mean = tf.concat([mean[None], next_mean[:-1]], axis=0)
    predicted_cov = tf.concat([cov[None], next_cov[:-1]], axis=0)
    found = (predicted_mean, predicted_cov, filtered_mean, filtered_cov, log_likelihood)
    return Filtered(*(small.batch_first(tensor) for tensor in found))


def smoothing_gains(model: LinearGaussian, filtered: Filtered) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what the smoother needs from each step, whatever the later ones say.

    Args:
        model: a `LinearGaussian`, of which A and Q count.
        filtered: the `Filtered` of that model.

    Returns:
        The gain J_t = P_{t|t} A_{t+1}' P_{t+1|t}^-1 and the covariance of z_t given z_{t+1} and the
        observations up to t, both [T, D, D, B]. After the last step there is none: its gain is zero, and
        its covariance the filtered one.
    """
    A, Q = precise(model.A, model.Q)
    # All gains come from the filter alone, so one batched solve serves every step.
    A_next, predicted_cov = small.batch_last(A)[1:], small.batch_last(filtered.predicted_cov)[1:]
    filtered_cov = small.batch_last(filtered.filtered_cov)
    cov, last_cov = filtered_cov[:-1], filtered_cov[-1:]
    gain = small.transpose(small.solve(predicted_cov, small.matmul(A_next, cov))[0])
    # P_{t|t} - J P_{t+1|t} J' written as a sum of squares.
    left = tf.eye(A.shape[-1], dtype=A.dtype)[..., None] - small.matmul(gain, A_next)
    conditional_cov = small.congruence(left, cov) + small.congruence(gain, Q[..., None])
    gain = tf.concat([gain, tf.zeros_like(last_cov)], axis=0)
    return gain, small.symmetrize(tf.concat([conditional_cov, last_cov], axis=0))


def smooth_filtered(model: LinearGaussian, filtered: Filtered) -> Smoothed:
    """Run the Rauch-Tung-Striebel smoother over what the filter returned.

    Args:
        model: a `LinearGaussian`, of which A and Q count.
        filtered: the `Filtered` of that model.

    Returns:
        A `Smoothed`, in the float dtype of the model.
    """
    model = in_floats(model)
    gain, conditional_cov = smoothing_gains(model, filtered)

    def step(carry: tuple, inputs: tuple, _: tuple) -> tuple[tf.Tensor, tf.Tensor]:
        mean_next, cov_next = carry
        gain_t, filtered_mean, predicted_mean_next, conditional_cov_t = inputs
        mean = filtered_mean + small.matvec(gain_t, mean_next - predicted_mean_next)
        cov = conditional_cov_t + small.congruence(gain_t, cov_next)
        return mean, small.symmetrize(cov)

    filtered_mean = small.batch_last(filtered.filtered_mean)
    predicted_mean_next = small.batch_last(next_step(filtered.predicted_mean))
    inputs = (gain, filtered_mean, predicted_mean_next, conditional_cov)
    start = (tf.zeros_like(filtered_mean[0]), tf.zeros_like(conditional_cov[0]))
    smoothed = scan(step, inputs, start, reverse=True)
    return Smoothed(*(tf.cast(small.batch_first(tensor), model.A.dtype) for tensor in (*smoothed, gain)))


def sample_filtered(model: LinearGaussian, filtered: Filtered, noise: tf.Tensor) -> tf.Tensor:
    """Draw whole state sequences from p(z_1..z_T | y), going backward over what the filter returned.

    z_T ~ N(m_{T|T}, P_{T|T}), and given z_{t+1} the state before it is Gaussian too, with mean
    m_{t|t} + J_t (z_{t+1} - m_{t+1|t}) and covariance P_{t|t} - J_t P_{t+1|t} J_t' (Fruehwirth-Schnatter,
    "Data augmentation and dynamic linear models", 1994).

    Args:
        model: a `LinearGaussian`, of which A and Q count.
        filtered: the `Filtered` of that model.
        noise: [B, T, D], draws from N(0, I).

    Returns:
        [B, T, D], one sequence for each of the batch, in the dtype of the noise.
    """
    gain, conditional_cov = smoothing_gains(model, filtered)
    (precise_noise,) = precise(noise)
    deviation = small.matvec(small.cholesky(conditional_cov), small.batch_last(precise_noise))

    def step(z_next: tf.Tensor, inputs: tuple, _: tuple) -> tf.Tensor:
        gain_t, filtered_mean, predicted_mean_next, deviation_t = inputs
        return filtered_mean + small.matvec(gain_t, z_next - predicted_mean_next) + deviation_t

    filtered_mean = small.batch_last(filtered.filtered_mean)
    predicted_mean_next = small.batch_last(next_step(filtered.predicted_mean))
    inputs = (gain, filtered_mean, predicted_mean_next, deviation)
    drawn = scan(step, inputs, tf.zeros_like(filtered_mean[0]), reverse=True)
    return tf.cast(small.batch_first(drawn), noise.dtype)


def smooth(model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor) -> Smoothed:
    """Run the Kalman filter and the Rauch-Tung-Striebel smoother.

    Args and example: as `filter`.

    Returns:
        A `Smoothed`.
    """
    model, y, mask, u = checked(model, y, mask, u)
    return smooth_filtered(model, filter_checked(model, y, mask, u))


def precise(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Return the tensors in float64."""
    return [tf.cast(tensor, tf.float64) for tensor in tensors]


def precise_model(model: LinearGaussian) -> LinearGaussian:
    """Return the model in float64."""
    return LinearGaussian(*precise(*model))


def observed_part(
    model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor
) -> tuple[LinearGaussian, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Make ready what is missing: steps, or some coordinates of a step.

    A missing coordinate becomes an observation of nothing: a zero, with noise N(0, 1), which depends on no
    state and on no other coordinate.

    Args:
        model: a `LinearGaussian`.
        y: [B, T, M].
        mask: [B, T], which stays as it is, or [B, T, M].

    Returns:
        The model, whose R is [T, M, M, B] for a mask of coordinates; y, zero where it is missing; the mask
        [B, T]; and what such observations of nothing add to the log-likelihood of their step [B, T], or 0.
    """
    mask = tf.cast(mask, y.dtype)
    y = hide(y, mask)
    if mask.shape.rank == 2:
        return model, y, mask, tf.zeros([], y.dtype)
    R = mask[..., :, None] * mask[..., None, :] * model.R + tf.linalg.diag(1 - mask)
    surplus = -0.5 * math.log(2 * math.pi) * tf.reduce_sum(1 - mask, axis=-1)
    model = model._replace(C=mask[..., None] * model.C, R=small.batch_last(R))
    return model, y, tf.ones_like(mask[..., 0]), surplus


def batch_size(tensor: tf.Tensor) -> int | tf.Tensor:
    """Return the leading dimension, as a number where it is known."""
    return tensor.shape[0] if tensor.shape[0] is not None else tf.shape(tensor)[0]


def hide(y: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Replace missing observations by zeros, so that a NaN among them reaches nothing.

    Args:
        y: [B, T, M].
        mask: [B, T] or [B, T, M], 1 = observed.

    Returns:
        [B, T, M].
    """
    mask = mask if mask.shape.rank == 3 else mask[..., None]
    return tf.where(mask > 0, y, tf.zeros_like(y))


def next_step(sequence: tf.Tensor) -> tf.Tensor:
    """Shift [B, T, ...] one step back in time: entry t becomes entry t + 1, the last one zero."""
    return tf.concat([sequence[:, 1:], tf.zeros_like(sequence[:, :1])], axis=1)


def initial_belief(mu0: tf.Tensor, Sigma0: tf.Tensor, batch: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the prior of the first state for every sequence: [D, batch] and [D, D, batch]."""
    dim = mu0.shape[0]
    mean = tf.broadcast_to(mu0[:, None], [dim, batch])
    return mean, tf.broadcast_to(Sigma0[..., None], [dim, dim, batch])
