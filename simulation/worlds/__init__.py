"""The simulated worlds, by name; each registers itself in its own file, see `simulation.worlds.registry`."""

from .base import PhysicsWorld, Quantity, Sequences, World
from .registry import make_world, option_names, register, trust, world_names

# In the order in which messages name them.
# isort: off
from . import box, polygon, pong, pendulum, swinging_line, environment  # noqa: F401

# isort: on

__all__ = [
    "PhysicsWorld",
    "Quantity",
    "Sequences",
    "World",
    "make_world",
    "option_names",
    "register",
    "trust",
    "world_names",
]
