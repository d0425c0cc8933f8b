"""Every option of a model and its training, in one frozen dataclass. Imports no TensorFlow."""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from typing import Any, Literal

from kvae.config.rules import ConfigError, check, checked_type

RETIRED = {"warmup_epochs": 0, "warmup_scale": 5.0}
"""Options that finished runs may have in their config.json, with the values at which they did nothing."""

Activation = Literal["relu", "tanh", "elu"]


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
    only_vae_epochs: int = 0
    """First phase: epochs that train encoder and decoder alone."""
    kf_update_steps: int = 10
    """Second phase: epochs that train encoder, decoder, A, B, C and a_0, but not the alpha network."""
    refine_epochs: int = 0
    """Last phase, after num_epochs: epochs that train the dynamics alone, on codes encoded once. Each takes a
    few hundredths of the time of another. Not with ae_rnn."""
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
    init_model: str = ""
    """Folder of an earlier run to begin with: train its model on, from its options where none are given, and
    into a new run folder. With --num_epochs 0 its dynamics alone, for refine_epochs."""
    reload_model: str = ""
    """Folder of an earlier run: evaluate its model, without training, into a new run folder."""
    resume: str = ""
    """Folder of a run that was stopped: go on where it stood, with its options."""
    quiet: bool = False
    """Print no progress, and at the end the run folder's path alone; warnings and errors as ever."""
    profile: bool = False
    """Profile ten training steps, for TensorBoard's page Profile."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked_type(field, getattr(self, field.name)))
        check(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> "Config":
        """Return the configuration that `to_dict` described; missing options take their defaults.

        Options of earlier versions are left out, with a warning where they did something.

        Raises:
            ConfigError: an option is unknown, or its value cannot work.
        """
        if not isinstance(options, dict):
            raise TypeError(f"Options must be a dictionary. Received: {options!r}")
        for name in sorted(set(options) & set(RETIRED)):
            if options[name] != RETIRED[name]:
                warnings.warn(f"{name} is no option any more: {options[name]!r} is ignored", stacklevel=2)
        options = {name: value for name, value in options.items() if name not in RETIRED}
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


def option_names() -> list[str]:
    """Return the names of all options, in order."""
    return [field.name for field in dataclasses.fields(Config)]
