"""What options may be: their types, bounds, and what does not go together. Imports no TensorFlow."""

import dataclasses
import itertools
import math
import numbers
import types
import typing
from typing import TYPE_CHECKING, Any, Literal

from kvae.config.presets import WORLD_PRESETS, without_effect
from kvae.errors import UserError

if TYPE_CHECKING:
    from kvae.config.options import Config


class ConfigError(UserError):
    """An option has a value that cannot work; the message says what would."""


class ShapeError(UserError):
    """Frames whose sides the networks cannot handle; the message says which sides work."""


def check_frame_sides(height: int, width: int, num_halvings: int) -> None:
    """Raise `ShapeError` unless both sides of a frame can be halved that often."""
    multiple = 2**num_halvings
    if height % multiple or width % multiple or height < 1 or width < 1:
        raise ShapeError(
            f"With {num_halvings} convolutions of stride 2, the sides of a frame must be multiples of "
            f"{multiple}. Received: {height}x{width}. Resize the frames, or give num_filters another length"
        )


def check(config: "Config") -> None:
    """Raise ConfigError unless the options can work, each by itself and together."""
    _check_bounds(config)
    _check_sizes(config)
    _check_combinations(config)


def checked_type(field: dataclasses.Field, value: Any) -> Any:
    """Return the value in the field's type (a list becomes a tuple, an int a float), or raise."""
    kind: Any = field.type
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            names = ", ".join(repr(choice) for choice in choices)
            raise ConfigError(f"{field.name} must be one of {names}. Received: {value!r}")
        return value
    if isinstance(kind, types.GenericAlias):
        items = value if isinstance(value, list | tuple) else []
        if not items or not all(_is_whole_number(item) for item in items):
            raise ConfigError(f"{field.name} must be whole numbers such as 32,32. Received: {value!r}")
        return tuple(int(item) for item in items)
    if kind is int and _is_whole_number(value):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{field.name} must be of type {kind.__name__}. Received: {value!r}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{field.name} must be finite. Received: {value!r}")
    return value


def _is_whole_number(value):
    # NumPy's integers are welcome; a bool is an integer to Python, but not to a reader.
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


_AT_LEAST_ONE = (
    "filter_size vae_num_units num_layers dim_a dim_z dim_u K alpha_units alpha_layers fifo_size "
    "batch_size decay_steps t_init_mask t_steps_mask n_steps_gen display_step generate_step"
).split()
_AT_LEAST_ZERO = (
    "only_vae_epochs kf_update_steps refine_epochs num_paths t_init_train_miss seed init_kf_matrices stride"
).split()
_AT_MOST = {
    "filter_size": 64,
    "vae_num_units": 10_000,
    "num_layers": 100,
    "dim_a": 1000,
    "dim_z": 1000,
    "dim_u": 1000,
    "K": 1000,
    "alpha_units": 10_000,
    "alpha_layers": 100,
    "fifo_size": 1000,
    "batch_size": 100_000,
    "n_steps_gen": 100_000,
    "num_paths": 1_000_000,
    "timesteps": 10_000,
    "stride": 1_000_000,
}
"""Far beyond what is of use, and short of what would exhaust a machine before it says so."""
_LARGEST_WEIGHT = 10**8
"""Numbers in one array of weights."""
_POSITIVE = (
    "noise_pixel_var noise_emission noise_transition init_cov init_lr max_grad_norm scale_reconstruction"
).split()


