"""The simulated worlds, by name."""

import difflib
from collections.abc import Callable

from simulation.worlds.base import Quantity, Sequences, World
from simulation.worlds.box import box, box_gravity

__all__ = ["Quantity", "Sequences", "World", "make_world", "world_names"]

_WORLDS: dict[str, Callable[[], World]] = {"box": box, "box_gravity": box_gravity}


def world_names() -> tuple[str, ...]:
    """Names that `make_world` knows."""
    return tuple(_WORLDS)


def make_world(name: str) -> World:
    """Make the world called `name`.

    Raises:
        ValueError: if there is no such world.
    """
    if name not in _WORLDS:
        close = difflib.get_close_matches(str(name), _WORLDS, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown world {name!r}.{suggestion} The worlds are: {', '.join(_WORLDS)}.")
    return _WORLDS[name]()
