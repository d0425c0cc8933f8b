"""Every option, in groups. Imports no TensorFlow.

Beside an option stands what it may be, with what it has no effect, and who may change it. Upper bounds are
far beyond what is of use, and short of what would exhaust a machine before it says so.
"""

import dataclasses
import itertools
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from kvae.config.marks import Bound, IdleBeside, IdleWith, Mark, above, at_least, at_most
from kvae.config.rules import (
    ConfigError,
    check_bounds,
    check_sizes,
    checked_type,
    idle_setting,
    no_effect,
)

Activation = Literal["relu", "leaky_relu", "tanh", "elu"]

LATENT = ("dvbf", "dmm")
"""Rivals whose frames are decoded from states, without a code of a frame between them."""

KVAE_ALONE = IdleWith("model", "ae_rnn", "vae_rnn", *LATENT)
"""The option means nothing to the rivals."""

NOT_LATENT = IdleWith("model", *LATENT)
"""The option is about codes of single frames."""

NUM_EPOCHS = "at least 1, or 0 with init_model and refine_epochs"


def _are_filters(filters: tuple[int, ...]) -> bool:
    return len(filters) <= 12 and all(1 <= count <= 10_000 for count in filters)


def _are_sides(sides: tuple[int, ...]) -> bool:
    return len(sides) in (1, 2) and min(sides) >= 1 and max(sides) <= 4096


def _is_device(text: str) -> bool:
    return text in ("", "cpu") or all(part.strip().isdecimal() for part in text.split(","))


_FILTERS = Bound("at most 12 numbers between 1 and 10000", _are_filters)
_SIDES = Bound("a side such as 32, or HEIGHT,WIDTH such as 48,64, at most 4096 each", _are_sides)
_WORLD_OR_PATH = Bound("the name of a world, for example box, or a path to videos", bool)
_PLAIN_NAME = Bound("a plain name, without slashes", lambda name: not {"/", "\\", "\0"} & set(name))
_OWN_PART = Bound(
    "empty, or MODULE:NAME of your own",
    lambda text: not text or re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*", text) is not None,
)
SEARCHED = ("alpha", "refine_miss_prob", "K", "dim_z")
"""What --search chooses; alpha is alpha_rnn with alpha_units and fifo_size."""


def names_of_search(text: str) -> tuple[str, ...]:
    """Return the names in an option such as K,dim_z, in the order in which they are chosen."""
    names = {name.strip() for name in text.split(",")}
    return tuple(name for name in SEARCHED if name in names or text == "all")


def _is_search(text: str) -> bool:
    return text in ("", "all") or {name.strip() for name in text.split(",")} <= {*SEARCHED}


_SEARCH = Bound(f"all, or names out of {','.join(SEARCHED)}, comma-separated", _is_search)
_DEVICE = Bound("empty, cpu, or numbers such as 0 or 0,1", _is_device)


@dataclass(frozen=True)
class OptionGroup:
    """Options that are brought into their types and checked when they are made.

    Raises:
        ConfigError: an option is out of bounds, or two do not go together.
    """

    def __post_init__(self) -> None:
        fields = dataclasses.fields(self)
        for field in fields:
            object.__setattr__(self, field.name, checked_type(field, getattr(self, field.name)))
        settings = {field.name: getattr(self, field.name) for field in fields}
        for field in fields:
            check_bounds(field, settings[field.name])
        self._check_together()
        for field in fields:
            setting = idle_setting(field, settings)
            if setting and settings[field.name] != field.default:
                raise no_effect(field.name, settings[field.name], setting)

    def _check_together(self) -> None:
        """Refuse options, each within its bounds, that do not go together."""


