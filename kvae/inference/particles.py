"""Posterior sampling of hidden codes: a Rao-Blackwellised particle smoother in two passes.

Where a frame is missing its code a_t is a random variable, and alpha, which sees the codes, is one with it.
So paths are drawn: at a hidden step each path draws a_t from its own filter's prediction

    N(C_t m_{t|t-1}, C_t P_{t|t-1} C_t' + R),

feeds it to the alpha network and conditions on it as if it had been seen. At a seen step the path is weighed
by the likelihood of the code there. Given a path the model is linear-Gaussian, so the states need no draws
(Doucet, de Freitas, Murphy and Russell, "Rao-Blackwellised particle filtering for dynamic Bayesian networks",
2000).

Drawn so, most paths miss the frames after a gap. So the first pass, half of the paths, only learns where the
frames after a hidden step want its code: a Gaussian g_t(a_t), the moments of the paths that are left in the
end over those of all paths as they were drawn. The second pass draws from the prediction times g_t, which
looks ahead, and its weights undo that: a twisted particle filter (Guarniero, Johansen and Lee, "The iterated
auxiliary particle filter", 2017). So g_t decides how good the draws are, never what they converge to.

Inside, all paths of all sequences are the last axis, N = B * P, see `kvae.inference.small_matrices`.
"""

from typing import NamedTuple

import tensorflow as tf

from kvae.inference import kalman
from kvae.inference import small_matrices as small

RESAMPLE_BELOW = 0.5
"""Share of effective paths below which they are resampled."""

WIDENING = 2.0
"""Factor on the variance of the first pass's weighted paths: few of them may carry the weight."""


class Paths(NamedTuple):
    """Paths of codes, drawn from p(hidden codes | seen codes).

    Attributes:
        codes: [B, S, T, dim_a]; where a code was seen, that one.
        effective_sample_size: [B, T], that of the second pass after each step, before resampling; at most
            the number of its paths.
        log_likelihood: [B], an estimate of log p(seen codes), the logarithm of an unbiased one.
    """

    codes: tf.Tensor
    effective_sample_size: tf.Tensor
    log_likelihood: tf.Tensor


class Guide(NamedTuple):
    """g_t(a) = exp(-(a - center)' diag(precision) (a - center) / 2), both [T, dim_a, B]."""

    center: tf.Tensor
    precision: tf.Tensor


class _Pass(NamedTuple):
    """All paths of one pass.

    Attributes:
        codes: [T, dim_a, B, P], the paths that are left in the end.
        weights: [B, P], theirs.
        drawn: [T, dim_a, B, P], the codes as they were drawn, before later steps chose among them.
        drawn_weights: [T, B, P], theirs at that time.
        effective_sample_size: [T, B].
        log_likelihood: [B].
    """

    codes: tf.Tensor
    weights: tf.Tensor
    drawn: tf.Tensor
    drawn_weights: tf.Tensor
    effective_sample_size: tf.Tensor
    log_likelihood: tf.Tensor


def draw_paths(lgssm, codes, mask, u, num_paths, num_draws, seed):
    """Draw paths of hidden codes from their posterior.

    Args:
        lgssm: a `MixtureStateSpaceModel`.
        codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
        mask: [B, T], 1 = observed.
        u: [B, T, dim_u] control inputs, replaced where the network learns its own.
        num_paths: paths that are followed, half of them in each pass; at least 2.
        num_draws: S, how many to draw among those of the second pass, by weight, some more than once.
        seed: [2] int32, a stateless seed.

    Returns:
        A `Paths`.
    """
    mask = tf.cast(mask, codes.dtype)
    seeds = tf.random.split(seed, 3)
    scouts = num_paths // 2
    guide = _guide_of(_run(lgssm, codes, mask, u, scouts, seeds[0]), lgssm)
    second = _run(lgssm, codes, mask, u, num_paths - scouts, seeds[1], guide)
    chosen = _systematic(
        second.weights, tf.random.stateless_uniform(tf.shape(codes)[:1], seeds[2]), num_draws
    )
    drawn = tf.gather(tf.transpose(second.codes, [2, 3, 0, 1]), chosen, batch_dims=1)
    return Paths(drawn, tf.transpose(second.effective_sample_size), second.log_likelihood)


