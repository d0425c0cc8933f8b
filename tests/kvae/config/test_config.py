import dataclasses
import json

import numpy as np
import pytest

from kvae.config import (
    Config,
    ConfigError,
    DataOptions,
    EvaluationOptions,
    ModelOptions,
    RunOptions,
    TrainingOptions,
    as_config,
    option_names,
)
from kvae.config.all_options import hyperparameters, marked
from kvae.config.command_line import parse
from kvae.config.marks import Mark
from kvae.config.presets import WORLD_PRESETS
from kvae.config.size import for_pixels, for_sequences
from kvae.errors import UserError

# The original's options, and then ours.
DEFAULTS = {
    "dataset": "box",
    "out_distr": "bernoulli",
    "conv": True,
    "activation": "relu",
    "filter_size": 3,
    # Of the original 32, 32, 32: what ours chooses for its 32x32 frames.
    "num_filters": [],
    "vae_num_units": 25,
    "num_layers": 2,
    "noise_pixel_var": 0.1,
    "use_vae": True,
    "dim_a": 2,
    "dim_z": 4,
    "dim_u": 1,
    "use_controls": True,
    "K": 3,
    "noise_emission": 0.03,
    "noise_transition": 0.08,
    "init_cov": 20.0,
    "alpha_rnn": True,
    "alpha_units": 50,
    "alpha_layers": 2,
    "alpha_activation": "relu",
    "fifo_size": 1,
    "learn_noise": False,
    "learn_offset": False,
    "learn_u": False,
    "batch_size": 32,
    "init_lr": 0.007,
    "init_kf_matrices": 0.05,
    "max_grad_norm": 150.0,
    "scale_reconstruction": 0.3,
    "decode_share": 1.0,
    "only_vae_epochs": 0,
    "kf_update_steps": 10,
    "refine_epochs": 0,
    "refine_miss_prob": 0.0,
    "decay_rate": 0.85,
    "decay_steps": 20,
    "sample_z": False,
    "num_epochs": 80,
    "train_miss_prob": 0.0,
    "t_init_train_miss": 3,
    "gpu": "",
    "strategy": "default",
    "init_model": "",
    "reload_model": "",
    "resume": "",
    "quiet": False,
    "profile": False,
    "deterministic": False,
    "run_name": "",
    "log_dir": "logs",
    "display_step": 1,
    "generate_step": 20,
    "n_steps_gen": 80,
    "t_init_mask": 4,
    "t_steps_mask": 12,
    "kf_elbo": "exact",
    "seed": 0,
    "validation_split": 0.1,
    "shuffle": True,
    "data_dir": "data",
    "frame_size": [32],
    "timesteps": 20,
    "stride": 0,
    "rate": 0.0,
    "grey_targets": False,
    "learn_pixel_var": False,
    "pixel_var_from_errors": False,
    "standardise": False,
    "warm_up": 0.0,
    "precision": "auto",
    "preset": "",
    "evaluate_on_samples": False,
    "model": "kvae",
    "num_paths": 1000,
    "channels": "auto",
}

# Two configurations that together have another value for every option.
CONVOLUTIONAL = {
    "dataset": "my/videos",
    "data_dir": "elsewhere",
    "frame_size": (48, 64),
    "timesteps": 25,
    "stride": 5,
    "rate": 2.5,
    "preset": "original",
    "out_distr": "gaussian",
    "channels": 3,
    "activation": "tanh",
    "filter_size": 5,
    "num_filters": (8, 16),
    "noise_pixel_var": 0.2,
    "learn_pixel_var": True,
    "pixel_var_from_errors": True,
    "standardise": True,
    "use_vae": False,
    "dim_a": 3,
    "dim_z": 5,
    "dim_u": 2,
    "K": 7,
    "noise_emission": 0.04,
    "noise_transition": 0.09,
    "init_cov": 1e-7,
    "init_kf_matrices": 0.0,
    "alpha_rnn": False,
    "alpha_units": 20,
    "alpha_layers": 3,
    "alpha_activation": "elu",
    "fifo_size": 4,
    "learn_noise": True,
    "learn_offset": True,
    "learn_u": True,
    "kf_elbo": "sampled",
    "batch_size": 16,
    "num_epochs": 3,
    "init_lr": 0.001,
    "decay_rate": 1.0,
    "decay_steps": 5,
    "max_grad_norm": 10.0,
    "scale_reconstruction": 1.0,
    "decode_share": 0.5,
    "warm_up": 0.25,
    "only_vae_epochs": 2,
    "kf_update_steps": 0,
    "refine_epochs": 5,
    "refine_miss_prob": 0.3,
    "sample_z": True,
    "train_miss_prob": 0.25,
    "t_init_train_miss": 0,
    "validation_split": 0.2,
    "shuffle": False,
    "seed": 2**31 - 1,
    "precision": "bfloat16",
    "gpu": "0,1",
    "strategy": "mirrored",
    "t_init_mask": 5,
    "t_steps_mask": 6,
    "n_steps_gen": 30,
    "evaluate_on_samples": True,
    "num_paths": 0,
    "display_step": 2,
    "generate_step": 7,
    "log_dir": "runs",
    "run_name": "a name, with é",
    "init_model": "logs/first_kvae",
    "reload_model": "logs/old_kvae",
    "resume": "logs/cut_kvae",
    "quiet": True,
    "profile": True,
    "deterministic": True,
}
PERCEPTRON = {
    "conv": False,
    "vae_num_units": 10,
    "num_layers": 4,
    "use_controls": False,
    "model": "vae_rnn",
    "grey_targets": True,
}