@dataclass(frozen=True)
class DataOptions(OptionGroup):
    """What to train on, and the named set of options to start from."""

    dataset: Annotated[str, _WORLD_OR_PATH, Mark.RELOAD] = "box"
    """World to learn: a dataset file DATASET.npz in data_dir, simulated first if it is not there. Or an
    environment of Gymnasium, gym:ID such as gym:Pendulum-v1, or a world of your own, MODULE:NAME. Or videos
    of your own: a path to a folder of them (mp4, gif, avi, mov, webm, sub-folders of png or jpg), to one of
    these, or to an .npz or .h5 of `images` [N, T, H, W] or [N, T, H, W, 3] and, as they are there, `mask`,
    `controls`, `states`, `times`; an .npy holds the images alone."""
    data_dir: Annotated[str, Mark.RELOAD | Mark.PLACE] = "data"
    """Folder of the dataset files."""
    frame_size: Annotated[tuple[int, ...], _SIDES, Mark.RELOAD | Mark.OWN_VIDEOS | Mark.ENVIRONMENTS] = (32,)
    """Side of the frames that your own videos, or environments, are resized to, or HEIGHT,WIDTH. What does
    not fit the ratio of the two is cut off at the edges, the same on both sides."""
    timesteps: Annotated[
        int, at_least(2), at_most(10_000), Mark.RELOAD | Mark.OWN_VIDEOS | Mark.ENVIRONMENTS
    ] = 20
    """Frames in a sequence of your own videos, or of an environment; shorter videos are left out."""
    stride: Annotated[int, at_least(0), at_most(1_000_000), Mark.RELOAD | Mark.OWN_VIDEOS] = 0
    """Frames between the beginnings of two sequences of one of your own videos. 0: as many as timesteps, so
    that they do not overlap."""
    rate: Annotated[float, at_least(0), Mark.RELOAD | Mark.OWN_VIDEOS] = 0.0
    """Frames a second that your own videos are read at, or a unit of the `times` of a file: frames at other
    times go to the nearest step, and steps without one are missing frames. 0: as their times are spaced."""
    preset: Literal["", "original", "quick", "none"] = ""
    """Named set of options; options given explicitly win over it. Empty: what works for the dataset's
    world. `quick`: on top of that, a good model in minutes (13 epochs of small batches, with a learning rate
    that falls quickly). `original`: the choices of the 2017 code in every world (80 epochs, sampled bound, no
    shuffling, float32, evaluation on samples of the codes). `none`: the defaults of all options."""
    use_controls: Annotated[bool, IdleWith("learn_u", True)] = True
    """Take the dataset's control inputs; False: zeros in their place."""