def _run(lgssm, codes, mask, u, num_paths, seed, guide=None):
    """Follow `num_paths` paths through the sequences; return a `_Pass`."""
    codes = kalman.hide(codes, mask)
    batch, num_steps = kalman.batch_size(codes), tf.shape(codes)[1]
    count, network = batch * num_paths, lgssm.network
    if guide is None:
        guide = Guide(*[tf.zeros([num_steps, lgssm.dim_a, batch])] * 2)
    bases = [tf.transpose(base, [1, 2, 0]) for base in (lgssm.A, lgssm.B, lgssm.C)]
    # Path i belongs to sequence i // num_paths.
    offsets = num_paths * tf.range(batch)[:, None]
    equal = tf.fill([batch, num_paths], -tf.math.log(float(num_paths)))
    seeds = tf.random.split(seed, 2)
    noise = tf.random.stateless_normal([num_steps, lgssm.dim_a, count], seeds[0])
    uniform = tf.random.stateless_uniform([num_steps, batch], seeds[1])

    def of_paths(per_sequence):
        return tf.repeat(per_sequence, num_paths, axis=-1)

    def dynamics_after(code, network_state, u_t):
        """Return A, the control's effect, C and the network's state of the step after codes [N, dim_a]."""
        alpha, learned_u, network_state = network.step(code, network_state)
        A, B, C = (tf.tensordot(base, alpha, [[2], [1]]) for base in bases)
        u_t = tf.transpose(lgssm.inputs(u_t, learned_u))
        u_t = of_paths(u_t) if learned_u is None else u_t
        return A, small.matvec(B, u_t), C, network_state

    def step(carry, inputs):
        mean, cov, C, network_state, log_weights, log_guide, log_likelihood, *_ = carry
        code, mask_t, u_next, noise_t, uniform_t, *guide_t = inputs
        seen, guide_t = of_paths(mask_t), Guide(*(of_paths(part) for part in guide_t))
        predicted_cov = small.symmetrize(small.congruence(C, cov) + lgssm.R[..., None])
        log_guided, drawn = _guided_draw(small.matvec(C, mean), predicted_cov, guide_t, noise_t)
        fed = tf.where(seen > 0, of_paths(tf.transpose(code)), drawn)
        mean, cov, log_density = kalman.update(mean, cov, fed, tf.ones_like(seen), C, lgssm.R)

        # After a hidden step the target is p g_t, and no more that of the step before.
        gained = tf.where(seen > 0, log_density, log_guided) - log_guide
        distance = tf.reduce_sum(guide_t.precision * (fed - guide_t.center) ** 2, axis=0)
        log_guide = tf.where(seen > 0, tf.zeros_like(distance), -0.5 * distance)
        log_weights += tf.reshape(gained, [batch, num_paths])
        log_likelihood += tf.reduce_logsumexp(log_weights, axis=-1)
        log_weights = tf.nn.log_softmax(log_weights, axis=-1)
        weights = tf.exp(log_weights)
        effective = 1 / tf.reduce_sum(weights**2, axis=-1)

        degenerate = (effective < RESAMPLE_BELOW * num_paths)[:, None]
        parents = tf.where(degenerate, _systematic(weights, uniform_t, num_paths), tf.range(num_paths))
        log_weights = tf.where(degenerate, equal, log_weights)
        parents = tf.reshape(offsets + parents, [-1])
        of_parents = [tf.gather(tensor, parents, axis=-1) for tensor in (mean, cov, fed, log_guide)]
        mean, cov, code, log_guide = of_parents
        network_state = tf.nest.map_structure(lambda tensor: tf.gather(tensor, parents), network_state)

        A, offset, C, network_state = dynamics_after(tf.transpose(code), network_state, u_next)
        mean, cov = kalman.predict(mean, cov, A, offset, lgssm.Q)
        return mean, cov, C, network_state, log_weights, log_guide, log_likelihood, fed, parents, effective

    mean, cov = kalman.initial_belief(lgssm.mu0, lgssm.Sigma0, count)
    first = tf.broadcast_to(lgssm.a_0, [count, lgssm.dim_a])
    _, _, C, network_state = dynamics_after(first, network.initial_state(count), u[:, 0])
    start = (mean, cov, C, network_state, equal, tf.zeros([count]), tf.zeros([batch]))
    start += (tf.zeros([lgssm.dim_a, count]), tf.zeros([count], tf.int32), tf.zeros([batch]))
    by_time = (
        tf.transpose(codes, [1, 0, 2]),
        tf.transpose(mask),
        tf.transpose(kalman.next_step(u), [1, 0, 2]),
    )
    *_, log_weights, log_guide, log_likelihood, fed, parents, effective = tf.scan(
        step, (*by_time, noise, uniform, *guide), start
    )
    # After the last step no g is left in the target.
    last = log_weights[-1] - tf.reshape(log_guide[-1], [batch, num_paths])
    shape = [num_steps, lgssm.dim_a, batch, num_paths]
    return _Pass(
        tf.reshape(_histories(fed, parents), shape),
        tf.nn.softmax(last, axis=-1),
        tf.reshape(fed, shape),
        tf.exp(tf.concat([equal[None], log_weights[:-1]], axis=0)),
        effective,
        log_likelihood[-1] + tf.reduce_logsumexp(last, axis=-1),
    )