def test_the_defaults_are_the_documented_ones():
    assert Config().to_dict() == DEFAULTS
    assert sorted(option_names()) == sorted(DEFAULTS)


def test_every_option_survives_json():
    seen = set()
    for options in (CONVOLUTIONAL, PERCEPTRON):
        config = Config(**options)
        assert {name: getattr(config, name) for name in options} == options
        again = Config.from_json(config.to_json())
        assert again == config
        for name in option_names():
            assert type(getattr(again, name)) is type(getattr(config, name)), name
        # What stands in the file is plain JSON, so that others can read it.
        plain = json.loads(config.to_json())
        assert plain == config.to_dict()
        seen |= {name for name in plain if plain[name] != DEFAULTS[name]}
    assert seen == set(DEFAULTS)


def test_missing_options_take_their_defaults():
    assert Config.from_dict({"K": 5}) == Config(K=5)
    assert Config.from_json("{}") == Config()


def test_only_a_trained_model_can_do_without_epochs():
    config = Config(num_epochs=0, init_model="logs/first_kvae", refine_epochs=3)
    assert config.num_epochs == 0
    for options in ({"init_model": "logs/first_kvae"}, {"refine_epochs": 3}):
        with pytest.raises(ConfigError, match="num_epochs must be at least 1"):
            Config(num_epochs=0, **options)


def test_an_option_of_earlier_versions_is_left_out_and_named_where_it_did_something(recwarn):
    assert Config.from_dict({"K": 5, "warmup_epochs": 0, "warmup_scale": 5.0}) == Config(K=5)
    assert not recwarn
    with pytest.warns(UserWarning, match="warmup_epochs is no option any more: 3 is ignored"):
        assert Config.from_dict({"warmup_epochs": 3}) == Config()


def test_an_unknown_option_is_told_the_known_ones():
    with pytest.raises(ConfigError) as error:
        Config.from_dict({"dim_zz": 3})
    message = str(error.value)
    assert "'dim_zz'" in message
    assert all(name in message for name in DEFAULTS)


# --- by group and by mark ---


def test_all_options_are_in_one_group_and_there_once():
    groups = (DataOptions, ModelOptions, TrainingOptions, EvaluationOptions, RunOptions)
    assert option_names() == [name for group in groups for name in option_names(group)]
    assert len(set(option_names())) == len(option_names())


def test_a_model_s_options_alone_are_a_configuration_with_the_others_at_their_defaults():
    assert as_config(None) == Config()
    config = Config(dataset="pendulum", K=5)
    assert as_config(config) is config
    for options in ({}, {"dim_a": 3, "num_filters": [8]}, {"model": "ae_rnn"}, {"learn_u": True}):
        assert as_config(ModelOptions(**options)) == Config(**options)


def test_what_is_legal_for_a_model_does_not_depend_on_the_dataset_s_name():
    options = {"timesteps": 100, "frame_size": (16,), "stride": 3}
    for dataset in ("box", "pendulum", "my/videos", "no such world"):
        assert Config.from_dict({"dataset": dataset, **options}).timesteps == 100
    assert Config(timesteps=100).timesteps == 100
    assert Config(frame_size=(16,)).frame_size == (16,)


@pytest.mark.parametrize(
    ("mark", "names"),
    [
        # With those of EvaluationOptions.
        (
            Mark.RELOAD,
            "dataset data_dir frame_size timesteps stride rate gpu precision batch_size log_dir run_name "
            "reload_model quiet",
        ),
        (
            Mark.COMMAND,
            "gpu strategy run_name log_dir n_steps_gen reload_model display_step generate_step quiet profile",
        ),
        (Mark.RESUME, "resume gpu strategy quiet profile"),
        (Mark.PLACE, "log_dir data_dir run_name reload_model gpu quiet profile"),
        (Mark.FIRST_PHASE, "warm_up only_vae_epochs kf_update_steps"),
        (Mark.OWN_VIDEOS, "frame_size timesteps stride rate"),
    ],
)
def test_marks_say_what_an_option_may_do(mark, names):
    assert marked(mark) == set(names.split())


