"""When a ball bounced, as the true states of a world tell: what a model's mixture may be held against."""

import numpy as np
from numpy.typing import NDArray

BALL_WORLDS = ("box", "box_gravity", "polygon", "pong")
"""Worlds whose states begin with place and velocity of a ball: x, y, vx, vy."""
LEAST = 0.25
"""Change of velocity, as a share of the speed, beyond the usual one, which is gravity's."""


def bounces(states: NDArray | None, world: str) -> NDArray | None:
    """Return where the velocity of a ball jumps: [N, T] bool, True at the first step after a bounce.

    Args:
        states: [N, T, S], the true ones, as in a dataset file.
        world: the name of the world.

    Returns:
        The steps; None where the states are not known, or are not those of a ball.
    """
    if states is None or world not in BALL_WORLDS or states.shape[-1] < 4:
        return None
    velocity = states[..., 2:4].astype(np.float64)
    change = np.diff(velocity, axis=1)
    # Most steps are free flight.
    change -= np.median(change, axis=(0, 1))
    speed = np.linalg.norm(velocity[:, :-1], axis=-1)
    jumps = np.linalg.norm(change, axis=-1) > LEAST * speed
    return np.pad(jumps, [(0, 0), (1, 0)])
