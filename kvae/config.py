"""Every option of a model and its training, in one frozen dataclass. Imports no TensorFlow."""

import dataclasses
import itertools
import json
import math
import numbers
import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kvae.clips import looks_like_path, short_name
from kvae.errors import UserError

Activation = Literal["relu", "tanh", "elu"]


class ConfigError(UserError):
    """An option has a value that cannot work; the message says what would."""


@dataclass(frozen=True)
class Config:
    """The options of the KVAE, named as in the original code of Fraccaro et al. (NIPS 2017).

    The original's `ll_keep_prob` is left out: its dropout never ran in training mode.

    Example:
        >>> Config(dataset="box_gravity", K=5).dim_a
        2

    Raises:
        ConfigError: an option is out of bounds, or two do not go together.
    """

    # --- what to train on ---
    dataset: str = "box"
    """World to learn: a dataset file DATASET.npz in data_dir, simulated first if it is not there. Or videos
    of your own: a path to a folder of them (mp4, gif, avi, mov, webm, sub-folders of png or jpg), to one of
    these, or to an .npy or .npz of [N, T, H, W] or [T, H, W]."""
    data_dir: str = "data"
    """Folder of the dataset files."""
    frame_size: tuple[int, ...] = (32,)
    """Side of the frames that your own videos are resized to, or HEIGHT,WIDTH. What does not fit the ratio of
    the two is cut off at the edges, the same on both sides."""
    timesteps: int = 20
    """Frames in a sequence of your own videos; shorter videos are left out."""
    stride: int = 0
    """Frames between the beginnings of two sequences of one of your own videos. 0: as many as timesteps, so
    that they do not overlap."""
    preset: Literal["", "original", "quick", "none"] = ""
    """Named set of options; options given explicitly win over it. Empty: what works for the dataset's
    world. `quick`: on top of that, a good model in minutes (13 epochs of small batches, with a learning rate
    that falls quickly). `original`: the choices of the 2017 code in every world (80 epochs, sampled bound, no
    shuffling, float32, evaluation on samples of the codes). `none`: the defaults of all options."""

    model: Literal["kvae", "ae_rnn", "vae_rnn"] = "kvae"
    """kvae, or one of the paper's rivals, an LSTM that predicts the next code: of an auto-encoder (ae_rnn) or
    of a variational one (vae_rnn)."""

    # --- frames and codes (the VAE) ---
    out_distr: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Distribution of a pixel: bernoulli (any pixel above 0 is a 1) or gaussian (values in [0, 1])."""
    conv: bool = True
    """Convolutional encoder and decoder; False: multi-layer perceptrons."""
    activation: Activation = "relu"
    """Activation of encoder and decoder."""
    filter_size: int = 3
    """Side of the convolution kernels."""
    num_filters: tuple[int, ...] = (32, 32, 32)
    """Filters of each convolution, comma-separated; each layer halves the frame's sides."""
    vae_num_units: int = 25
    """Units of each hidden layer of encoder and decoder, with --conv=False."""
    num_layers: int = 2
    """Hidden layers of encoder and decoder, with --conv=False."""
    noise_pixel_var: float = 0.1
    """Variance of a gaussian pixel (the starting value, with --learn_pixel_var=True)."""
    learn_pixel_var: bool = False
    """Learn one variance for each gaussian pixel."""
    use_vae: bool = True
    """Draw codes from q(a|x); False: use its mean, without the entropy term (an auto-encoder)."""

    # --- dynamics (the mixture of linear-Gaussian state space models) ---
    dim_a: int = 2
    """Dimension of the code of a frame."""
    dim_z: int = 4
    """Dimension of the dynamics' state."""
    dim_u: int = 1
    """Dimension of the control input; zeros where the dataset has no controls."""
    use_controls: bool = True
    """Take the dataset's control inputs; False: zeros in their place."""
    K: int = 3
    """Number of linear-Gaussian models in the mixture."""
    noise_emission: float = 0.03
    """Variance of the emission noise, and the upper bound of the variance of q(a|x)."""
    noise_transition: float = 0.08
    """Variance of the transition noise."""
    init_cov: float = 20.0
    """Variance of the first state."""
    init_kf_matrices: float = 0.05
    """Standard deviation of the initial values of the matrices B and C."""
    alpha_rnn: bool = True
    """Mixture weights from an LSTM over all past codes; False: from an MLP over the last fifo_size."""
    alpha_units: int = 50
    """Units of the LSTM, that of a rival too, or of each hidden layer of the MLP."""
    alpha_layers: int = 2
    """Hidden layers of the MLP, with --alpha_rnn=False."""
    alpha_activation: Activation = "relu"
    """Activation of the MLP, with --alpha_rnn=False."""
    fifo_size: int = 1
    """Number of past codes that the MLP sees, with --alpha_rnn=False."""
    learn_noise: bool = False
    """Learn the variances of emission, transition and first state, one for each dimension; the options above
    are where they start."""
    learn_offset: bool = False
    """Give each of the K transitions an offset: affine maps in place of linear ones."""
    learn_u: bool = False
    """Learn the control input as a function of the past codes, in place of the dataset's."""

    # --- training ---
    kf_elbo: Literal["exact", "sampled"] = "exact"
    """State space term of the bound: its closed form, or the original's estimate from independent draws."""
    batch_size: int = 32
    """Sequences in a batch."""
    num_epochs: int = 80
    """Passes over the training data."""
    init_lr: float = 0.007
    """Learning rate of Adam in the first epoch."""
    decay_rate: float = 0.85
    """Factor on the learning rate every decay_steps epochs."""
    decay_steps: int = 20
    """Epochs between two cuts of the learning rate."""
    max_grad_norm: float = 150.0
    """Gradients are clipped to this global norm."""
    scale_reconstruction: float = 0.3
    """Weight of log p(x|a) in the training objective; the bound on test data has weight 1."""
    warmup_epochs: int = 0
    """First epochs, in which that weight falls to its value from warmup_scale, by the same factor in each."""
    warmup_scale: float = 5.0
    """Weight of log p(x|a) in the first of warmup_epochs. Above 1 it keeps the model from giving up its codes
    before the decoder can read them."""
    only_vae_epochs: int = 0
    """First phase: epochs that train encoder and decoder alone."""
    kf_update_steps: int = 10
    """Second phase: epochs that train encoder, decoder, A, B, C and a_0, but not the alpha network."""
    refine_epochs: int = 0
    """Last phase, after num_epochs: epochs that train the dynamics alone, on codes encoded once. Each takes a
    few hundredths of the time of another."""
    sample_z: bool = False
    """Decode the smoothed codes in training, in place of the encoded ones."""
    train_miss_prob: float = 0.0
    """Probability of hiding a frame in training; a sequence keeps its mask in every epoch."""
    t_init_train_miss: int = 3
    """First frames of a sequence that training never hides."""
    shuffle: bool = True
    """Shuffle the training sequences in every epoch."""
    seed: int = 0
    """Seed of the initial weights, the shuffling, the noise and the masks."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format inside the convolutions; the rest is float32. auto: bfloat16 where the processor
    computes in it."""
    deterministic: bool = False
    """Make every operation deterministic, at some cost: a run repeated ends with the same weights."""
    strategy: Literal["default", "mirrored", "multiworker"] = "default"
    """Share each batch among the devices of this machine (mirrored), or among machines (multiworker), which
    the environment variable TF_CONFIG names."""
    gpu: str = ""
    """Device: numbers of the GPUs to use (0 or 0,1), or cpu. Empty: whatever is there."""

    # --- evaluation ---
    t_init_mask: int = 4
    """First frames that imputation and generation are given."""
    t_steps_mask: int = 12
    """Frames hidden after them when imputing."""
    n_steps_gen: int = 80
    """Length of a generated sequence, the given frames included."""
    num_paths: int = 1000
    """Paths of hidden codes that imputation follows, at least 2; 0: the paper's procedure, in which alpha
    follows the filter's one guess."""
    evaluate_on_samples: bool = False
    """Evaluate on a sample of q(a|x), as the original does; False: on its mean."""
    display_step: int = 1
    """Epochs between two evaluations of the bound on the test data, with a line of progress."""
    generate_step: int = 20
    """Epochs between two sets of films and plots, which are also made after the first and the last epoch."""

    # --- the run ---
    log_dir: str = "logs"
    """Folder of all runs."""
    run_name: str = ""
    """Name of this run; its folder is LOG_DIR/RUN_NAME_MODEL. Empty: the date and time."""
    reload_model: str = ""
    """Folder of an earlier run: evaluate its model, without training, into a new run folder."""
    resume: str = ""
    """Folder of a run that was stopped: go on where it stood, with its options."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _checked_type(field, getattr(self, field.name)))
        _check_bounds(self)
        _check_sizes(self)
        _check_combinations(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> "Config":
        """Return the configuration that `to_dict` described; missing options take their defaults.

        Raises:
            ConfigError: an option is unknown, or its value cannot work.
        """
        unknown = sorted(set(options) - set(option_names()))
        if unknown:
            raise ConfigError(f"Unknown option {unknown[0]!r}. Options are: {', '.join(option_names())}")
        return cls(**options)

    def to_json(self) -> str:
        """Return the options as a JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Return the configuration that `to_json` wrote."""
        return cls.from_dict(json.loads(text))


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
    # Six walls, six ways to bounce. Without a refinement, twice as many epochs.
    "polygon": {"K": 6} | _FALLING_RATE | {"num_epochs": 30, "decay_rate": 0.9},
    # The paddles lag behind the ball, and need codes of their own.
    "pong": {"dim_a": 4, "dim_z": 8, "K": 6} | _FALLING_RATE | {"num_epochs": 30, "decay_rate": 0.9},
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
)
"""What training on one's own videos starts from."""


