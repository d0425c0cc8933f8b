import dataclasses

import pytest

from kvae.config import Config, ConfigError, option_names
from kvae.config.command_line import parse
from kvae.config.marks import IdleWith, beside
from kvae.config.presets import OWN_VIDEOS, PRESETS, WORLD_PRESETS
from kvae.config.start import first_phases_over, preset_options, trained_on

DATASETS = [*WORLD_PRESETS, "my/videos"]


def configure(*arguments):
    return parse(arguments, None)


def changed(config, other):
    return {name for name in option_names() if getattr(config, name) != getattr(other, name)}


def test_a_preset_lies_above_what_the_world_starts_from(monkeypatch):
    monkeypatch.setitem(WORLD_PRESETS, "moon", {"K": 7, "batch_size": 4})
    assert preset_options("", "moon") == {"K": 7, "batch_size": 4}
    assert preset_options("quick", "moon") == {"K": 7, **PRESETS["quick"]}
    assert preset_options("none", "moon") == {}
    assert preset_options("", "sun") == preset_options("none", "sun") == {}


@pytest.mark.parametrize(
    ("given", "shown", "hidden"),
    [
        ({}, 4, 12),
        ({"timesteps": 10}, 2, 6),
        ({"timesteps": 2}, 1, 1),
        ({"timesteps": 50}, 4, 30),
        ({"t_init_mask": 12}, 4, 8),
    ],
)
def test_masks_of_own_videos_go_with_their_length(given, shown, hidden):
    options = preset_options("", "my/videos", given=given)
    assert options["t_init_mask"] == shown
    assert options["t_steps_mask"] == hidden
    assert given.get("t_init_mask", shown) + hidden <= given.get("timesteps", 20)


def test_own_videos_may_be_black_and_white():
    grey = preset_options("", "my/videos")
    assert grey.items() >= OWN_VIDEOS.items()
    assert Config(dataset="my/videos", **grey).learn_pixel_var
    options = preset_options("", "my/videos", given={"out_distr": "bernoulli"})
    config = Config(**{**options, "dataset": "my/videos", "out_distr": "bernoulli"})
    assert (config.K, config.learn_pixel_var) == (9, False)
    of_rival = preset_options("", "my/videos", {"model": "ae_rnn"})
    assert Config(**of_rival, model="ae_rnn", dataset="my/videos")
    assert preset_options("none", "my/videos") == {}


# --- a preset gives way ---


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_it_gives_way_to_whatever_is_asked_for(dataset, preset):
    fields = dataclasses.fields(Config)
    asked = {
        (idle.option, value) for field in fields for idle in beside(field, IdleWith) for value in idle.values
    }
    assert {("out_distr", "bernoulli"), ("model", "vae_rnn"), ("conv", False), ("learn_u", True)} <= asked
    for name, value in asked:
        config = configure("--dataset", dataset, f"--{name}={value}", "--preset", preset)
        assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("words", "options", "with_them"),
    [
        ("--model vae_rnn", {"model": "vae_rnn"}, "dim_z K learn_noise learn_offset"),
        ("--model=ae_rnn", {"model": "ae_rnn"}, "dim_z K learn_noise learn_offset refine_epochs"),
        (
            "--out_distr bernoulli",
            {"out_distr": "bernoulli"},
            "noise_pixel_var learn_pixel_var pixel_var_from_errors",
        ),
        (
            "--out_distr=bernoulli",
            {"out_distr": "bernoulli"},
            "noise_pixel_var learn_pixel_var pixel_var_from_errors",
        ),
        (
            "--out-distr bernoulli",
            {"out_distr": "bernoulli"},
            "noise_pixel_var learn_pixel_var pixel_var_from_errors",
        ),
        ("--conv False", {"conv": False}, ""),
        ("--conv=False --vae_num_units 10", {"conv": False, "vae_num_units": 10}, ""),
        ("--learn_u", {"learn_u": True}, ""),
        ("--learn-u True", {"learn_u": True}, ""),
        ("--alpha_rnn False --fifo_size 4", {"alpha_rnn": False, "fifo_size": 4}, ""),
        ("--num_paths 0", {"num_paths": 0}, ""),
        ("--use_controls False", {"use_controls": False}, ""),
        ("--train_miss_prob 0.2", {"train_miss_prob": 0.2}, ""),
    ],
)
@pytest.mark.parametrize("dataset", DATASETS)
def test_only_what_hangs_on_an_option_goes_with_it(dataset, words, options, with_them):
    config, otherwise = configure("--dataset", dataset, *words.split()), configure("--dataset", dataset)
    assert {name: getattr(config, name) for name in options} == options
    assert changed(config, otherwise) <= {*options, *with_them.split()}
    for name in with_them.split():
        assert getattr(config, name) == getattr(Config, name), name


def test_a_pendulum_in_black_and_white():
    config, otherwise = (
        configure("--dataset", "pendulum", *more) for more in ([], ["--out_distr=bernoulli"])
    )
    assert changed(config, otherwise) == {"out_distr", "learn_pixel_var", "pixel_var_from_errors"}
    assert configure("--dataset", "pendulum", "--preset", "quick").pixel_var_from_errors


def test_what_is_left_out_may_be_what_another_option_needed(monkeypatch):
    monkeypatch.setitem(WORLD_PRESETS, "moon", {"alpha_rnn": False, "fifo_size": 4, "alpha_units": 7})
    assert preset_options("", "moon") == WORLD_PRESETS["moon"]
    assert preset_options("", "moon", {"alpha_rnn": True}) == {"alpha_rnn": False, "alpha_units": 7}
    assert preset_options("", "moon", {"model": "vae_rnn"}) == {"alpha_units": 7}


@pytest.mark.parametrize(
    "words",
    [
        "--dataset pendulum --out_distr bernoulli --learn_pixel_var True",
        "--dataset pendulum --out_distr bernoulli --noise_pixel_var 0.01",
        "--dataset box --noise_pixel_var 0.01",
        "--dataset box --model vae_rnn --K 5",
        "--dataset box --learn_u --use_controls False",
        "--dataset my/videos --conv False --num_filters 8,8",
    ],
)
def test_who_contradicts_himself_is_refused(words, capsys):
    # Of two options of one group the command line says so itself.
    with pytest.raises((SystemExit, ConfigError)) as refused:
        configure(*words.split())
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "has no effect with" in said or "has no effect with" in str(refused.value)
    assert getattr(refused.value, "code", 2) == 2


# --- an earlier run ---


def test_what_comes_with_a_model_that_is_trained_on():
    assert trained_on() == set(
        "preset model channels out_distr grey_targets likelihood conv activation standardise filter_size "
        "num_filters vae_num_units "
        "num_layers noise_pixel_var learn_pixel_var pixel_var_from_errors use_vae dim_a dim_z dim_u K "
        "noise_emission noise_transition init_cov init_kf_matrices alpha_network alpha_rnn alpha_units "
        "alpha_layers alpha_activation fifo_size learn_noise learn_offset learn_u".split()
    )
    assert first_phases_over() == {"warm_up": 0, "only_vae_epochs": 0, "kf_update_steps": 0}


def test_of_own_videos_goes_on_with_a_world():
    run = Config(dataset="my/videos", timesteps=100, frame_size=(16,)).to_dict()
    for option in ("--init_model", "--reload_model"):
        config = parse([option, "the/run", "--dataset", "box"], lambda path: run)
        assert (config.dataset, config.timesteps) == ("box", 100)
        with pytest.raises(ConfigError, match="timesteps=30 has no effect with dataset=box"):
            parse([option, "the/run", "--dataset", "box", "--timesteps", "30"], lambda path: run)
