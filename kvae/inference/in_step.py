"""The Kalman filter where alpha, and so the model itself, depends on what the filter predicts."""

from typing import NamedTuple

import tensorflow as tf

from kvae.inference import kalman
from kvae.inference import small_matrices as small
from kvae.inference.protocols import Dynamics, Mixture, NetworkState
from kvae.inference.scan import swap_batch_and_time


class _Step(NamedTuple):
    """What a step found, the batch last as in `kalman`, and what it says of the one after."""

    filtered_mean: tf.Tensor
    filtered_cov: tf.Tensor
    log_likelihood: tf.Tensor
    alpha: tf.Tensor
    u: tf.Tensor
    next_mean: tf.Tensor
    next_cov: tf.Tensor
    next_alpha: tf.Tensor
    next_u: tf.Tensor
    network_state: NetworkState


def filter_in_step(
    mixture: Mixture, codes: tf.Tensor, mask: tf.Tensor, u: tf.Tensor
) -> tuple[kalman.Filtered, Dynamics]:
    """Run network and filter step by step together.

    Where a code is missing the network is fed the filter's prediction C_t m_{t|t-1} in its place.

    Args:
        mixture: a `Mixture`.
        codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
        mask: [B, T], 1 = observed, in the dtype of the codes.
        u: [B, T, dim_u] control inputs, replaced where the network learns its own.

    Returns:
        A `kalman.Filtered`, in float64 as there, and the `Dynamics`.
    """
    codes = kalman.hide(codes, mask)
    batch = kalman.batch_size(codes)
    mu0, Sigma0, Q, R = kalman.precise(mixture.mu0, mixture.Sigma0, mixture.Q, mixture.R)

    def alpha_after(
        code: tf.Tensor, network_state: NetworkState, u_t: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, NetworkState]:
        alpha, learned_u, network_state = mixture.network.step(code, network_state)
        return alpha, mixture.inputs(u_t, learned_u), network_state

    def step(before: _Step, inputs: list[tf.Tensor]) -> _Step:
        code, mask_t, u_next = inputs
        alpha, mean = before.next_alpha, before.next_mean
        C, code_last, mask_t = kalman.precise(
            small.batch_last(mixture.mix(alpha)[2]), small.batch_last(code), mask_t
        )
        found = kalman.update(mean, before.next_cov, code_last, mask_t, C, R)
        fed = small.batch_first(tf.where(mask_t > 0, code_last, small.matvec(C, mean)))
        fed = tf.cast(fed, code.dtype)
        next_alpha, next_u, network_state = alpha_after(fed, before.network_state, u_next)
        A, B, _ = mixture.mix(next_alpha)
        A, offset = kalman.precise(small.batch_last(A), small.batch_last(tf.linalg.matvec(B, next_u)))
        predicted = kalman.predict(*found[:2], A, offset, Q)
        return _Step(*found, alpha, before.next_u, *predicted, next_alpha, next_u, network_state)

    mean, cov = kalman.initial_belief(mu0, Sigma0, batch)
    first = tf.broadcast_to(mixture.a_0, [batch, mixture.dim_a])
    alpha, u_first, network_state = alpha_after(first, mixture.network.initial_state(batch), u[:, 0])
    inputs = [swap_batch_and_time(x) for x in (codes, mask, kalman.next_step(u))]
    start = _Step(mean, cov, mean[0], alpha, u_first, mean, cov, alpha, u_first, network_state)
    # Not `kvae.inference.scan`: the gradient must reach the network's variables.
    steps = tf.scan(step, inputs, start)
    found = (steps.filtered_mean, steps.filtered_cov, steps.log_likelihood)
    filtered = kalman.filtered_of_scan(mean, cov, *found, steps.next_mean, steps.next_cov)
    alpha, u = swap_batch_and_time(steps.alpha), swap_batch_and_time(steps.u)
    return filtered, Dynamics(alpha, mixture.linear_gaussian(alpha), u)
