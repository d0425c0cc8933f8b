"""What follows from the data, where it was not given: how long a training is, and what learns the dynamics.

Imports no TensorFlow.
"""

import dataclasses
import math
from collections.abc import Collection
from typing import Any, TypeVar

from kvae.config.all_options import AllOptions
from kvae.config.datasets import is_own_videos
from kvae.config.options import SEARCHED, names_of_search
from kvae.config.presets import OWN_VIDEOS, PRESETS, WORLD_SEQUENCES
from kvae.config.rules import ConfigError
from kvae.config.start import preset_options

Options = TypeVar("Options", bound=AllOptions)

SEQUENCES_OF_ONES_OWN = 540
"""What the epochs of `OWN_VIDEOS` are meant for."""
FEW_FRAMES, FEWEST_FRAMES = 20_000, 8_000
"""Of fewer the last phase hides frames; of still fewer an MLP learns the mixture: results/few_videos.md."""
FEW = {"refine_miss_prob": 0.4}
"""What is better for the dynamics of fewer than `FEW_FRAMES`."""
FEWEST = {"alpha_rnn": False, "alpha_units": 50, "fifo_size": 2}
"""And of fewer than `FEWEST_FRAMES`."""
OF_PIXELS = (
    *("out_distr", "grey_targets", "likelihood"),
    *("learn_pixel_var", "pixel_var_from_errors", "noise_pixel_var"),
)
"""What a pixel is."""
REFINE_BATCH = 64
"""Sequences in a batch of the last phase."""
REFINE_UPDATES = 4000
"""Updates that the last phase makes at least, if there is one."""
LEAST_EPOCHS = 15
"""In which the learning rate can fall step by step."""


def for_sequences(config: Options, num_sequences: int, num_steps: int, given: Collection[str]) -> Options:
    """Return the options of a new run with what follows from its data, where that was not given.

    As many updates are made whatever the number of sequences, but no fewer epochs than `LEAST_EPOCHS`. The
    learning rate falls as often, the first phases are as large a part of the whole, and there are as many
    lines of progress and sets of films. Where sequences have too few frames for those that imputation is
    given and those hidden, a fifth is given, and three fifths are hidden.

    An LSTM learns the weights of the mixture by heart where frames are few. So the last phase hides some, of
    fewer than `FEW_FRAMES`; and of fewer than `FEWEST_FRAMES` an MLP of the last two codes, which tell place
    and velocity, takes the LSTM's place.

    Of a search for all options of the dynamics those are left that were not given.

    Args:
        config: the options, those of the dataset's preset where none are given.
        num_sequences: N, those that are held out included.
        num_steps: T, frames of a sequence.
        given: names of the options that were given explicitly, which stay as they are.

    Raises:
        ConfigError: an option was given that is to be searched.

    Examples:
        >>> of_100 = for_sequences(AllOptions(dataset="my.npz", num_epochs=120, batch_size=16), 100, 20, ())
        >>> of_100.num_epochs, of_100.decay_steps
        (583, 39)
    """
    changes = _masks(config, num_steps, given) | _search(config, given)
    if config.preset not in ("none", "original"):
        changes |= _epochs(config, num_sequences, given)
        changes |= _dynamics(config, num_sequences * num_steps, given)
    return dataclasses.replace(config, **changes)


def for_pixels(config: Options, is_two_valued: bool, given: Collection[str]) -> Options:
    """Return the options of a new run with pixels of 0 and 1 where own videos hold nothing else.

    Args:
        config: the options, those of the dataset's preset where none are given.
        is_two_valued: whether every pixel is black or white.
        given: names of the options that were given explicitly, which stay as they are.
    """
    usual = {name: getattr(AllOptions, name) for name in OF_PIXELS}
    starts_grey = all(getattr(config, name) == OWN_VIDEOS.get(name, usual[name]) for name in OF_PIXELS)
    if not is_two_valued or not starts_grey or {*OF_PIXELS} & {*given} or not is_own_videos(config.dataset):
        return config
    return dataclasses.replace(config, **usual)