def test_hyperparameters_are_what_touches_what_is_learned():
    others = (
        "gpu strategy run_name log_dir n_steps_gen reload_model display_step generate_step quiet profile "
        "data_dir resume t_init_mask t_steps_mask num_paths evaluate_on_samples"
    ).split()
    assert hyperparameters() == [name for name in option_names() if name not in others]


# --- where options start ---


@pytest.mark.parametrize("world", [*WORLD_PRESETS, "gym:Pendulum-v1", "my_worlds:circle"])
def test_a_world_starts_where_the_command_does(world):
    assert Config.for_world(world) == parse(["--dataset", world], None)
    options = {"preset": "quick", "init_lr": 0.004, "model": "vae_rnn"}
    words = [f"--{name}={value}" for name, value in options.items()]
    assert Config.for_world(world, **options) == parse(["--dataset", world, *words], None)


@pytest.mark.parametrize("given", [{}, {"num_epochs": 7}, {"batch_size": 4, "alpha_units": 9}])
@pytest.mark.parametrize("is_grey", [False, True])
@pytest.mark.parametrize("shape", [(6, 20, 8, 8), (400, 10, 8, 8)])
def test_videos_start_where_the_command_does(shape, is_grey, given):
    videos = np.zeros(shape, np.uint8)
    videos[0, 0, 0, 0] = 7 if is_grey else 255
    words = [f"--{name}={value}" for name, value in ({"timesteps": shape[1]} | given).items()]
    command = parse(["--dataset", "my.npz", "--frame_size=8,8", *words], None)
    expected = for_pixels(for_sequences(command, shape[0], shape[1], given), not is_grey, given)
    found = Config.for_videos(videos, **given)
    assert found == dataclasses.replace(expected, dataset="videos_in_memory")
    assert found.to_dict().items() >= given.items()
    assert found.out_distr == ("gaussian" if is_grey else "bernoulli")
    of_world = Config.for_world("box", videos, **given)
    assert of_world == for_sequences(parse(["--dataset=box", *words[1:]], None), *shape[:2], given)


def test_missing_frames_say_nothing_of_pixels():
    videos, mask = np.zeros([4, 6, 8, 8]), np.ones([4, 6])
    videos[0, 1], mask[0, 1] = np.nan, 0
    assert Config.for_videos(videos, mask).out_distr == "bernoulli"
    assert Config.for_videos(videos, mask, out_distr="gaussian").out_distr == "gaussian"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda videos: Config.for_world("bxo_gravity"),
            "no world 'bxo_gravity'. Did you mean 'box_gravity'?",
        ),
        (
            lambda videos: Config.for_world("xyz"),
            "There is no world 'xyz'. The worlds are: ",
        ),
        (
            lambda videos: Config.for_world("clips/"),
            "videos of your own: Config.for_videos(videos). The worlds",
        ),
        (lambda videos: Config.for_world("box", stride=3), "stride=3 has no effect with dataset=box"),
        (lambda videos: Config.for_world("box", k=3), "Unknown option 'k'. Options are: dataset, "),
        (lambda videos: Config.for_world("box", K=0), "K must be at least 1"),
        (
            lambda videos: Config.for_world("box", init_model="box"),
            "init_model='box' starts from the options of",
        ),
        (lambda videos: Config.for_videos(videos, K=0), "K must be at least 1"),
        (
            lambda videos: Config.for_videos(videos, dataset="box"),
            "dataset='box' is none of videos of your own",
        ),
        (
            lambda videos: Config.for_videos(videos, resume="logs/a"),
            "resume='logs/a' starts from the options",
        ),
        (lambda videos: Config.for_videos(videos, frame_size=(32,)), "the frames that are given are 8x8"),
        (lambda videos: Config.for_videos(videos, rate=5), "rate=5.0 has no effect on arrays"),
        (lambda videos: Config.for_videos(videos[0]), "videos must be [B, T, H, W]"),
        (lambda videos: Config.for_videos(list(videos), timesteps=9), "at most 6, the length of the longest"),
    ],
)
def test_where_nothing_can_start_it_is_said_in_words(make, message):
    with pytest.raises(UserError) as error:
        make(np.zeros([4, 6, 8, 8], np.uint8))
    assert message in str(error.value)
