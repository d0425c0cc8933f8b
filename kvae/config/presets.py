"""Named sets of options, and those that run_kvae.py starts from in each world. Imports nothing."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "original": {
        "kf_elbo": "sampled",
        "shuffle": False,
        "validation_split": 0.0,
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

_WHATEVER_MOVES = {"activation": "leaky_relu", "standardise": True, "warm_up": 0.5}
"""However small a part of the frame that is."""

OWN_VIDEOS: dict[str, Any] = (
    _SWITCHING
    | _FALLING_RATE
    # Whatever moves in them, how bright or rare it may be: see results/seen.md.
    | {"out_distr": "gaussian", "learn_pixel_var": True, "pixel_var_from_errors": True}
    | _WHATEVER_MOVES
    # Of hundreds of sequences, not thousands: as many steps take more epochs. From the boxes' rate, 0.007,
    # the codes were given up at times.
    | {"num_epochs": 120, "decay_steps": 8, "init_lr": 0.002, "display_step": 10}
    # As much is seen of small and faint things, in six tenths of the time: results/seen.md.
    | {"decode_share": 0.5}
)
"""What training on one's own videos starts from, on an environment of Gymnasium, on a world of one's own."""

WORLD_PRESETS: dict[str, dict[str, Any]] = {
    "box": _SWITCHING | _FALLING_RATE,
    "box_gravity": _SWITCHING | _FALLING_RATE,
    "polygon": _SWITCHING | _FALLING_RATE,
    # The paddles lag behind the ball, and need codes of their own.
    "pong": {"dim_a": 4, "dim_z": 8} | _SWITCHING | _FALLING_RATE,
    # As much noise in it as in a film, and as few sequences.
    "pendulum": OWN_VIDEOS | {"K": 10, "t_steps_mask": 8},
    "swinging_line": _SWITCHING
    | _FALLING_RATE
    | _WHATEVER_MOVES
    # Grey is how much of a pixel the line covers.
    | {"grey_targets": True, "K": 10, "init_lr": 0.002},
}
"""What works for a world, where that is not the defaults: run_kvae.py starts from it."""

WORLD_SEQUENCES = dict.fromkeys(WORLD_PRESETS, 5000) | {"pendulum": 500}
"""How many training sequences the epochs of `WORLD_PRESETS` are meant for."""

MODEL_PRESETS: dict[str, dict[str, Any]] = {
    "dvbf": {"K": 16, "alpha_units": 128, "scale_reconstruction": 1.0, "warm_up": 0.5},
    "dmm": {"alpha_units": 128, "scale_reconstruction": 1.0, "warm_up": 0.5},
}
"""What rivals start from in every world, on top of its own: their authors' sizes and bounds.

DMM was annealed for 2,000 updates, which half of a training on the boxes is; DVBF for 100,000, more than all
of it: half of it too. The learning rate is the world's. Their states take the place of the KVAE's: so
dim_a is what dim_z is there.
"""
