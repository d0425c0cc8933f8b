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

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from kvae.inference import kalman
from kvae.inference import small_matrices as small
from kvae.inference.guide import Guide, guide_of, guided_draw
from kvae.inference.protocols import Mixture, NetworkState
from kvae.inference.scan import swap_batch_and_time

RESAMPLE_BELOW = 0.5
"""Share of effective paths below which they are resampled."""


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


class _Given(NamedTuple):
    """What a step is given.

    Attributes:
        code: [B, dim_a].
        seen: [B], 1 where that code was observed.
        u_next: [B, dim_u], the control of the step after.
        noise: [dim_a, N], draws from N(0, I).
        uniform: [B], draws from the unit interval.
        guide: a `Guide` of [dim_a, B].
    """

    code: tf.Tensor
    seen: tf.Tensor
    u_next: tf.Tensor
    noise: tf.Tensor
    uniform: tf.Tensor
    guide: Guide


class _Belief(NamedTuple):
    """What each path predicts of a step.

    Attributes:
        mean: [dim_z, N].
        cov: [dim_z, dim_z, N].
        C: [dim_a, dim_z, N], the step's emission matrix.
        network_state: that of the network, in which the paths come first.
    """

    mean: tf.Tensor
    cov: tf.Tensor
    C: tf.Tensor
    network_state: NetworkState


class _Step(NamedTuple):
    """What a step leaves to the one after, and what is kept of it.

    Attributes:
        belief: the `_Belief` about the step after.
        log_weights: [B, P], which sum to 1.
        log_guide: [N], log g_t of the code that a path was fed, 0 where it was seen.
        log_likelihood: [B], of the codes seen so far.
        fed: [dim_a, N], the codes that the paths were fed, before resampling.
        parents: [N], which path each one descends from.
        effective_sample_size: [B], before resampling.
    """

    belief: _Belief
    log_weights: tf.Tensor
    log_guide: tf.Tensor
    log_likelihood: tf.Tensor
    fed: tf.Tensor
    parents: tf.Tensor
    effective_sample_size: tf.Tensor


