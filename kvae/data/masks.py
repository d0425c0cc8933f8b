"""Observation masks: [N, T], 1 = the frame is observed, 0 = it is missing."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kvae import arguments

DROP_PROBABILITIES = tuple(round(0.1 * i, 1) for i in range(1, 11))


def both(first: NDArray | None, second: NDArray | None) -> NDArray[np.float32] | None:
    """Return the mask [N, T] of what both show, 1 = observed; None hides nothing."""
    if first is None or second is None:
        return second if first is None else first
    return (first * second).astype(np.float32)


def planning_mask(num_sequences: int, num_steps: int, num_given: int, num_hidden: int) -> NDArray[np.float32]:
    """Hide `num_hidden` frames after the first `num_given`: [num_sequences, num_steps], 1 = observed.

    Raises:
        ArgumentError: a number is no whole number, or negative.

    Examples:
        >>> planning_mask(num_sequences=1, num_steps=6, num_given=2, num_hidden=3)
        array([[1., 1., 0., 0., 0., 1.]], dtype=float32)
    """
    sizes = (("num_sequences", num_sequences), ("num_steps", num_steps))
    num_sequences, num_steps = (arguments.count(size, name) for name, size in sizes)
    num_given, num_hidden = arguments.count(num_given, "num_given"), arguments.count(num_hidden, "num_hidden")
    mask = np.ones([num_sequences, num_steps], np.float32)
    mask[:, num_given : num_given + num_hidden] = 0
    return mask


def random_mask(
    num_sequences: int, num_steps: int, num_given: int, probability: float, seed: int | Sequence[int]
) -> NDArray[np.float32]:
    """Hide each frame after the first `num_given` with a probability.

    Args:
        num_sequences: N.
        num_steps: T.
        num_given: first frames that are never hidden.
        probability: of hiding a frame.
        seed: what `numpy.random.default_rng` takes.

    Returns:
        [N, T] float32, 1 = observed.

    Raises:
        ArgumentError: a number is no whole number or negative, or the probability is none.

    Examples:
        >>> random_mask(num_sequences=1, num_steps=4, num_given=2, probability=1.0, seed=0)
        array([[1., 1., 0., 0.]], dtype=float32)
    """
    sizes = (("num_sequences", num_sequences), ("num_steps", num_steps), ("num_given", num_given))
    num_sequences, num_steps, num_given = (arguments.count(size, name) for name, size in sizes)
    probability = arguments.probability(probability, "probability")
    hidden = np.random.default_rng(seed).random([num_sequences, num_steps]) < probability
    hidden[:, :num_given] = False
    return 1.0 - hidden.astype(np.float32)


def masks_of_curve(
    kind: str, num_sequences: int, num_steps: int, num_given: int, seed: int = 0
) -> list[tuple[float, NDArray[np.float32]]]:
    """Return the masks of a curve of errors, with where they stand on its axis.

    Args:
        kind: `planning`: 1, 3, 5, .. frames are hidden after the given ones; `random`: each frame is, with
            the probability 0.1 .. 1.
        num_sequences: N.
        num_steps: T.
        num_given: first frames that are never hidden.
        seed: what random masks are drawn from.

    Returns:
        A list of (x, [N, T]), 1 = observed.
    """
    if kind == "planning":
        hidden = range(1, num_steps - num_given, 2)
        return [(count, planning_mask(num_sequences, num_steps, num_given, count)) for count in hidden]
    return [
        (p, random_mask(num_sequences, num_steps, num_given, p, [seed, i]))
        for i, p in enumerate(DROP_PROBABILITIES)
    ]


def hidden_steps(observed: ArrayLike | None, num_sequences: int, num_steps: int) -> NDArray[np.bool_]:
    """Return the inverse of a mask, as pictures need it.

    Args:
        observed: [N, T_mask], 1 where the model saw the frame; steps after the mask's end count as
            hidden. None: nothing is hidden.
        num_sequences: N.
        num_steps: T.

    Returns:
        [N, T] bool, True where the model did not see the frame.

    Raises:
        ValueError: the mask is not one of N sequences.
    """
    if observed is None:
        return np.zeros((num_sequences, num_steps), bool)
    observed = np.asarray(observed)
    if observed.ndim != 2 or observed.shape[0] != num_sequences:
        raise ValueError(
            f"observed must have shape [N, T_mask] with N = {num_sequences}. "
            f"Received: shape {observed.shape}."
        )
    hidden = np.ones((num_sequences, num_steps), bool)
    observed = observed[:, :num_steps]
    hidden[:, : observed.shape[1]] = observed == 0
    return hidden
