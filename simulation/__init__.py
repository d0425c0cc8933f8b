"""Videos of simulated worlds, and the dataset files that hold them.

This package knows nothing of TensorFlow: what it makes reaches a model through a dataset file.
"""

import os

# pygame reads both when it is imported: there is no screen to draw on, and its greeting would
# stand between a command and its output.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

from simulation.worlds import Sequences, make_world, world_names

__all__ = ["Sequences", "make_world", "world_names"]
