"""Who knows how the line swings, and how a frame is drawn: nobody can fill in much better.

An extended Kalman smoother with the true equations, in float64: what is hidden is the angle and the velocity,
what is seen is the angle, as surely as a frame tells it.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from experiments.peers.tasks import Split, line
from simulation.worlds.swinging_line import SwingingLine, wrapped

Array = NDArray[np.float64]
Step = Callable[[Array], tuple[Array, Array]]
"""From states [N, S] to those of the next step, and to the derivatives [N, S, S] of the one by the other."""

NUM_ANGLES = 2**15
"""Angles of which each frame is known."""
NUM_STARTS = 1440
"""Angles from which a motion may have begun."""
START_STD = 1.0
"""Of the angle at the start, in radians, about one from which the first frame that is seen can be reached."""
EARLY = 3
"""Up to this step there is one such angle; later a line that fell may have come from several."""
NUM_MOTIONS = 24
"""Of a sequence whose first seen frame is later: from angles all around, each with as much of the circle."""
LEAST_WEIGHT = 1e-3
"""Of a motion that is looked at."""
NUM_QUANTILES = 65
"""Angles that a mean frame is made of."""
_SMALL = 1e-5
"""What derivatives are taken over."""
_LEAST = 1e-12
"""Variance of what is known."""


class Belief(NamedTuple):
    """What is known of N sequences.

    Attributes:
        mean: [N, T, S], of the states.
        cov: [N, T, S, S].
        log_likelihood: [N], of what was observed.
    """

    mean: Array
    cov: Array
    log_likelihood: Array


class Motions(NamedTuple):
    """A mixture of beliefs for each sequence: M motions in all.

    Attributes:
        sequence: [M], the number of the sequence.
        weight: [M], those of a sequence add up to 1.
        belief: the `Belief` of each.
    """

    sequence: NDArray[np.intp]
    weight: Array
    belief: Belief


def smooth(
    step: Step,
    start: tuple[Array, Array],
    process_cov: Array,
    observed: Array,
    variance: Array,
    seen: NDArray[np.bool_],
    difference: Callable[[Array], Array] = lambda value: value,
    points: Array | None = None,
) -> Belief:
    """Filter forwards with the extended Kalman filter and smooth backwards, after Rauch, Tung and Striebel.

    Args:
        step: how states move, and the derivatives.
        start: mean [N, S] and covariance [N, S, S] of the first state.
        process_cov: [S, S], of the noise of a step.
        observed: [N, T], the first entry of the state with noise.
        variance: [N, T], of that noise.
        seen: [N, T], where it was observed.
        difference: what is made of the difference of two such entries; angles are wrapped.
        points: [N, T, S], states to take the derivatives at; None: the filtered means.

    Returns:
        The smoothed `Belief`, and the likelihood by the filter.
    """
    mean, cov = start
    num_sequences, num_steps = observed.shape
    size = mean.shape[-1]
    means, covs = np.empty((num_sequences, num_steps, size)), np.empty((num_sequences, num_steps, size, size))
    predicted_mean, predicted_cov, moves = np.empty_like(means), np.empty_like(covs), np.empty_like(covs)
    log_likelihood = np.zeros(num_sequences)
    for t in range(num_steps):
        predicted_mean[:, t], predicted_cov[:, t] = mean, cov
        innovation, expected = difference(observed[:, t] - mean[:, 0]), cov[:, 0, 0] + variance[:, t]
        log_density = -0.5 * (innovation**2 / expected + np.log(2 * np.pi * expected))
        log_likelihood += np.where(seen[:, t], log_density, 0)
        mean, cov = _updated(mean, cov, innovation, variance[:, t], seen[:, t])
        means[:, t], covs[:, t] = mean, cov
        point = mean if points is None else points[:, t]
        moved, moves[:, t] = step(point)
        mean = moved + np.einsum("nij,nj->ni", moves[:, t], mean - point)
        cov = moves[:, t] @ cov @ moves[:, t].swapaxes(1, 2) + process_cov
    for t in range(num_steps - 2, -1, -1):
        gain = np.linalg.solve(predicted_cov[:, t + 1], moves[:, t] @ covs[:, t]).swapaxes(1, 2)
        means[:, t] += np.einsum("nij,nj->ni", gain, means[:, t + 1] - predicted_mean[:, t + 1])
        covs[:, t] += gain @ (covs[:, t + 1] - predicted_cov[:, t + 1]) @ gain.swapaxes(1, 2)
    return Belief(means, covs, log_likelihood)


def _updated(
    mean: Array, cov: Array, innovation: Array, variance: Array, seen: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Return mean and covariance once an entry is observed, where it is, in Joseph's form."""
    gain = np.where(seen[:, None], cov[:, :, 0] / (cov[:, 0, 0] + variance)[:, None], 0.0)
    keep = np.broadcast_to(np.eye(mean.shape[-1]), cov.shape).copy()
    keep[:, :, 0] -= gain
    noise = variance[:, None, None] * gain[:, :, None] * gain[:, None, :]
    return mean + gain * innovation[:, None], keep @ cov @ keep.swapaxes(1, 2) + noise


