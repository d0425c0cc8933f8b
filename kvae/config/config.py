"""All options in one, and where they start: for a world, for videos of one's own."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kvae.config.all_options import AllOptions
from kvae.config.datasets import IN_MEMORY, is_environment, is_own_videos, is_own_world
from kvae.config.options import ModelOptions
from kvae.config.presets import WORLD_PRESETS
from kvae.config.rules import ConfigError
from kvae.config.size import for_pixels, for_sequences
from kvae.config.start import check_world, preset_options
from kvae.data.dataset import Dataset
from kvae.videos import memory

_OF_RUNS = ("resume", "reload_model", "init_model")
"""Options that start from those of another run."""


@dataclass(frozen=True)
class Config(AllOptions):
    """The options of the KVAE, named as in the original code of Fraccaro et al. (NIPS 2017).

    The original's `ll_keep_prob` is left out: its dropout never ran in training mode. What is not given has
    its default here; `for_world` and `for_videos` start where the commands do.

    Examples:
        >>> Config(dataset="box_gravity", K=5).dim_a
        2

    Raises:
        ConfigError: an option is out of bounds, or two do not go together.
    """

    @classmethod
    def for_world(cls, world: str, videos: Any = None, mask: Any = None, **options: Any) -> Self:
        """Return what the command starts from in a world, with the options that are given.

        Args:
            world: its name; or gym:ID of an environment, or MODULE:NAME of a world of your own.
            videos: what will be learned from, [N, T, H, W]: how long a training is goes by their number, as
                of the command. None: by the number that the world has by itself.
            mask: of the videos, [N, T], as `kvae.train` takes it.
            options: what is to be as it is given, whatever follows from the world or from the videos.

        Raises:
            ConfigError: there is no such world, or an option cannot work.

        Examples:
            >>> config = Config.for_world("box", batch_size=8)
            >>> config.K, config.batch_size, config.num_epochs
            (9, 8, 15)
        """
        if not (world in WORLD_PRESETS or is_environment(world) or is_own_world(world)):
            close = difflib.get_close_matches(world, WORLD_PRESETS, n=1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            other = " Options for videos of your own: Config.for_videos(videos)." * is_own_videos(world)
            raise ConfigError(
                f"There is no world {world!r}.{meant}{other} The worlds are: {', '.join(WORLD_PRESETS)}, "
                "gym:ID of an environment, and MODULE:NAME of your own"
            )
        config = cls._starting({"dataset": world}, options)
        check_world(config, options)
        if videos is None:
            return config
        return config._for_data(memory.dataset_of(videos, mask), options)

    @classmethod
    def for_videos(cls, videos: Any, mask: Any = None, **options: Any) -> Self:
        """Return what the command starts from with videos like these, and the options that are given.

        How long a training is goes by their number, what learns the dynamics by the number of frames, what a
        pixel is by whether every one is black or white.

        Args:
            videos: what will be learned from, as `kvae.train` takes it.
            mask: of the videos, likewise.
            options: what is to be as it is given, whatever follows from the videos.

        Raises:
            ConfigError: an option cannot work, or contradicts the videos.
            UserError: there can be no such videos.

        Examples:
            >>> import numpy as np
            >>> videos = np.zeros([40, 20, 16, 16], np.uint8)
            >>> config = Config.for_videos(videos, dim_a=1)
            >>> config.dim_a, config.out_distr, config.num_epochs
            (1, 'bernoulli', 1360)
        """
        found = {"dataset": IN_MEMORY} | memory.sizes_of(videos, AllOptions.timesteps)
        if not is_own_videos(str(options.get("dataset", IN_MEMORY))):
            raise ConfigError(
                f"dataset={options['dataset']!r} is none of videos of your own: Config.for_world"
                f"({options['dataset']!r}, videos) has the options of a world"
            )
        config = cls._starting(found, options)
        check_arrays(config, found["frame_size"], "frame_size" in options)
        # What is left out is told where it is learned from.
        data = memory.dataset_of(
            videos, mask, None, config.timesteps, config.stride, report=lambda words: None
        )
        return config._for_data(data, options)

    @classmethod
    def _starting(cls, found: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """Return what a preset makes of the options that are found, and of those that are given."""
        for name in _OF_RUNS:
            if options.get(name):
                raise ConfigError(
                    f"{name}={options[name]!r} starts from the options of that run: "
                    f"dataclasses.replace(kvae.load({options[name]!r}).config, ...) has them"
                )
        known = {**found, **options}
        start = preset_options(str(known.get("preset", "")), str(known["dataset"]), known)
        return cls.from_dict({**start, **known})

    def _for_data(self, data: Dataset, given: Mapping[str, Any]) -> Self:
        """Return the options with what follows from the data, where that was not given."""
        config = for_sequences(self, data.shape[0], data.shape[1], given)
        return for_pixels(config, data.is_two_valued, given)


def check_arrays(config: AllOptions, sides: Sequence[int], is_given: bool) -> None:
    """Raise ConfigError where options of own videos in files would be ignored for videos in memory.

    Args:
        config: the options.
        sides: height and width of the frames.
        is_given: whether config.frame_size was asked for.
    """
    height, width = config.frame_size[0], config.frame_size[-1]
    if is_given and (height, width) != tuple(sides):
        raise ConfigError(
            f"frame_size={config.frame_size!r}, but the frames that are given are {sides[0]}x{sides[1]}, and "
            "stay so: leave frame_size out, or resize them"
        )
    if config.rate:
        raise ConfigError(f"rate={config.rate!r} has no effect on arrays, whose frames have no times")


def as_config(options: ModelOptions | None) -> Config:
    """Return options of a model with those of the other groups at their defaults.

    Args:
        options: a `Config`, which is returned as it is; or the options of a model alone; or None, for the
            defaults of all.
    """
    if isinstance(options, Config):
        return options
    return Config(**dataclasses.asdict(options)) if options else Config()