def draw_paths(
    mixture: Mixture,
    codes: tf.Tensor,
    mask: tf.Tensor,
    u: tf.Tensor,
    num_paths: int,
    num_draws: int,
    seed: tf.Tensor,
) -> Paths:
    """Draw paths of hidden codes from their posterior.

    Args:
        mixture: a `Mixture`.
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
    first = _run(mixture, codes, mask, u, scouts, seeds[0])
    guide = guide_of(first.drawn, first.drawn_weights, first.codes, first.weights, mixture.R)
    second = _run(mixture, codes, mask, u, num_paths - scouts, seeds[1], guide)
    chosen = _systematic(
        second.weights, tf.random.stateless_uniform(tf.shape(codes)[:1], seeds[2]), num_draws
    )
    drawn = tf.gather(tf.transpose(second.codes, [2, 3, 0, 1]), chosen, batch_dims=1)
    return Paths(drawn, tf.transpose(second.effective_sample_size), second.log_likelihood)


def _run(
    mixture: Mixture,
    codes: tf.Tensor,
    mask: tf.Tensor,
    u: tf.Tensor,
    num_paths: int,
    seed: tf.Tensor,
    guide: Guide | None = None,
) -> _Pass:
    """Follow `num_paths` paths through the sequences."""
    codes = kalman.hide(codes, mask)
    batch, num_steps = kalman.batch_size(codes), tf.shape(codes)[1]
    if guide is None:
        guide = Guide(*[tf.zeros([num_steps, mixture.dim_a, batch])] * 2)
    seeds = tf.random.split(seed, 2)
    noise = tf.random.stateless_normal([num_steps, mixture.dim_a, batch * num_paths], seeds[0])
    uniform = tf.random.stateless_uniform([num_steps, batch], seeds[1])
    by_time = (swap_batch_and_time(codes), tf.transpose(mask), swap_batch_and_time(kalman.next_step(u)))
    bases = [tf.transpose(base, [1, 2, 0]) for base in (mixture.A, mixture.B, mixture.C)]

    given = _Given(*by_time, noise, uniform, guide)
    num_seen = _seen_by_all(mask)
    start = _parted(_follow_one(mixture, bases, u, given, num_seen, num_paths), num_paths)
    after = tf.nest.map_structure(lambda of_steps: of_steps[num_seen:], given)
    steps = tf.scan(_step_of(mixture, bases, num_paths), after, start)
    # After the last step no g is left in the target.
    last = steps.log_weights[-1] - tf.reshape(steps.log_guide[-1], [batch, num_paths])
    before = tf.repeat(tf.transpose(given.code[:num_seen], [0, 2, 1]), num_paths, axis=-1)
    drawn, left = (
        tf.reshape(tf.concat([before, fed], axis=0), [num_steps, mixture.dim_a, batch, num_paths])
        for fed in (steps.fed, _histories(steps.fed, steps.parents))
    )
    before = tf.repeat(start.log_weights[None], num_seen + 1, axis=0)
    of_all = tf.fill([num_seen, batch], float(num_paths))
    return _Pass(
        codes=left,
        weights=tf.nn.softmax(last, axis=-1),
        drawn=drawn,
        drawn_weights=tf.exp(tf.concat([before, steps.log_weights[:-1]], axis=0)),
        effective_sample_size=tf.concat([of_all, steps.effective_sample_size], axis=0),
        log_likelihood=steps.log_likelihood[-1] + tf.reduce_logsumexp(last, axis=-1),
    )


def _step_of(mixture: Mixture, bases: list[tf.Tensor], num_paths: int) -> Callable[[_Step, _Given], _Step]:
    """Return what carries `num_paths` paths of each sequence over a step; bases as in `_matrices_after`."""

    def step(before: _Step, given: _Given) -> _Step:
        given = _of_each_path(given, num_paths)
        fed, mean, cov, log_gain = _draw(mixture, before.belief, given)
        log_weights, log_guide, log_likelihood = _weigh(before, given, fed, log_gain)
        parents, log_weights, effective = _resample(log_weights, given.uniform, num_paths)
        mean, cov, code, log_guide = (tf.gather(x, parents, axis=-1) for x in (mean, cov, fed, log_guide))
        network_state = tf.nest.map_structure(lambda x: tf.gather(x, parents), before.belief.network_state)
        belief = _move(mixture, bases, mean, cov, code, network_state, given.u_next)
        return _Step(belief, log_weights, log_guide, log_likelihood, fed, parents, effective)

    return step


def _seen_by_all(mask: tf.Tensor) -> tf.Tensor:
    """Return how many steps precede the first that is hidden in any sequence of [B, T]; at most T - 1."""
    is_seen = tf.cast(tf.reduce_all(mask > 0, axis=0), tf.int32)
    return tf.minimum(tf.reduce_sum(tf.math.cumprod(is_seen)), tf.shape(mask)[1] - 1)


def _follow_one(
    mixture: Mixture,
    bases: list[tf.Tensor],
    u: tf.Tensor,
    given: _Given,
    num_steps: tf.Tensor,
    num_paths: int,
) -> _Step:
    """Carry one path of each sequence over the first steps, in which all is seen: all paths are that one."""
    step = _step_of(mixture, bases, 1)
    given = given._replace(noise=given.noise[..., ::num_paths])
    start = _start(mixture, bases, u[:, 0], tf.shape(given.seen)[1])
    return tf.while_loop(
        lambda t, _: t < num_steps,
        lambda t, before: (t + 1, step(before, tf.nest.map_structure(lambda of_steps: of_steps[t], given))),
        (tf.constant(0), start),
    )[1]


def _parted(step: _Step, num_paths: int) -> _Step:
    """Turn the one path of each sequence into so many."""

    def last(of_path: tf.Tensor) -> tf.Tensor:
        return tf.repeat(of_path, num_paths, axis=-1)

    belief = step.belief
    network_state = tf.nest.map_structure(
        lambda of_path: tf.repeat(of_path, num_paths, axis=0), belief.network_state
    )
    return step._replace(
        belief=_Belief(last(belief.mean), last(belief.cov), last(belief.C), network_state),
        log_weights=last(step.log_weights) - tf.math.log(float(num_paths)),
        log_guide=last(step.log_guide),
        fed=last(step.fed),
        parents=last(step.parents),
    )


def _start(mixture: Mixture, bases: list[tf.Tensor], u: tf.Tensor, batch: int | tf.Tensor) -> _Step:
    """Return what precedes the first step, of one path a sequence; u is [B, dim_u], that step's controls."""
    mean, cov = kalman.initial_belief(mixture.mu0, mixture.Sigma0, batch)
    first = tf.broadcast_to(mixture.a_0, [batch, mixture.dim_a])
    _, _, C, state = _matrices_after(mixture, bases, first, mixture.network.initial_state(batch), u)
    return _Step(
        belief=_Belief(mean, cov, C, state),
        log_weights=tf.zeros([batch, 1]),
        log_guide=tf.zeros([batch]),
        log_likelihood=tf.zeros([batch]),
        fed=tf.zeros([mixture.dim_a, batch]),
        parents=tf.zeros([batch], tf.int32),
        effective_sample_size=tf.zeros([batch]),
    )


