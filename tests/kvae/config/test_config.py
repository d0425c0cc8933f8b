import dataclasses
import json

import pytest

from kvae.config import Config, ConfigError, option_names

# The original's options, and then ours.
DEFAULTS = {
    "dataset": "box",
    "out_distr": "bernoulli",
    "conv": True,
    "activation": "relu",
    "filter_size": 3,
    "num_filters": [32, 32, 32],
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
    "only_vae_epochs": 0,
    "kf_update_steps": 10,
    "refine_epochs": 0,
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
    "shuffle": True,
    "data_dir": "data",
    "frame_size": [32],
    "timesteps": 20,
    "stride": 0,
    "learn_pixel_var": False,
    "precision": "auto",
    "preset": "",
    "evaluate_on_samples": False,
    "model": "kvae",
    "num_paths": 1000,
}

# Two configurations that together have another value for every option.
CONVOLUTIONAL = {
    "dataset": "my/videos",
    "data_dir": "elsewhere",
    "frame_size": (48, 64),
    "timesteps": 25,
    "stride": 5,
    "preset": "original",
    "out_distr": "gaussian",
    "activation": "tanh",
    "filter_size": 5,
    "num_filters": (8, 16),
    "noise_pixel_var": 0.2,
    "learn_pixel_var": True,
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
    "only_vae_epochs": 2,
    "kf_update_steps": 0,
    "refine_epochs": 5,
    "sample_z": True,
    "train_miss_prob": 0.25,
    "t_init_train_miss": 0,
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
PERCEPTRON = {"conv": False, "vae_num_units": 10, "num_layers": 4, "use_controls": False, "model": "vae_rnn"}

AT_LEAST_ONE = (
    "filter_size vae_num_units num_layers dim_a dim_z dim_u K alpha_units alpha_layers fifo_size batch_size "
    "num_epochs decay_steps t_init_mask t_steps_mask n_steps_gen display_step generate_step"
).split()
AT_LEAST_ZERO = (
    "only_vae_epochs kf_update_steps refine_epochs num_paths t_init_train_miss seed stride"
).split()
ABOVE_ZERO = (
    "noise_pixel_var noise_emission noise_transition init_cov init_lr max_grad_norm scale_reconstruction"
).split()
WHAT_MAKES_IT_MATTER = {
    "stride": {"dataset": "my/videos"},
    "vae_num_units": {"conv": False},
    "num_layers": {"conv": False},
    "alpha_layers": {"alpha_rnn": False},
    "alpha_activation": {"alpha_rnn": False},
    "fifo_size": {"alpha_rnn": False},
    "noise_pixel_var": {"out_distr": "gaussian"},
    "t_init_train_miss": {"train_miss_prob": 0.5},
    "n_steps_gen": {"t_init_mask": 1},
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


def test_kinds_are_brought_into_line():
    config = Config(num_filters=[8, 4], init_cov=5, num_epochs=1)
    assert config.num_filters == (8, 4)
    assert isinstance(config.num_filters, tuple)
    assert config.init_cov == 5.0
    assert isinstance(config.init_cov, float)
    assert Config(num_filters=[32, 32, 32]) == Config()
    assert hash(config) == hash(Config(num_filters=(8, 4), init_cov=5.0, num_epochs=1))


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().K = 4


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in AT_LEAST_ONE for value in (0, -1)]
    + [(name, -1) for name in AT_LEAST_ZERO]
    + [("init_kf_matrices", -0.01), ("seed", 2**31), ("num_paths", 1)]
    + [(name, value) for name in ABOVE_ZERO for value in (0.0, -0.5, float("nan"), float("inf"))]
    + [("decay_rate", value) for value in (0.0, -0.1, 1.01, float("nan"))]
    + [("train_miss_prob", value) for value in (-0.01, 1.01, float("nan"))]
    + [("num_filters", value) for value in ((0,), (4, -4), [])]
    + [("dataset", ""), ("run_name", "a/b"), ("run_name", "a\\b"), ("run_name", "a\0b")]
    + [("gpu", value) for value in ("gpu", "-1", "0,", ",", "0;1", "0.5", "CPU", "²")],
)
def test_values_out_of_bounds_are_refused(name, value):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    assert str(error.value).startswith(f"{name} must be ")
    assert str(error.value).endswith(f"Received: {value!r}")


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, 1) for name in AT_LEAST_ONE]
    + [(name, 0) for name in AT_LEAST_ZERO]
    + [(name, 1e-30) for name in ABOVE_ZERO]
    + [("init_kf_matrices", 0), ("seed", 2**31 - 1), ("decay_rate", 1.0), ("decay_rate", 1e-9)]
    + [("train_miss_prob", 0.0), ("train_miss_prob", 1.0), ("num_filters", (1,))]
    + [("gpu", value) for value in ("", "cpu", "0", "3", "0,1", "0, 1")],
)
def test_values_at_the_bounds_work(name, value):
    config = Config(**{**WHAT_MAKES_IT_MATTER.get(name, {}), name: value})
    assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("K", "3"),
        ("K", 3.0),
        ("K", True),
        ("K", None),
        ("init_lr", "0.1"),
        ("init_lr", True),
        ("conv", 1),
        ("conv", "False"),
        ("dataset", 3),
        ("gpu", 0),
        ("run_name", None),
        ("num_filters", 32),
        ("num_filters", "32,32"),
        ("num_filters", (4.0,)),
        ("num_filters", (True,)),
        ("num_filters", ("4",)),
    ],
)
def test_wrong_types_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be .*Received: ") as error:
        Config(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "one_that_works"),
    [
        ("activation", "sigmoid", "elu"),
        ("alpha_activation", "Relu", "tanh"),
        ("out_distr", "normal", "gaussian"),
        ("kf_elbo", "", "sampled"),
        ("precision", "float16", "bfloat16"),
        ("preset", "orginal", "original"),
        ("activation", ["relu"], "relu"),
    ],
)
def test_a_wrong_choice_is_told_the_right_ones(name, value, one_that_works):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    for part in (name, repr(value), repr(one_that_works)):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("options", "ignored", "because"),
    [
        ({"alpha_layers": 3}, "alpha_layers", "alpha_rnn=True"),
        ({"alpha_activation": "tanh"}, "alpha_activation", "alpha_rnn=True"),
        ({"fifo_size": 2}, "fifo_size", "alpha_rnn=True"),
        ({"conv": False, "filter_size": 5}, "filter_size", "conv=False"),
        ({"conv": False, "num_filters": (4,)}, "num_filters", "conv=False"),
        ({"vae_num_units": 10}, "vae_num_units", "conv=True"),
        ({"num_layers": 3}, "num_layers", "conv=True"),
        ({"noise_pixel_var": 0.2}, "noise_pixel_var", "out_distr=bernoulli"),
        ({"learn_pixel_var": True}, "learn_pixel_var", "out_distr=bernoulli"),
        ({"t_init_train_miss": 5}, "t_init_train_miss", "train_miss_prob=0"),
        ({"learn_u": True, "use_controls": False}, "use_controls", "learn_u=True"),
    ],
)
def test_an_option_without_effect_is_refused(options, ignored, because):
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert f"{ignored}=" in str(error.value)
    assert f"no effect with {because}" in str(error.value)


def test_a_generation_holds_its_given_frames():
    assert Config(n_steps_gen=4).n_steps_gen == 4
    with pytest.raises(ConfigError, match=r"at least t_init_mask \(4\)\. Received: n_steps_gen=3"):
        Config(n_steps_gen=3)


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


@pytest.mark.parametrize("sides", [(1, 2, 3), (5000,), (0,)])
def test_sides_of_frames_have_bounds(sides):
    with pytest.raises(ConfigError, match="frame_size must be a side such as 32, or HEIGHT,WIDTH"):
        Config(dataset="my/videos", frame_size=sides)


@pytest.mark.parametrize(("name", "value"), [("timesteps", 1), ("timesteps", 20_000)])
def test_a_sequence_has_a_length(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be at"):
        Config(dataset="my/videos", **{name: value})


@pytest.mark.parametrize("options", [{"frame_size": (64,)}, {"timesteps": 10}, {"stride": 4}])
def test_options_of_own_videos_mean_nothing_to_a_world(options):
    with pytest.raises(ConfigError, match="has no effect with dataset=box"):
        Config(**options)