def _check_bounds(config: "Config") -> None:
    def require(name, holds, what):
        if not holds:
            raise ConfigError(f"{name} must be {what}. Received: {getattr(config, name)!r}")

    for name in _AT_LEAST_ONE:
        require(name, getattr(config, name) >= 1, "at least 1")
    for name in _AT_LEAST_ZERO:
        require(name, getattr(config, name) >= 0, "at least 0")
    is_refinement = config.num_epochs == 0 and config.init_model and config.refine_epochs
    wanted = "at least 1, or 0 with init_model and refine_epochs"
    require("num_epochs", config.num_epochs >= 1 or is_refinement, wanted)
    for name, largest in _AT_MOST.items():
        require(name, getattr(config, name) <= largest, f"at most {largest}")
    for name in _POSITIVE:
        require(name, getattr(config, name) > 0, "above 0")
    filters = config.num_filters
    is_possible = len(filters) <= 12 and min(filters) >= 1 and max(filters) <= 10_000
    require("num_filters", is_possible, "at most 12 numbers between 1 and 10000")
    sides = config.frame_size
    fit = len(sides) <= 2 and min(sides) >= 1 and max(sides) <= 4096
    require("frame_size", fit, "a side such as 32, or HEIGHT,WIDTH such as 48,64, at most 4096 each")
    require("timesteps", config.timesteps >= 2, "at least 2")
    require("decay_rate", 0 < config.decay_rate <= 1, "above 0 and at most 1")
    require("train_miss_prob", 0 <= config.train_miss_prob <= 1, "between 0 and 1")
    require("seed", config.seed < 2**31, "below 2147483648")
    require("dataset", bool(config.dataset), "the name of a world, for example box, or a path to videos")
    require("num_paths", config.num_paths != 1, "0 or at least 2")
    named = config.run_name
    require("run_name", not {"/", "\\", "\0"} & set(named), "a plain name, without slashes")
    devices = config.gpu.split(",")
    require(
        "gpu",
        config.gpu in ("", "cpu") or all(part.strip().isdecimal() for part in devices),
        "empty, cpu, or numbers such as 0 or 0,1",
    )


def _check_sizes(config: "Config") -> None:
    """Refuse options that together make arrays of weights that no machine would hold."""
    inner = config.dim_z + config.dim_u + config.dim_a + 1
    filters = (1, *config.num_filters, 1)
    sizes = {
        "K, dim_z, dim_a and dim_u": config.K * config.dim_z * inner,
        "alpha_units": 4 * config.alpha_units * (config.alpha_units + config.dim_a * config.fifo_size),
        "vae_num_units": config.vae_num_units**2,
        # A decoder's layer has four times as many channels as its filters.
        "num_filters and filter_size": config.filter_size**2
        * max(4 * a * b for a, b in itertools.pairwise(filters)),
    }
    for names, size in sizes.items():
        if size > _LARGEST_WEIGHT:
            raise ConfigError(
                f"{names} would make an array of {size:,} weights. Choose smaller ones, for at most "
                f"{_LARGEST_WEIGHT:,}"
            )


def _check_combinations(config: "Config") -> None:
    """Refuse options that would be ignored, or that do not go together."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    rules = [
        (
            config.dataset in WORLD_PRESETS,
            f"dataset={config.dataset}",
            ["frame_size", "timesteps", "stride"],
        ),
        (config.alpha_rnn, "alpha_rnn=True", ["alpha_layers", "alpha_activation", "fifo_size"]),
        (not config.conv, "conv=False", ["filter_size", "num_filters"]),
        (config.conv, "conv=True", ["vae_num_units", "num_layers"]),
        (config.out_distr == "bernoulli", "out_distr=bernoulli", ["noise_pixel_var", "learn_pixel_var"]),
        (config.train_miss_prob == 0, "train_miss_prob=0", ["t_init_train_miss"]),
        (config.learn_u, "learn_u=True", ["use_controls"]),
        (True, f"model={config.model}", without_effect(config.model)),
    ]
    for holds, setting, ignored in rules:
        for name in ignored:
            if holds and getattr(config, name) != defaults[name]:
                raise ConfigError(
                    f"{name}={getattr(config, name)!r} has no effect with {setting}: "
                    f"leave {name} out, or change {setting.split('=')[0]}"
                )
    if config.n_steps_gen < config.t_init_mask:
        raise ConfigError(
            "n_steps_gen counts the given frames too, so it must be at least t_init_mask "
            f"({config.t_init_mask}). Received: n_steps_gen={config.n_steps_gen}"
        )