@dataclass(frozen=True)
class ModelOptions(OptionGroup):
    """What a model is, and where its weights start; --init_model takes all of it from the earlier run."""

    model: Literal["kvae", "ae_rnn", "vae_rnn", "dvbf", "dmm"] = "kvae"
    """kvae, or one of the paper's rivals: an LSTM that predicts the next code, of an auto-encoder (ae_rnn) or
    of a variational one (vae_rnn); a deep variational Bayes filter (dvbf) or a deep Markov model (dmm), whose
    frames are decoded from the states of their dynamics."""

    # --- frames and codes (the VAE) ---
    channels: Literal["auto", 1, 3] = "auto"
    """1: grey frames, into which those in colour are turned; 3: frames in colour, red, green and blue, of
    which grey ones have three alike. auto: as the data are."""
    out_distr: Literal["bernoulli", "gaussian"] = "bernoulli"
    """Distribution of a pixel: bernoulli (any pixel above 0 is a 1) or gaussian (values in [0, 1])."""
    grey_targets: Annotated[bool, IdleWith("out_distr", "gaussian")] = False
    """Bernoulli pixels with targets in [0, 1], as grey as the frame is, in place of 0 and 1: log p(x|a) is
    minus their cross-entropy."""
    likelihood: Annotated[str, _OWN_PART] = ""
    """A distribution of the pixels of your own, MODULE:NAME, in the place of out_distr's; what the decoder
    makes of codes is as with out_distr."""
    conv: bool = True
    """Convolutional encoder and decoder; False: multi-layer perceptrons."""
    activation: Activation = "relu"
    """Activation of encoder and decoder. Where most of a frame stands still, all relu of a layer may end at
    zero in the first steps, and for good; leaky_relu cannot."""
    standardise: bool = False
    """Start from what the frames are: the encoder sees how a frame differs from the mean of all, in units of
    how much frames do, the decoder adds that to the mean, and the first codes lie beside each other as things
    do in the frames."""
    filter_size: Annotated[int, at_least(1), at_most(64), IdleWith("conv", False)] = 3
    """Side of the convolution kernels."""
    num_filters: Annotated[tuple[int, ...], _FILTERS, IdleWith("conv", False)] = ()
    """Filters of each convolution, comma-separated, such as 32,32,32; each layer halves the frame's sides.
    auto: 32 each, of three convolutions, four for sides from 64 on, five from 128 on, and so forth."""
    vae_num_units: Annotated[int, at_least(1), at_most(10_000), IdleWith("conv", True)] = 25
    """Units of each hidden layer of encoder and decoder, with --conv=False."""
    num_layers: Annotated[int, at_least(1), at_most(100), IdleWith("conv", True)] = 2
    """Hidden layers of encoder and decoder, with --conv=False."""
    noise_pixel_var: Annotated[
        float, above(0), IdleWith("out_distr", "bernoulli"), IdleBeside("likelihood")
    ] = 0.1
    """Variance of a gaussian pixel (the starting value, with --learn_pixel_var=True)."""
    learn_pixel_var: Annotated[bool, IdleWith("out_distr", "bernoulli"), IdleBeside("likelihood")] = False
    """Learn one variance for each gaussian pixel."""
    pixel_var_from_errors: Annotated[bool, IdleWith("learn_pixel_var", False)] = False
    """The variance of a pixel is its mean squared error over about the last 50 steps of training, and at
    least that of all pixels together, in place of what the learning rate lets it be. While training warms up,
    see warm_up, the variances of all have one factor, and go with how much each moves."""
    use_vae: Annotated[bool, KVAE_ALONE] = True
    """Draw codes from q(a|x); False: use its mean, without the entropy term (an auto-encoder)."""

    # --- dynamics (the mixture of linear-Gaussian state space models) ---
    dim_a: Annotated[int, at_least(1), at_most(1000)] = 2
    """Dimension of the code of a frame; of dvbf and dmm that of a state, which has to tell velocities too."""
    dim_z: Annotated[int, at_least(1), at_most(1000), KVAE_ALONE] = 4
    """Dimension of the dynamics' state."""
    dim_u: Annotated[int, at_least(1), at_most(1000)] = 1
    """Dimension of the control input: that of the dataset's controls, where it has some; else zeros go in."""
    K: Annotated[int, at_least(1), at_most(1000), IdleWith("model", "ae_rnn", "vae_rnn", "dmm")] = 3
    """Number of linear-Gaussian models in the mixture; of dvbf the number of matrices in its own."""
    noise_emission: Annotated[float, above(0), NOT_LATENT] = 0.03
    """Variance of the emission noise, and the upper bound of the variance of q(a|x)."""
    noise_transition: Annotated[float, above(0), KVAE_ALONE] = 0.08
    """Variance of the transition noise."""
    init_cov: Annotated[float, above(0), KVAE_ALONE] = 20.0
    """Variance of the first state."""
    init_kf_matrices: Annotated[float, at_least(0), KVAE_ALONE] = 0.05
    """Standard deviation of the initial values of the matrices B and C."""
    alpha_network: Annotated[str, _OWN_PART, KVAE_ALONE] = ""
    """A network for the mixture weights of your own, MODULE:NAME, in the place of the LSTM's or MLP's."""
    alpha_rnn: Annotated[bool, IdleBeside("alpha_network"), KVAE_ALONE] = True
    """Mixture weights from an LSTM over all past codes; False: from an MLP over the last fifo_size."""
    alpha_units: Annotated[int, at_least(1), at_most(10_000)] = 50
    """Units of the LSTM, that of a rival too, or of each hidden layer of the MLP; of dvbf and dmm of both."""
    alpha_layers: Annotated[int, at_least(1), at_most(100), IdleWith("alpha_rnn", True), KVAE_ALONE] = 2
    """Hidden layers of the MLP, with --alpha_rnn=False."""
    alpha_activation: Annotated[Activation, IdleWith("alpha_rnn", True), KVAE_ALONE] = "relu"
    """Activation of the MLP, with --alpha_rnn=False."""
    fifo_size: Annotated[int, at_least(1), at_most(1000), IdleWith("alpha_rnn", True), KVAE_ALONE] = 1
    """Number of past codes that the MLP sees, with --alpha_rnn=False."""
    learn_noise: Annotated[bool, KVAE_ALONE] = False
    """Learn the variances of emission, transition and first state, one for each dimension; the options above
    are where they start."""
    learn_offset: Annotated[bool, KVAE_ALONE] = False
    """Give each of the K transitions an offset: affine maps in place of linear ones."""
    learn_u: Annotated[bool, KVAE_ALONE] = False
    """Learn the control input as a function of the past codes, in place of the dataset's."""

    @property
    def is_binary(self) -> bool:
        """Whether the model sees pixels of 0 and 1 alone, and any that is above 0 as a 1."""
        return self.out_distr == "bernoulli" and not self.grey_targets

    def __post_init__(self) -> None:
        # The default of before, which stands in the options of runs without a convolution.
        if not self.conv and self.num_filters in ((32, 32, 32), [32, 32, 32]):
            object.__setattr__(self, "num_filters", ())
        super().__post_init__()

    def _check_together(self) -> None:
        super()._check_together()
        filters = (3, *(self.num_filters or (32,)), 3)
        check_sizes(
            {
                "K, dim_z, dim_a and dim_u": self.K * self.dim_z * (self.dim_z + self.dim_u + self.dim_a + 1),
                "alpha_units": 4 * self.alpha_units * (self.alpha_units + self.dim_a * self.fifo_size),
                "vae_num_units": self.vae_num_units**2,
                # A decoder's layer has four times as many channels as its filters.
                "num_filters and filter_size": self.filter_size**2
                * max(4 * a * b for a, b in itertools.pairwise(filters)),
            }
        )


