"""Balls in a square box, with and without gravity."""

from typing import Any

from .ball import OPTIONS, BallParameters, BallWorld, ball_world, closed_path
from .registry import register

_SQUARE = ((2.0, 2.0), (2.0, 30.0), (30.0, 30.0), (30.0, 2.0))


@register("box", OPTIONS)
def box(**options: Any) -> BallWorld:
    """Make the box without gravity, in which a ball keeps its speed."""
    parameters = BallParameters(
        walls=closed_path(_SQUARE), room=_SQUARE, gravity=(0.0, 0.0), start_std=10.0, speed_range=(10.0, 15.0)
    )
    return ball_world("box", parameters, options, BallWorld)


@register("box_gravity", OPTIONS)
def box_gravity(**options: Any) -> BallWorld:
    """Make the box in which a ball falls.

    As in the original simulator, about one sequence in a hundred loses its ball: one that falls
    further in a step than its radius can end up on the far side of the floor.
    """
    parameters = BallParameters(
        walls=closed_path(_SQUARE), room=_SQUARE, gravity=(0.0, -5.0), start_std=8.0, speed_range=(5.0, 10.0)
    )
    return ball_world("box_gravity", parameters, options, BallWorld)
