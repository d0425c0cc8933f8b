"""A ball in a square box, with and without gravity."""

from simulation.worlds.ball import BallParameters, BallWorld

_SQUARE = ((2.0, 2.0), (2.0, 30.0), (30.0, 30.0), (30.0, 2.0))


def box() -> BallWorld:
    """Make the box without gravity, in which the ball keeps its speed."""
    parameters = BallParameters(
        wall_corners=_SQUARE, gravity=(0.0, 0.0), start_std=10.0, speed_range=(10.0, 15.0)
    )
    return BallWorld("box", parameters)


def box_gravity() -> BallWorld:
    """Make the box in which the ball falls.

    As in the original simulator, about one sequence in a hundred loses its ball: one that falls
    further in a step than its radius can end up on the far side of the floor.
    """
    parameters = BallParameters(
        wall_corners=_SQUARE, gravity=(0.0, -5.0), start_std=8.0, speed_range=(5.0, 10.0)
    )
    return BallWorld("box_gravity", parameters)