@dataclass(frozen=True)
class TrainingOptions(OptionGroup):
    """How a model learns."""

    kf_elbo: Annotated[Literal["exact", "sampled"], KVAE_ALONE] = "exact"
    """State space term of the bound: its closed form, or the original's estimate from independent draws."""
    batch_size: Annotated[int, at_least(1), at_most(100_000), Mark.RELOAD] = 32
    """Sequences in a batch."""
    num_epochs: Annotated[int, Bound(NUM_EPOCHS, lambda count: count >= 0)] = 80
    """Passes over the training data."""
    init_lr: Annotated[float, above(0)] = 0.007
    """Learning rate of Adam in the first epoch."""
    decay_rate: Annotated[float, Bound("above 0 and at most 1", lambda rate: 0 < rate <= 1)] = 0.85
    """Factor on the learning rate every decay_steps epochs."""
    decay_steps: Annotated[int, at_least(1)] = 20
    """Epochs between two cuts of the learning rate."""
    max_grad_norm: Annotated[float, above(0)] = 150.0
    """Gradients are clipped to this global norm."""
    scale_reconstruction: Annotated[float, above(0)] = 0.3
    """Weight of log p(x|a) in the training objective; the bound on test data has weight 1."""
    decode_share: Annotated[float, Bound("above 0 and at most 1", lambda share: 0 < share <= 1)] = 1.0
    """Share of the frames of each sequence that a training step decodes, evenly spread and drawn anew, their
    reconstruction weighed up; all codes count in the rest of the bound. A step of 0.35 takes about half the
    time."""
    warm_up: Annotated[float, Bound("between 0 and 1", lambda share: 0 <= share <= 1), Mark.FIRST_PHASE] = 0.0
    """Share of num_epochs in which the weight of log p(a) - log q(a|x) in the training objective rises to 1;
    for a fifth of that time it is 0.01. Of dmm that of log p(z) - log q(z), of dvbf that of log p(x) + log
    p(w), which rises from 0.01 on a line. 0: it is 1 from the start."""
    only_vae_epochs: Annotated[int, at_least(0), Mark.FIRST_PHASE] = 0
    """First phase: epochs that train encoder and decoder alone."""
    kf_update_steps: Annotated[int, at_least(0), Mark.FIRST_PHASE] = 10
    """Second phase: epochs that train encoder, decoder, A, B, C and a_0, but not the alpha network."""
    refine_epochs: Annotated[int, at_least(0), IdleWith("model", "ae_rnn", *LATENT)] = 0
    """Last phase, after num_epochs: epochs that train the dynamics alone, on codes encoded once. Each takes a
    few hundredths of the time of another. Not with ae_rnn, dvbf and dmm."""
    refine_miss_prob: Annotated[
        float, Bound("at least 0 and below 1", lambda share: 0 <= share < 1), IdleWith("refine_epochs", 0)
    ] = 0.0
    """Probability of hiding a frame in that phase, drawn anew in each step: so dynamics learn to fill in, and
    do not learn sequences by heart."""
    search: Annotated[str, _SEARCH, IdleWith("refine_epochs", 0), KVAE_ALONE, Mark.COMMAND] = ""
    """Before that phase choose options of the dynamics by cross-validation on the codes of the training
    sequences, out of alpha (the LSTM, or an MLP), refine_miss_prob, K and dim_z, comma-separated. all: those
    that are not given. Takes minutes; what was tried is in the run's search.md, what won in config.json."""
    sample_z: Annotated[bool, KVAE_ALONE] = False
    """Decode the smoothed codes in training, in place of the encoded ones."""
    train_miss_prob: Annotated[float, Bound("between 0 and 1", lambda share: 0 <= share <= 1)] = 0.0
    """Probability of hiding a frame in training; a sequence keeps its mask in every epoch."""
    t_init_train_miss: Annotated[int, at_least(0), IdleWith("train_miss_prob", 0)] = 3
    """First frames of a sequence that training never hides."""
    validation_split: Annotated[float, Bound("at least 0 and below 1", lambda share: 0 <= share < 1)] = 0.1
    """Share of the training sequences, the last ones and 256 at most, that are not learned from: the model of
    the epoch with the best bound on them is kept. 0: the model of the last epoch is."""
    shuffle: bool = True
    """Shuffle the training sequences in every epoch."""
    seed: Annotated[int, at_least(0), Bound("below 2147483648", lambda seed: seed < 2**31)] = 0
    """Seed of the initial weights, the shuffling, the noise and the masks."""


