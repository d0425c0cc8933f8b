import dataclasses

import pytest

from kvae.config import Config, ConfigError, DataOptions, EvaluationOptions, ModelOptions
from kvae.config.rules import idle_setting

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
    "vae_num_units": {"conv": False},
    "num_layers": {"conv": False},
    "alpha_layers": {"alpha_rnn": False},
    "alpha_activation": {"alpha_rnn": False},
    "fifo_size": {"alpha_rnn": False},
    "noise_pixel_var": {"out_distr": "gaussian"},
    "t_init_train_miss": {"train_miss_prob": 0.5},
    "n_steps_gen": {"t_init_mask": 1},
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in AT_LEAST_ONE for value in (0, -1)]
    + [(name, -1) for name in AT_LEAST_ZERO]
    + [("init_kf_matrices", -0.01), ("seed", 2**31), ("num_paths", 1)]
    + [(name, value) for name in ABOVE_ZERO for value in (0.0, -0.5, float("nan"), float("inf"))]
    + [(name, value) for name in ("decay_rate", "decode_share") for value in (0.0, -0.1, 1.01, float("nan"))]
    + [(name, value) for name in ("train_miss_prob", "warm_up") for value in (-0.01, 1.01, float("nan"))]
    + [("num_filters", value) for value in ((0,), (4, -4))]
    + [("frame_size", [])]
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
    + [
        ("init_kf_matrices", 0),
        ("seed", 2**31 - 1),
        ("decay_rate", 1.0),
        ("decay_rate", 1e-9),
        ("decode_share", 1.0),
    ]
    + [("train_miss_prob", 0.0), ("train_miss_prob", 1.0), ("num_filters", (1,))]
    + [("gpu", value) for value in ("", "cpu", "0", "3", "0,1", "0, 1")],
)
def test_values_at_the_bounds_work(name, value):
    config = Config(**{**WHAT_MAKES_IT_MATTER.get(name, {}), name: value})
    assert getattr(config, name) == value


@pytest.mark.parametrize("sides", [(1, 2, 3), (5000,), (0,)])
def test_sides_of_frames_have_bounds(sides):
    with pytest.raises(ConfigError, match="frame_size must be a side such as 32, or HEIGHT,WIDTH"):
        DataOptions(frame_size=sides)


@pytest.mark.parametrize(("name", "value"), [("timesteps", 1), ("timesteps", 20_000)])
def test_a_sequence_has_a_length(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be at"):
        DataOptions(**{name: value})


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


OF_THE_KVAE = (
    "dim_z noise_transition init_cov init_kf_matrices alpha_network alpha_rnn alpha_layers "
    "alpha_activation fifo_size learn_noise learn_offset learn_u kf_elbo sample_z num_paths use_vae "
    "search"
).split()


OF_CODES = ["noise_emission", "evaluate_on_samples", "refine_epochs"]


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("vae_rnn", ["K"]),
        ("ae_rnn", ["K", "refine_epochs"]),
        ("dvbf", OF_CODES),
        ("dmm", ["K", *OF_CODES]),
    ],
)
def test_what_means_nothing_to_a_rival_is_refused(model, more):
    idle = [field.name for field in dataclasses.fields(Config) if idle_setting(field, {"model": model})]
    assert sorted(idle) == sorted([*OF_THE_KVAE, *more])
    with pytest.raises(ConfigError) as error:
        ModelOptions(model=model, dim_z=9)
    assert str(error.value) == f"dim_z=9 has no effect with model={model}: leave dim_z out, or change model"


def test_a_group_is_checked_on_its_own():
    assert ModelOptions(dim_a=3, num_filters=[8]).num_filters == (8,)
    for options, message in (
        ({"dim_a": 0}, "dim_a must be at least 1. Received: 0"),
        ({"dim_a": 1001}, "dim_a must be at most 1000. Received: 1001"),
        ({"K": "3"}, "K must be of type int. Received: '3'"),
        ({"fifo_size": 2}, "fifo_size=2 has no effect with alpha_rnn=True: leave fifo_size out, or"),
        ({"dim_z": 900, "K": 900}, "K, dim_z, dim_a and dim_u would make an array of 732,240,000 weights"),
    ):
        with pytest.raises(ConfigError) as error:
            ModelOptions(**options)
        assert str(error.value).startswith(message)
    with pytest.raises(ConfigError, match="n_steps_gen=3"):
        EvaluationOptions(n_steps_gen=3)
    # It has no effect with an option of another group, which is not there.
    assert not DataOptions(use_controls=False).use_controls


def test_it_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().K = 4
