"""How long a training is, by how many sequences it learns from. Imports no TensorFlow."""

import dataclasses
import math
from collections.abc import Collection
from typing import Any

from kvae.config.config import Config
from kvae.config.presets import WORLD_PRESETS
from kvae.config.start import preset_options

SEQUENCES_OF_A_WORLD = 5000
"""What the epochs of `WORLD_PRESETS` are meant for."""
SEQUENCES_OF_ONES_OWN = 540
"""What the epochs of `OWN_VIDEOS` are meant for."""
LEAST_EPOCHS = 15
"""In which the learning rate can fall step by step."""


def for_sequences(config: Config, num_sequences: int, num_steps: int, given: Collection[str]) -> Config:
    """Return the options of a new run with the length of its training, where that was not given.

    As many updates are made whatever the number of sequences, but no fewer epochs than `LEAST_EPOCHS`. The
    learning rate falls as often, the first phases are as large a part of the whole, and there are as many
    lines of progress and sets of films. Where sequences have too few frames for those that imputation is
    given and those hidden, a fifth is given, and three fifths are hidden.

    Args:
        config: the options, those of the dataset's preset where none are given.
        num_sequences: N, those that are held out included.
        num_steps: T, frames of a sequence.
        given: names of the options that were given explicitly, which stay as they are.

    Example:
        >>> of_100 = for_sequences(Config(dataset="my.npz", num_epochs=120, batch_size=16), 100, 20, ())
        >>> of_100.num_epochs, of_100.decay_steps
        (583, 39)
    """
    changes = _masks(config, num_steps, given)
    if config.preset not in ("none", "original"):
        changes |= _epochs(config, num_sequences, given)
    return dataclasses.replace(config, **changes)


def _masks(config: Config, num_steps: int, given: Collection[str]) -> dict[str, Any]:
    """Return how many frames are shown and hidden, where as many as usual are not there."""
    if {"t_init_mask", "t_steps_mask"} & set(given) or config.t_init_mask + config.t_steps_mask <= num_steps:
        return {}
    return {"t_init_mask": max(1, num_steps // 5), "t_steps_mask": max(1, 3 * num_steps // 5)}


def _epochs(config: Config, num_sequences: int, given: Collection[str]) -> dict[str, Any]:
    """Return the options that count epochs, of those that were not given."""
    usual = Config(**preset_options(config.preset, config.dataset))
    whole = usual.num_epochs
    if "num_epochs" in given:
        epochs = config.num_epochs
    else:
        is_world = config.dataset in WORLD_PRESETS
        meant_for = SEQUENCES_OF_A_WORLD if is_world else SEQUENCES_OF_ONES_OWN
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
    return {name: value for name, value in counted.items() if name not in given}
