"""Videos of simulated worlds, and the dataset files that hold them.

This package knows nothing of TensorFlow: what it makes reaches a model through a dataset file.

It is `simulation` in the repository and `kvae.simulation` where kvae is installed, as its own name is a word
that others use too; so what is in it imports its neighbours relatively.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

# pygame reads both when it is imported: there is no screen to draw on, and its greeting would
# stand between a command and its output.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

if TYPE_CHECKING:
    from .worlds import Sequences, make_world, register, trust, world_names

__all__ = ["Sequences", "make_world", "register", "trust", "world_names"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: pygame and pymunk take half a second, in which a command is interrupted.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.worlds"), name)
