"""What options say of a dataset: whether it is one's own videos, its name in titles, how videos are cut."""

import os

from kvae.config.config import Config
from kvae.config.presets import WORLD_PRESETS
from kvae.videos.dataset import Cut
from kvae.videos.frames import EITHER, Look
from kvae.videos.sources import looks_like_path, short_name


def is_own_videos(dataset: str) -> bool:
    """Return whether a dataset is a path to videos, and not the name of a world."""
    return looks_like_path(dataset) or (dataset not in WORLD_PRESETS and os.path.exists(dataset))


def dataset_name(dataset: str) -> str:
    """Return what titles call a dataset: the name of a world, or the last part of a path."""
    return short_name(dataset) if is_own_videos(dataset) else dataset


def cut_of(config: Config) -> Cut:
    """Return how the options of a run cut its videos."""
    height, width = config.frame_size if len(config.frame_size) == 2 else 2 * config.frame_size
    channels = EITHER if config.channels == "auto" else config.channels
    look = Look(height, width, config.out_distr == "bernoulli", channels)
    return Cut(look, config.timesteps, config.stride or config.timesteps, config.rate)
