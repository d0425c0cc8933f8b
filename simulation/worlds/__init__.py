"""The simulated worlds, by name."""

import difflib
from collections.abc import Callable
from typing import Any

from simulation.worlds.ball import OPTIONS as BALL_OPTIONS
from simulation.worlds.base import Quantity, Sequences, World
from simulation.worlds.box import box, box_gravity
from simulation.worlds.pendulum import OPTIONS as PENDULUM_OPTIONS
from simulation.worlds.pendulum import pendulum
from simulation.worlds.polygon import polygon
from simulation.worlds.pong import pong

__all__ = ["Quantity", "Sequences", "World", "make_world", "option_names", "world_names"]

# What makes each world, from its options, and their names.
_WORLDS: dict[str, tuple[Callable[..., World], tuple[str, ...]]] = {
    "box": (box, BALL_OPTIONS),
    "box_gravity": (box_gravity, BALL_OPTIONS),
    "polygon": (polygon, ("vertices", *BALL_OPTIONS)),
    "pong": (pong, BALL_OPTIONS),
    "pendulum": (pendulum, PENDULUM_OPTIONS),
}


def world_names() -> tuple[str, ...]:
    """Names that `make_world` knows."""
    return tuple(_WORLDS)


def option_names() -> tuple[str, ...]:
    """Names of all that can be different in some world, in `make_world`."""
    return tuple(dict.fromkeys(option for _, options in _WORLDS.values() for option in options))


def make_world(name: str, **options: Any) -> World:
    """Make the world called `name`.

    Args:
        name: one of `world_names`.
        options: what is to be different from the world as it is. The ball worlds take num_balls,
            resolution (pixels along a side), greyscale, colours, friction, damping, contacts and substeps,
            see `BallParameters`; polygon takes vertices too; pendulum takes resolution alone.

    Raises:
        ValueError: if there is no such world, it has no such option, or it cannot be made so.
    """
    if name not in _WORLDS:
        close = difflib.get_close_matches(str(name), _WORLDS, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown world {name!r}.{suggestion} The worlds are: {', '.join(_WORLDS)}.")
    make, known = _WORLDS[name]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"World {name!r} has no option {unknown[0]!r}. Its options: {', '.join(known)}.")
    return make(**options)
