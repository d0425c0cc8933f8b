"""What is hidden given what is seen: paths of codes by sampling, states given each, and how they go on."""

from typing import NamedTuple

import tensorflow as tf

from kvae.inference import kalman, particles
from kvae.inference.protocols import Mixture
from kvae.inference.roll_out import roll_out
from kvae.inference.tracing import traced_per_model

NUM_DRAWS = 24
"""Paths that are smoothed and decoded, among those that are followed."""

MAX_PATHS_AT_ONCE = 32_000
"""Paths of all sequences together that are followed at the same time: a bound on memory."""


class Posterior(NamedTuple):
    """Draws from what is hidden, given what is seen.

    Each of the S draws is a path of hidden codes, and all else is exact given that path.

    Attributes:
        codes: [B, S, T, dim_a], smoothed: C_t m_{t|T}.
        code_cov: [B, S, T, dim_a, dim_a], C_t P_{t|T} C_t'.
        state_mean: [B, S, T, dim_z], m_{t|T}.
        state_cov: [B, S, T, dim_z, dim_z], P_{t|T}.
        alpha: [B, S, T, K].
        sampled_states: [B, S, T, dim_z], a draw of the whole sequence of states for every path.
        sampled_codes: [B, S, T, dim_a], C_t z_t of those.
        paths: [B, S, T, dim_a], what alpha was fed: where a code was seen that one, else the path's.
    """

    codes: tf.Tensor
    code_cov: tf.Tensor
    state_mean: tf.Tensor
    state_cov: tf.Tensor
    alpha: tf.Tensor
    sampled_states: tf.Tensor
    sampled_codes: tf.Tensor
    paths: tf.Tensor


class Continuation(NamedTuple):
    """S draws of whole sequences, N steps longer than what was seen.

    Attributes:
        sampled_states: [B, S, T + N, dim_z]; up to T those of the `Posterior`.
        sampled_codes: [B, S, T + N, dim_a], C_t z_t of those.
        paths: [B, S, T + N, dim_a], what alpha was fed: up to T as in the `Posterior`, then C_t z_t
            with noise.
    """

    sampled_states: tf.Tensor
    sampled_codes: tf.Tensor
    paths: tf.Tensor


