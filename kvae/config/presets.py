"""What run_kvae.py starts from: named sets of options, and those of each world. Imports no TensorFlow."""

import os
from collections.abc import Mapping
from typing import Any

from kvae.videos.sources import looks_like_path, short_name

PRESETS: dict[str, dict[str, Any]] = {
    "original": {
        "kf_elbo": "sampled",
        "shuffle": False,
        "precision": "float32",
        "evaluate_on_samples": True,
    },
    "quick": {
        "batch_size": 16,
        "num_epochs": 13,
        "decay_steps": 1,
        "decay_rate": 0.78,
        "kf_update_steps": 2,
        "refine_epochs": 0,
    },
    "none": {},
}

_FALLING_RATE = {
    "batch_size": 16,
    "num_epochs": 15,
    "decay_steps": 1,
    "decay_rate": 0.8,
    "kf_update_steps": 2,
}
"""Many small steps, with a learning rate that falls in every epoch: better, in less time."""

_SWITCHING = {"K": 9, "alpha_units": 100, "learn_noise": True, "learn_offset": True, "refine_epochs": 100}
"""A model for every way to bounce, nearly exact in between; see results/ablation.md."""

WORLD_PRESETS: dict[str, dict[str, Any]] = {
    "box": _SWITCHING | _FALLING_RATE,
    "box_gravity": _SWITCHING | _FALLING_RATE,
    "polygon": _SWITCHING | _FALLING_RATE,
    # The paddles lag behind the ball, and need codes of their own.
    "pong": {"dim_a": 4, "dim_z": 8} | _SWITCHING | _FALLING_RATE,
    "pendulum": {
        "out_distr": "gaussian",
        "learn_pixel_var": True,
        # From 0.1 the variances fall so slowly that the codes may be given up before they are worth anything.
        "noise_pixel_var": 0.01,
        "K": 10,
        "num_epochs": 150,
        "decay_steps": 10,
        "t_steps_mask": 8,
    },
}
"""What works for a world, where that is not the defaults: run_kvae.py starts from it."""


OWN_VIDEOS: dict[str, Any] = (
    _SWITCHING
    | _FALLING_RATE
    # As for the pendulum, whose pixels are grey too.
    | {"out_distr": "gaussian", "learn_pixel_var": True, "noise_pixel_var": 0.01}
    # Of hundreds of sequences, not thousands: as many steps take more epochs. From the boxes' rate, 0.007,
    # the codes were given up at times.
    | {"num_epochs": 120, "decay_steps": 8, "init_lr": 0.002, "display_step": 10}
)
"""What training on one's own videos starts from."""


KVAE_OPTIONS = (
    "dim_z K noise_transition init_cov init_kf_matrices alpha_rnn alpha_layers alpha_activation fifo_size "
    "learn_noise learn_offset learn_u kf_elbo sample_z num_paths use_vae"
).split()
"""Options that mean nothing to the rivals."""


def without_effect(model: str) -> list[str]:
    """Return the options that mean nothing to a model."""
    if model == "kvae":
        return []
    # What AE-RNN predicts is judged by the frames it decodes to, so not by codes alone.
    return KVAE_OPTIONS if model == "vae_rnn" else [*KVAE_OPTIONS, "refine_epochs"]


def is_own_videos(dataset: str) -> bool:
    """Return whether a dataset is a path to videos, and not the name of a world."""
    return looks_like_path(dataset) or (dataset not in WORLD_PRESETS and os.path.exists(dataset))


def dataset_name(dataset: str) -> str:
    """Return what titles call a dataset: the name of a world, or the last part of a path."""
    return short_name(dataset) if is_own_videos(dataset) else dataset


def preset_options(
    preset: str, dataset: str, model: str = "kvae", given: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the options that a preset sets for a dataset's world and a model; for unknown ones, none.

    Args:
        preset: its name.
        dataset: the name of a world, or a path to videos.
        model: `kvae` or a rival.
        given: explicit options, as they were written: what a preset sets beside them must go with them.
    """
    if preset in ("none", "original"):
        of_dataset: dict[str, Any] = {}
    elif is_own_videos(dataset):
        of_dataset = _own_video_options(given or {})
    else:
        of_dataset = WORLD_PRESETS.get(dataset, {})
    options, idle = of_dataset | PRESETS.get(preset, {}), without_effect(model)
    return {name: value for name, value in options.items() if name not in idle}


def _own_video_options(given: Mapping[str, str]) -> dict[str, Any]:
    """Return what own videos start from beside the explicit options `given`."""
    # Which imports this module.
    from kvae.config.options import Config

    options = dict(OWN_VIDEOS)
    if given.get("out_distr") == "bernoulli":
        for name in ("out_distr", "learn_pixel_var", "noise_pixel_var"):
            del options[name]
    timesteps = _number(given.get("timesteps"), Config.timesteps)
    # Of 20 frames 4 are shown first and 12 hidden after them; of fewer or more as large a part is hidden.
    shown = max(1, min(Config.t_init_mask, timesteps // 5))
    if "t_init_mask" in given:
        shown = _number(given["t_init_mask"], shown)
    else:
        options["t_init_mask"] = shown
    options["t_steps_mask"] = max(1, min(3 * timesteps // 5, timesteps - shown))
    return options


def _number(text: str | None, default: int) -> int:
    # What is no number will be told by who reads the options.
    return int(text) if text is not None and text.isascii() and text.isdecimal() else default