class Frames:
    """What angle a frame is of, and what frame an angle gives.

    Lines end on whole pixels of what is drawn, so that all angles of some hundredths of a radian give the
    same frame: those are what it says of the angle.
    """

    def __init__(self, world: SwingingLine, num_angles: int = NUM_ANGLES):
        self.num_angles = num_angles
        angles = -np.pi + 2 * np.pi * np.arange(num_angles) / num_angles
        drawn = world.draw(angles)
        # Each frame once.
        flat = drawn.reshape(num_angles, -1)
        _, first, self._frame_of = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        self._frames = drawn[first]
        self._number = {frame.tobytes(): number for number, frame in enumerate(self._frames)}
        # Moments on the circle, about any angle of each frame.
        about = angles[first]
        deviation = wrapped(angles - about[self._frame_of])
        count = np.bincount(self._frame_of)
        mean = np.bincount(self._frame_of, deviation) / count
        square = np.bincount(self._frame_of, deviation**2) / count
        self._mean = wrapped(about + mean)
        self._variance = square - mean**2 + (2 * np.pi / num_angles) ** 2 / 12

    def read(self, images: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Return mean and variance [N] of the angles that frames [N, H, W] are of.

        A frame that no angle of those tried gives is taken for the one that is most like it.
        """
        numbers = np.array([self._number.get(image.tobytes(), -1) for image in images], int)
        for unknown in np.flatnonzero(numbers < 0):
            distance = (self._frames.astype(float) - images[unknown]) ** 2
            numbers[unknown] = distance.sum(axis=(1, 2)).argmin()
        return self._mean[numbers], self._variance[numbers]

    def mean_frame(self, mean: Array, variance: Array, num_quantiles: int = NUM_QUANTILES) -> Array:
        """Return the mean of the frames [N, H, W] in [0, 1] of angles that are normal, of moments [N]."""
        quantiles = ndtri((np.arange(num_quantiles) + 0.5) / num_quantiles)
        total = np.zeros((len(mean), *self._frames.shape[1:]))
        deviation = np.sqrt(np.maximum(variance, 0))
        for quantile in quantiles:
            share = (mean + quantile * deviation + np.pi) / (2 * np.pi)
            index = np.round(share * self.num_angles).astype(int) % self.num_angles
            total += self._frames[self._frame_of[index]]
        return total / (255 * num_quantiles)


@functools.cache
def known_frames() -> Frames:
    """Return the frames of the world of both tasks, which take seconds to draw."""
    return Frames(line())


def step_of(world: SwingingLine) -> Step:
    """Return how states [N, 2] move in a frame's time, with derivatives by central differences."""

    def step(states: Array) -> tuple[Array, Array]:
        shifts = _SMALL * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
        around = states[None] + shifts[:, None]
        theta, velocity = world.swing(around[..., 0] + np.pi, around[..., 1])
        moved = np.stack([theta - np.pi, velocity], axis=-1)
        slopes = np.stack([moved[1] - moved[2], moved[3] - moved[4]], axis=-1) / (2 * _SMALL)
        return moved[0], slopes

    return step


def starts(
    world: SwingingLine, angles: Array, seen: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], Array, Array]:
    """Return where each motion may begin: at rest, and where its first frame that is seen can come from.

    Args:
        world: the line.
        angles: [N, T], as frames say them.
        seen: [N, T].

    Returns:
        The number of the sequence [M], mean [M, 2] and covariance [M, 2, 2] of the first state.
    """
    first = seen.argmax(axis=1)
    early, late = np.flatnonzero(first <= EARLY), np.flatnonzero(first > EARLY)
    around = np.linspace(0, 2 * np.pi, NUM_STARTS, endpoint=False)
    theta, velocity = around, np.zeros_like(around)
    begun = np.zeros(len(first))
    for t in range(EARLY + 1):
        of_step = np.flatnonzero(first == t)
        distance = np.abs(wrapped(theta - np.pi - angles[of_step, t][:, None]))
        begun[of_step] = around[distance.argmin(axis=1)] - np.pi
        theta, velocity = world.swing(theta, velocity)
    spacing = 2 * np.pi / NUM_MOTIONS
    sequence = np.concatenate([early, np.repeat(late, NUM_MOTIONS)])
    angle = np.concatenate([begun[early], np.tile(spacing * np.arange(NUM_MOTIONS) - np.pi, len(late))])
    deviation = np.where(first[sequence] > EARLY, spacing, START_STD)
    cov = deviation[:, None, None] ** 2 * np.diag([1.0, 0.0]) + np.diag([0.0, _LEAST])
    return sequence, np.stack([angle, np.zeros_like(angle)], axis=1), cov


