"""How sequences go on from given states."""

from typing import NamedTuple

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from kvae.inference import kalman
from kvae.inference.protocols import Mixture, NetworkState
from kvae.inference.scan import swap_batch_and_time


class RollOut(NamedTuple):
    """A generated sequence: states [B, T, dim_z], codes [B, T, dim_a], alpha [B, T, K]."""

    states: tf.Tensor
    codes: tf.Tensor
    alpha: tf.Tensor


class _Given(NamedTuple):
    """What is known of a step before it is taken, in all steps [T, B, ...]."""

    has_state: tf.Tensor
    has_code: tf.Tensor
    state: tf.Tensor
    code: tf.Tensor
    u: tf.Tensor
    code_noise: tf.Tensor
    state_noise: tf.Tensor


class _Step(NamedTuple):
    """What a step leaves to the one after."""

    state: tf.Tensor
    code: tf.Tensor
    alpha: tf.Tensor
    network_state: NetworkState


def roll_out(
    mixture: Mixture,
    given_states: tf.Tensor,
    u: tf.Tensor,
    noise_seed: tf.Tensor | None = None,
    given_codes: tf.Tensor | None = None,
) -> RollOut:
    """Go on from given states: a_t = C_t z_t is fed to alpha, z_{t+1} = A_{t+1} z_t + B_{t+1} u_{t+1}.

    Args:
        mixture: a `Mixture`.
        given_states: [B, S, dim_z], the states of the first steps; S >= 1.
        u: [B, T, dim_u], whose T >= S is the length of the result.
        noise_seed: [2] integers, a stateless seed: add emission noise to every code, and transition
            noise to every state after the given ones. None: deterministic.
        given_codes: [B, S, dim_a], the codes of the first steps, fed to alpha in place of C_t z_t.

    Returns:
        A `RollOut` of T steps, the given ones included.
    """
    batch = kalman.batch_size(u)

    def step(before: _Step, given: _Given) -> _Step:
        alpha, learned_u, network_state = mixture.network.step(before.code, before.network_state)
        A, B, C = mixture.mix(alpha)
        u_t = mixture.inputs(given.u, learned_u)
        moved = tf.linalg.matvec(A, before.state) + tf.linalg.matvec(B, u_t) + given.state_noise
        state = tf.where(given.has_state[:, None], given.state, moved)
        emitted = tf.linalg.matvec(C, state) + given.code_noise
        code = tf.where(given.has_code[:, None], given.code, emitted)
        return _Step(state, code, alpha, network_state)

    start = _Step(
        tf.zeros([batch, mixture.dim_z]),
        tf.broadcast_to(mixture.a_0, [batch, mixture.dim_a]),
        tf.zeros([batch, mixture.K]),
        mixture.network.initial_state(batch),
    )
    steps = tf.scan(step, _given(mixture, given_states, u, noise_seed, given_codes), start)
    return RollOut(*(swap_batch_and_time(x) for x in (steps.state, steps.code, steps.alpha)))


def _given(
    mixture: Mixture,
    given_states: tf.Tensor,
    u: tf.Tensor,
    noise_seed: tf.Tensor | None,
    given_codes: tf.Tensor | None,
) -> _Given:
    """Return what is known of every step; arguments as `roll_out`."""
    batch, num_steps = kalman.batch_size(u), tf.shape(u)[1]
    num_given = tf.shape(given_states)[1]
    padding = [[0, 0], [0, num_steps - num_given], [0, 0]]
    # [T, B] at once: of a transposed bool TensorFlow says that it is slow without AVX-512.
    has_state = tf.broadcast_to(tf.range(num_steps)[:, None] < num_given, [num_steps, batch])
    has_code = has_state if given_codes is not None else tf.zeros_like(has_state)
    if given_codes is None:
        given_codes = tf.zeros([batch, num_given, mixture.dim_a])
    code_noise = tf.zeros([batch, num_steps, mixture.dim_a])
    state_noise = tf.zeros([batch, num_steps, mixture.dim_z])
    if noise_seed is not None:
        code_seed, state_seed = tf.unstack(tf.random.split(noise_seed, 2))
        code_noise = _noise(mixture.R).sample([batch, num_steps], seed=code_seed)
        state_noise = _noise(mixture.Q).sample([batch, num_steps], seed=state_seed)
    given_states, given_codes = (tf.pad(given, padding) for given in (given_states, given_codes))
    by_time = (swap_batch_and_time(x) for x in (given_states, given_codes, u, code_noise, state_noise))
    return _Given(has_state, has_code, *by_time)


def _noise(cov: tf.Tensor) -> tfd.Distribution:
    """Return N(0, cov)."""
    return tfd.MultivariateNormalTriL(tf.zeros(cov.shape[0]), tf.linalg.cholesky(cov))