def _guided_draw(mean, cov, guide, noise):
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
    root = tf.sqrt(guide.precision)
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


def _guide_of(scouted, lgssm):
    """Return the `Guide` that a first pass suggests: what the later steps made of the codes it drew."""
    emission = tf.linalg.diag_part(lgssm.R)[:, None]
    drawn_mean, drawn_variance = _moments(scouted.drawn, scouted.drawn_weights[:, None])
    mean, variance = _moments(scouted.codes, scouted.weights)
    # However few paths are left, a code is not known better than its noise allows.
    drawn_variance, variance = drawn_variance + emission, WIDENING * variance + emission
    precision = tf.maximum(1 / variance - 1 / drawn_variance, 0.0)
    center = tf.math.divide_no_nan(mean / variance - drawn_mean / drawn_variance, precision)
    # Where the later steps say next to nothing the quotient may lie anywhere: keep it near what was drawn.
    reach = 3 * tf.sqrt(drawn_variance)
    return Guide(tf.clip_by_value(center, drawn_mean - reach, drawn_mean + reach), precision)


def _moments(codes, weights):
    """Return mean and variance [T, dim_a, B] of codes [T, dim_a, B, P] under weights that sum to 1."""
    mean = tf.reduce_sum(weights * codes, axis=-1)
    return mean, tf.reduce_sum(weights * (codes - mean[..., None]) ** 2, axis=-1)


def _systematic(weights, uniform, count):
    """Draw `count` indices [B, count] by weights [B, P], evenly spread from one uniform number [B] each."""
    positions = (tf.range(count, dtype=weights.dtype) + uniform[:, None]) / count
    chosen = tf.searchsorted(tf.cumsum(weights, axis=-1), positions, side="right")
    # Rounding may leave the last position above the sum of the weights.
    return tf.minimum(chosen, tf.shape(weights)[-1] - 1)


def _histories(fed, parents):
    """Return the codes [T, M, N] that led to each path that is left at the end.

    Args:
        fed: [T, M, N], what each path was fed, before resampling.
        parents: [T, N], which path each one descends from in that step.
    """

    def step(carry, inputs):
        chosen, _ = carry
        fed_t, parents_t = inputs
        chosen = tf.gather(parents_t, chosen)
        return chosen, tf.gather(fed_t, chosen, axis=-1)

    start = (tf.range(tf.shape(parents)[1]), tf.zeros_like(fed[0]))
    return tf.scan(step, (fed, parents), start, reverse=True)[1]