def observe(split: Split, num_passes: int = 2, frames: Frames | None = None) -> Motions:
    """Return what is to be known of the states of sequences from those frames that are seen.

    Args:
        split: the sequences.
        num_passes: of the smoother: from the second on derivatives are taken where the pass before ended.
        frames: what frames say of angles; None: `known_frames`.
    """
    world = line()
    frames = frames or known_frames()
    angles, variance = np.zeros(split.seen.shape), np.ones(split.seen.shape)
    angles[split.seen], variance[split.seen] = frames.read(split.images[split.seen])
    sequence, *start = starts(world, angles, split.seen)
    noise = np.diag([_LEAST, world.parameters["velocity_noise"] ** 2])
    given = (noise, angles[sequence], variance[sequence], split.seen[sequence], wrapped)
    found = smooth(step_of(world), (start[0], start[1]), *given)
    for _ in range(num_passes - 1):
        found = smooth(step_of(world), (start[0], start[1]), *given, points=found.mean)
    best = np.full(len(split.seen), -np.inf)
    np.maximum.at(best, sequence, found.log_likelihood)
    weight = np.exp(found.log_likelihood - best[sequence])
    return Motions(sequence, weight / np.bincount(sequence, weight)[sequence], found)


def fill(split: Split, num_passes: int = 2) -> NDArray[np.float32]:
    """Return the observer's mean of every frame, [N, T, H, W] in [0, 1]; one that is seen is what it is."""
    frames = known_frames()
    found = observe(split, num_passes, frames)
    filled = split.images.astype(np.float32) / 255
    filled[~split.seen] = 0
    for number, weight, mean, cov in zip(found.sequence, found.weight, *found.belief[:2], strict=True):
        if weight > LEAST_WEIGHT:
            hidden = ~split.seen[number]
            filled[number, hidden] += weight * frames.mean_frame(mean[hidden, 0], cov[hidden, 0, 0])
    return filled