def sample_posterior(
    lgssm: Mixture,
    codes: tf.Tensor,
    mask: tf.Tensor,
    u: tf.Tensor,
    num_paths: int,
    num_draws: int,
    seed: tf.Tensor,
) -> Posterior:
    """Draw from the posterior of a batch of sequences.

    Args:
        lgssm: a `Mixture`, such as `kvae.models.lgssm.MixtureStateSpaceModel`.
        codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
        mask: [B, T], 1 = observed.
        u: [B, T, dim_u] control inputs.
        num_paths: paths of hidden codes to follow, see `particles.draw_paths`; 0: the one path that the
            paper takes, where hidden codes are what the filter predicts.
        num_draws: S.
        seed: [2] int32, a stateless seed.

    Returns:
        A `Posterior`.
    """
    num_sequences = codes.shape[0]
    at_once = max(1, MAX_PATHS_AT_ONCE // max(num_paths, num_draws))
    if num_sequences is None or num_sequences <= at_once:
        return _sample_posterior(lgssm, codes, mask, u, num_paths, num_draws, seed)
    found = []
    for first in range(0, num_sequences, at_once):
        part = slice(first, first + at_once)
        seed_of_part = tf.random.fold_in(seed, first)
        found.append(
            _sample_posterior(lgssm, codes[part], mask[part], u[part], num_paths, num_draws, seed_of_part)
        )
    return Posterior(*(tf.concat(parts, axis=0) for parts in zip(*found, strict=True)))


# Step by step in Python it would take ten times as long.
@traced_per_model
def _sample_posterior(
    lgssm: Mixture,
    codes: tf.Tensor,
    mask: tf.Tensor,
    u: tf.Tensor,
    num_paths: int,
    num_draws: int,
    seed: tf.Tensor,
) -> Posterior:
    path_seed, state_seed = tf.unstack(tf.random.split(seed, 2))
    batch, num_steps = tf.shape(codes)[0], tf.shape(codes)[1]

    def of_draws(tensor: tf.Tensor) -> tf.Tensor:
        return tf.repeat(tensor, num_draws, axis=0)

    if num_paths:
        drawn = particles.draw_paths(lgssm, codes, mask, u, num_paths, num_draws, path_seed).codes
        paths = tf.reshape(drawn, [-1, num_steps, lgssm.dim_a])
        filtered, dynamics = lgssm.filter(paths, None, of_draws(u))
    else:
        filtered, dynamics = lgssm.filter(codes, mask, u)
        filtered = tf.nest.map_structure(of_draws, filtered)
        dynamics = dynamics.map_sequences(of_draws)
        predicted = tf.linalg.matvec(dynamics.model.C, tf.cast(filtered.predicted_mean, codes.dtype))
        paths = tf.where(of_draws(mask)[..., None] > 0, of_draws(codes), predicted)
    smoothed = lgssm.smooth(filtered, dynamics)
    noise = tf.random.stateless_normal([batch * num_draws, num_steps, lgssm.dim_z], state_seed)
    states = kalman.sample_filtered(dynamics.model, filtered, noise)
    found = Posterior(
        codes=tf.linalg.matvec(dynamics.model.C, smoothed.smoothed_mean),
        code_cov=dynamics.model.C @ smoothed.smoothed_cov @ tf.linalg.matrix_transpose(dynamics.model.C),
        state_mean=smoothed.smoothed_mean,
        state_cov=smoothed.smoothed_cov,
        alpha=dynamics.alpha,
        sampled_states=states,
        sampled_codes=tf.linalg.matvec(dynamics.model.C, states),
        paths=paths,
    )

    def by_sequence(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [batch, num_draws, num_steps, *tensor.shape[2:]])

    return Posterior(*(by_sequence(tensor) for tensor in found))


# As above: there is a loop over time in it.
@traced_per_model
def continue_posterior(
    lgssm: Mixture, states: tf.Tensor, paths: tf.Tensor, u: tf.Tensor, seed: tf.Tensor
) -> Continuation:
    """Let every draw go on from its own end.

    Its states go on from the last one, alpha from what the network saw of its path, and there is the noise of
    the model in both: so the draws spread as the model's predictions do.

    Args:
        lgssm: a `Mixture`, such as `kvae.models.lgssm.MixtureStateSpaceModel`.
        states: [B, S, T, dim_z], sampled states of S draws a sequence, as in a `Posterior`.
        paths: [B, S, T, dim_a], theirs.
        u: [B, T + N, dim_u] control inputs.
        seed: [2] int32, a stateless seed.

    Returns:
        A `Continuation`.
    """
    num_draws = paths.shape[1] or tf.shape(paths)[1]

    def as_batch(tensor: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tensor, [-1, tf.shape(tensor)[2], tensor.shape[3]])

    # Before the end this repeats each draw; after it the draw goes on by itself.
    u = tf.repeat(u, num_draws, axis=0)
    rolled = roll_out(lgssm, as_batch(states), u, seed, given_codes=as_batch(paths))
    sampled_codes = tf.linalg.matvec(lgssm.mix(rolled.alpha)[2], rolled.states)
    tensors = (rolled.states, sampled_codes, rolled.codes)
    return Continuation(*(tf.reshape(x, [-1, num_draws, tf.shape(x)[1], x.shape[-1]]) for x in tensors))


def moments_over_draws(means: tf.Tensor, covs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean and covariance of a mixture of Gaussians, all draws alike, by the law of total variance.

    Args:
        means: [B, S, T, D].
        covs: [B, S, T, D, D].

    Returns:
        [B, T, D] and [B, T, D, D].
    """
    mean = tf.reduce_mean(means, axis=1)
    deviation = means - mean[:, None]
    between = tf.reduce_mean(deviation[..., :, None] * deviation[..., None, :], axis=1)
    return mean, tf.reduce_mean(covs, axis=1) + between