def _of_each_path(given: _Given, num_paths: int) -> _Given:
    """Repeat what is given for each sequence; path i belongs to sequence i // num_paths."""

    def of_paths(per_sequence: tf.Tensor) -> tf.Tensor:
        return tf.repeat(per_sequence, num_paths, axis=-1)

    return given._replace(
        code=of_paths(tf.transpose(given.code)),
        seen=of_paths(given.seen),
        u_next=tf.repeat(given.u_next, num_paths, axis=0),
        guide=Guide(*(of_paths(part) for part in given.guide)),
    )


def _draw(
    mixture: Mixture, belief: _Belief, given: _Given
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Draw the hidden codes, and condition on all as if they had been seen.

    Returns:
        The codes [dim_a, N]; the filtered mean [dim_z, N] and covariance [dim_z, dim_z, N]; and by what a
        path gains weight [N]: the log density of a code that was seen, the log integral of the prediction
        times g_t of one that was not.
    """
    predicted_cov = small.symmetrize(small.congruence(belief.C, belief.cov) + mixture.R[..., None])
    predicted_mean = small.matvec(belief.C, belief.mean)
    log_integral, drawn = guided_draw(predicted_mean, predicted_cov, given.guide, given.noise)
    is_seen = given.seen > 0
    fed = tf.where(is_seen, given.code, drawn)
    everywhere = tf.ones_like(given.seen)
    mean, cov, log_density = kalman.update(belief.mean, belief.cov, fed, everywhere, belief.C, mixture.R)
    return fed, mean, cov, tf.where(is_seen, log_density, log_integral)


def _weigh(
    before: _Step, given: _Given, fed: tf.Tensor, log_gain: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Weigh the paths by what they gained, and return log_weights, log_guide, log_likelihood of a `_Step`."""
    # After a hidden step the target is p g_t, and no more that of the step before.
    gained = log_gain - before.log_guide
    distance = tf.reduce_sum(given.guide.precision * (fed - given.guide.center) ** 2, axis=0)
    log_guide = tf.where(given.seen > 0, tf.zeros_like(distance), -0.5 * distance)
    log_weights = before.log_weights + tf.reshape(gained, tf.shape(before.log_weights))
    total = tf.reduce_logsumexp(log_weights, axis=-1, keepdims=True)
    # Where no path explains what was seen, none is better than another.
    num_paths = tf.cast(tf.shape(log_weights)[-1], log_weights.dtype)
    log_weights = tf.where(
        tf.math.is_finite(total), tf.nn.log_softmax(log_weights, axis=-1), -tf.math.log(num_paths)
    )
    return log_weights, log_guide, before.log_likelihood + total[:, 0]


def _resample(
    log_weights: tf.Tensor, uniform: tf.Tensor, num_paths: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Replace the paths of those sequences in which few of them carry the weight.

    Args:
        log_weights: [B, P].
        uniform: [B], draws from the unit interval.
        num_paths: P.

    Returns:
        The path among all N from which each descends [N]; the logarithms of their weights [B, P]; the
        effective sample sizes before that [B].
    """
    weights = tf.exp(log_weights)
    effective = 1 / tf.reduce_sum(weights**2, axis=-1)
    degenerate = (effective < RESAMPLE_BELOW * num_paths)[:, None]
    parents = tf.where(degenerate, _systematic(weights, uniform, num_paths), tf.range(num_paths))
    log_weights = tf.where(degenerate, -tf.math.log(float(num_paths)), log_weights)
    offsets = num_paths * tf.range(tf.shape(weights)[0])[:, None]
    return tf.reshape(offsets + parents, [-1]), log_weights, effective


def _move(
    mixture: Mixture,
    bases: list[tf.Tensor],
    mean: tf.Tensor,
    cov: tf.Tensor,
    code: tf.Tensor,
    network_state: NetworkState,
    u_next: tf.Tensor,
) -> _Belief:
    """Carry the paths into the step after the one that was filtered.

    Args:
        mixture: a `Mixture`.
        bases: as in `_matrices_after`.
        mean: [dim_z, N], filtered.
        cov: [dim_z, dim_z, N].
        code: [dim_a, N], what the paths were fed.
        network_state: that of the network before it is fed.
        u_next: [N, dim_u].
    """
    A, offset, C, network_state = _matrices_after(mixture, bases, tf.transpose(code), network_state, u_next)
    mean, cov = kalman.predict(mean, cov, A, offset, mixture.Q)
    return _Belief(mean, cov, C, network_state)


def _matrices_after(
    mixture: Mixture, bases: list[tf.Tensor], code: tf.Tensor, network_state: NetworkState, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, NetworkState]:
    """Return A, the control's effect, C and the network's state of the step after codes [N, dim_a].

    Args:
        mixture: a `Mixture`.
        bases: its A, B and C, each [rows, columns, K].
        code: [N, dim_a].
        network_state: that of the network before it is fed.
        u: [N, dim_u], the controls of that step.
    """
    alpha, learned_u, network_state = mixture.network.step(code, network_state)
    A, B, C = (tf.tensordot(base, alpha, [[2], [1]]) for base in bases)
    return A, small.matvec(B, tf.transpose(mixture.inputs(u, learned_u))), C, network_state


def _systematic(weights: tf.Tensor, uniform: tf.Tensor, count: int) -> tf.Tensor:
    """Draw `count` indices [B, count] by weights [B, P], evenly spread from one uniform number [B] each."""
    positions = (tf.range(count, dtype=weights.dtype) + uniform[:, None]) / count
    below = tf.cumsum(weights, axis=-1)
    # Rounding may leave the last position above the sum of the weights: the last that has any is meant.
    last = tf.searchsorted(below, below[:, -1:], side="left")
    return tf.minimum(tf.searchsorted(below, positions, side="right"), last)


def _histories(fed: tf.Tensor, parents: tf.Tensor) -> tf.Tensor:
    """Return the codes [T, M, N] that led to each path that is left at the end.

    Args:
        fed: [T, M, N], what each path was fed, before resampling.
        parents: [T, N], which path each one descends from in that step.
    """

    def step(carry: tuple, inputs: tuple) -> tuple[tf.Tensor, tf.Tensor]:
        chosen, _ = carry
        fed_t, parents_t = inputs
        chosen = tf.gather(parents_t, chosen)
        return chosen, tf.gather(fed_t, chosen, axis=-1)

    start = (tf.range(tf.shape(parents)[1]), tf.zeros_like(fed[0]))
    return tf.scan(step, (fed, parents), start, reverse=True)[1]