def in_words(before: AllOptions, after: AllOptions, num_sequences: int) -> list[str]:
    """Return lines that say what followed from the data.

    Args:
        before: the options as they were.
        after: what `for_sequences` and `for_pixels` made of them.
        num_sequences: N.
    """
    lines, count = [], f"{num_sequences:,} sequences"
    if after.num_epochs != before.num_epochs:
        lines.append(f"{count}: {after.num_epochs} epochs, as --num_epochs was not given")
    if after.refine_miss_prob != before.refine_miss_prob:
        hidden = f"--refine_miss_prob {after.refine_miss_prob:g}"
        lines.append(f"{count} are few: the last phase hides frames, {hidden}")
    if after.alpha_rnn != before.alpha_rnn:
        lines.append(
            f"{count} are very few: an MLP of the last two codes learns the mixture, --alpha_rnn False"
        )
    if after.out_distr != before.out_distr:
        lines.append(f"Every pixel is black or white: --out_distr {after.out_distr}, as no other was given")
    return lines


def _masks(config: AllOptions, num_steps: int, given: Collection[str]) -> dict[str, Any]:
    """Return how many frames are shown and hidden, where as many as usual are not there."""
    if {"t_init_mask", "t_steps_mask"} & set(given) or config.t_init_mask + config.t_steps_mask <= num_steps:
        return {}
    return {"t_init_mask": max(1, num_steps // 5), "t_steps_mask": max(1, 3 * num_steps // 5)}


def _search(config: AllOptions, given: Collection[str]) -> dict[str, Any]:
    """Return what is to be searched, one by one: of all what was not given.

    Raises:
        ConfigError: an option was given that is to be searched.
    """
    are_given = {
        name: min((option for option in given if _is_of(option, name)), default="") for name in SEARCHED
    }
    if config.alpha_network:
        are_given["alpha"] = "alpha_network"
    if config.search == "all":
        return {"search": ",".join(name for name, option in are_given.items() if not option)}
    for name in names_of_search(config.search):
        if are_given[name]:
            raise ConfigError(f"--{are_given[name]} is given, so that --search has no {name} to choose")
    return {}


def _is_of(option: str, name: str) -> bool:
    """Return whether an option is one of those that a search chooses under a name."""
    return option.startswith("alpha_") or option == "fifo_size" if name == "alpha" else option == name


def _dynamics(config: AllOptions, num_frames: int, given: Collection[str]) -> dict[str, Any]:
    """Return what is better for few frames; nothing of alpha where anything of it was given."""
    changes: dict[str, Any] = {}
    if num_frames < FEW_FRAMES and config.refine_epochs and "refine_miss_prob" not in given:
        changes |= FEW
    is_given = any(_is_of(name, "alpha") for name in given)
    if (
        num_frames < FEWEST_FRAMES
        and config.model == "kvae"
        and config.alpha_rnn
        and not (is_given or config.alpha_network)
    ):
        changes |= FEWEST
    return changes


def _epochs(config: AllOptions, num_sequences: int, given: Collection[str]) -> dict[str, Any]:
    """Return the options that count epochs, of those that were not given."""
    usual = AllOptions(**preset_options(config.preset, config.dataset))
    whole = usual.num_epochs
    if "num_epochs" in given:
        epochs = config.num_epochs
    else:
        meant_for = WORLD_SEQUENCES.get(config.dataset, SEQUENCES_OF_ONES_OWN)
        if config.dataset in WORLD_SEQUENCES and "num_epochs" in PRESETS.get(config.preset, {}):
            # Those of a preset for all worlds, which is none of a small one.
            meant_for = max(WORLD_SEQUENCES.values())
        updates = whole * math.ceil(meant_for / usual.batch_size)
        least = min(whole, LEAST_EPOCHS)
        epochs = max(least, round(updates / math.ceil(num_sequences / config.batch_size)))
    share = epochs / whole
    counted = {
        "num_epochs": epochs,
        "decay_steps": max(1, round(usual.decay_steps * share)),
        "kf_update_steps": max(1, round(usual.kf_update_steps * share)),
        "display_step": max(1, round(usual.display_step * share)),
        # Not more often: they take their time.
        "generate_step": max(usual.generate_step, round(usual.generate_step * share)),
    }
    # A rival may have no last phase.
    if config.refine_epochs:
        steps = math.ceil(num_sequences / REFINE_BATCH)
        counted["refine_epochs"] = max(usual.refine_epochs, round(REFINE_UPDATES / steps))
    return {name: value for name, value in counted.items() if name not in given}