KVAE_OPTIONS = (
    "dim_z K noise_transition init_cov init_kf_matrices alpha_rnn alpha_layers alpha_activation fifo_size "
    "learn_noise learn_offset learn_u refine_epochs kf_elbo sample_z num_paths use_vae"
).split()
"""Options that mean nothing to the rivals."""


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
    options = of_dataset | PRESETS.get(preset, {})
    if model == "kvae":
        return options
    return {name: value for name, value in options.items() if name not in KVAE_OPTIONS}


def _own_video_options(given: Mapping[str, str]) -> dict[str, Any]:
    """Return what own videos start from beside the explicit options `given`."""
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


def option_names() -> list[str]:
    """Return the names of all options, in order."""
    return [field.name for field in dataclasses.fields(Config)]


def _checked_type(field, value):
    """Return the value in the field's type (a list becomes a tuple, an int a float), or raise."""
    kind = field.type
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
    "batch_size num_epochs decay_steps t_init_mask t_steps_mask n_steps_gen display_step generate_step"
).split()
_AT_LEAST_ZERO = (
    "only_vae_epochs kf_update_steps refine_epochs warmup_epochs num_paths t_init_train_miss seed "
    "init_kf_matrices stride"
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
    "noise_pixel_var noise_emission noise_transition init_cov init_lr max_grad_norm scale_reconstruction "
    "warmup_scale"
).split()


def _check_bounds(config: Config) -> None:
    def require(name, holds, what):
        if not holds:
            raise ConfigError(f"{name} must be {what}. Received: {getattr(config, name)!r}")

    for name in _AT_LEAST_ONE:
        require(name, getattr(config, name) >= 1, "at least 1")
    for name in _AT_LEAST_ZERO:
        require(name, getattr(config, name) >= 0, "at least 0")
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


def _check_sizes(config: Config) -> None:
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


def _check_combinations(config: Config) -> None:
    """Refuse options that would be ignored, or that do not go together."""
    defaults = {field.name: field.default for field in dataclasses.fields(Config)}
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
        (config.warmup_epochs == 0, "warmup_epochs=0", ["warmup_scale"]),
        (config.learn_u, "learn_u=True", ["use_controls"]),
        (config.model != "kvae", f"model={config.model}", KVAE_OPTIONS),
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
