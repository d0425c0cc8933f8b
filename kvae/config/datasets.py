"""What options say of a dataset: whether it is one's own videos, its name in titles, how videos are cut."""

import os
import re
from typing import Any

from kvae.config.all_options import AllOptions
from kvae.config.presets import WORLD_PRESETS
from kvae.videos.dataset import Cut
from kvae.videos.frames import EITHER, Look
from kvae.videos.sources import looks_like_path, short_name

ENVIRONMENT = "gym:"
"""What the name of an environment of Gymnasium begins with, as in gym:Pendulum-v1."""

IN_MEMORY = "videos_in_memory"
"""The dataset of own videos that lie in no file, see `Config.for_videos`."""

_OWN_WORLD = re.compile(r"[A-Za-z_]\w*(\.\w+)*:\w+")
"""MODULE:NAME."""


def is_environment(dataset: str) -> bool:
    """Return whether a dataset is an environment's recording."""
    return dataset.startswith(ENVIRONMENT)


def is_own_world(dataset: str) -> bool:
    """Return whether a dataset is a world of somebody's own, MODULE:NAME."""
    is_named_so = _OWN_WORLD.fullmatch(dataset) is not None
    return is_named_so and not is_environment(dataset) and not os.path.exists(dataset)


def is_own_videos(dataset: str) -> bool:
    """Return whether a dataset is a path to videos, or those in memory, and not the name of a world."""
    if dataset == IN_MEMORY:
        return True
    if is_environment(dataset) or is_own_world(dataset):
        return False
    return looks_like_path(dataset) or (dataset not in WORLD_PRESETS and os.path.exists(dataset))


def dataset_name(dataset: str) -> str:
    """Return what titles call a dataset: the name of a world, or the last part of a path."""
    return short_name(dataset) if is_own_videos(dataset) else dataset


def environment_options(config: AllOptions) -> tuple[dict[str, Any], int | None]:
    """Return what the options of a run ask of an environment's recording: its options, and its frames.

    What has its default is not asked for: files that are there may have it otherwise.
    """
    asked: dict[str, Any] = {}
    if config.frame_size != AllOptions.frame_size:
        asked["frame_size"] = [config.frame_size[0], config.frame_size[-1]]
    if config.channels == 3:
        asked["channels"] = 3
    elif config.is_binary:
        asked["greyscale"] = False
    return asked, config.timesteps if config.timesteps != AllOptions.timesteps else None


def cut_of(config: AllOptions) -> Cut:
    """Return how the options of a run cut its videos."""
    height, width = config.frame_size if len(config.frame_size) == 2 else 2 * config.frame_size
    channels = EITHER if config.channels == "auto" else config.channels
    look = Look(height, width, config.is_binary, channels)
    return Cut(look, config.timesteps, config.stride or config.timesteps, config.rate)