@dataclass(frozen=True)
class EvaluationOptions(OptionGroup):
    """What is measured and shown of a model: all of it may change when one is reloaded."""

    t_init_mask: Annotated[int, at_least(1)] = 4
    """First frames that imputation and generation are given."""
    t_steps_mask: Annotated[int, at_least(1)] = 12
    """Frames hidden after them when imputing."""
    n_steps_gen: Annotated[int, at_least(1), at_most(100_000), Mark.COMMAND] = 80
    """Length of a generated sequence, the given frames included."""
    num_paths: Annotated[
        int, at_least(0), Bound("0 or at least 2", lambda count: count != 1), at_most(1_000_000), KVAE_ALONE
    ] = 1000
    """Paths of hidden codes that imputation follows, at least 2; 0: the paper's procedure, in which alpha
    follows the filter's one guess."""
    evaluate_on_samples: Annotated[bool, NOT_LATENT] = False
    """Evaluate on a sample of q(a|x), as the original does; False: on its mean."""
    display_step: Annotated[int, at_least(1), Mark.COMMAND] = 1
    """Epochs between two evaluations of the bound on the test data, with a line of progress."""
    generate_step: Annotated[int, at_least(1), Mark.COMMAND] = 20
    """Epochs between two sets of films and plots, which are also made after the first and the last epoch."""

    def _check_together(self) -> None:
        super()._check_together()
        if self.n_steps_gen < self.t_init_mask:
            raise ConfigError(
                "n_steps_gen counts the given frames too, so it must be at least t_init_mask "
                f"({self.t_init_mask}). Received: n_steps_gen={self.n_steps_gen}"
            )


@dataclass(frozen=True)
class RunOptions(OptionGroup):
    """What the command does, on which devices, and where it writes."""

    # --- the machine ---
    precision: Annotated[Literal["auto", "float32", "bfloat16"], Mark.RELOAD] = "auto"
    """Number format inside the convolutions; the rest is float32. auto: bfloat16 where the processor
    computes in it."""
    deterministic: bool = False
    """Make every operation deterministic, at some cost: a run repeated ends with the same weights."""
    strategy: Annotated[Literal["default", "mirrored", "multiworker"], Mark.COMMAND | Mark.RESUME] = "default"
    """Share each batch among the devices of this machine (mirrored), or among machines (multiworker), which
    the environment variable TF_CONFIG names."""
    gpu: Annotated[str, _DEVICE, Mark.RELOAD | Mark.COMMAND | Mark.RESUME | Mark.PLACE] = ""
    """Device: numbers of the GPUs to use (0 or 0,1), or cpu. Empty: whatever is there."""

    # --- folders ---
    log_dir: Annotated[str, Mark.RELOAD | Mark.COMMAND | Mark.PLACE] = "logs"
    """Folder of all runs."""
    run_name: Annotated[str, _PLAIN_NAME, Mark.RELOAD | Mark.COMMAND | Mark.PLACE] = ""
    """Name of this run; its folder is LOG_DIR/RUN_NAME_MODEL. Empty: the date and time."""
    init_model: str = ""
    """Folder of an earlier run, or the name of a trained model such as box, to begin with: train its model
    on, from its options where none are given, and into a new run folder. With --num_epochs 0 its dynamics
    alone, for refine_epochs. Where that run held no sequences out, a tenth are now: what is kept is never
    worse on them than what it began with."""
    reload_model: Annotated[str, Mark.RELOAD | Mark.COMMAND | Mark.PLACE] = ""
    """Folder of an earlier run, or the name of a trained model such as box: evaluate it, without training,
    into a new run folder."""
    resume: Annotated[str, Mark.RESUME] = ""
    """Folder of a run that was stopped: go on where it stood, with its options."""
    quiet: Annotated[bool, Mark.RELOAD | Mark.COMMAND | Mark.RESUME | Mark.PLACE] = False
    """Print no progress, and at the end the run folder's path alone; warnings and errors as ever."""
    profile: Annotated[bool, Mark.COMMAND | Mark.RESUME | Mark.PLACE] = False
    """Profile ten training steps, for TensorBoard's page Profile."""
