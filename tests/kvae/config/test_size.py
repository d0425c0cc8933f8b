import dataclasses
import math

import pytest

from kvae.config import Config, ConfigError
from kvae.config.command_line import given_options, parse
from kvae.config.presets import WORLD_PRESETS, WORLD_SEQUENCES
from kvae.config.size import FEW, FEWEST, LEAST_EPOCHS, REFINE_BATCH, for_pixels, for_sequences, in_words
from simulation import make_world

FALLS = 15
"""How often the learning rate falls, in what worlds and own videos start from."""


def of(num_sequences, *words, num_steps=20):
    return for_sequences(parse(words, None), num_sequences, num_steps, given_options(words))


@pytest.mark.parametrize("dataset", [*WORLD_PRESETS, "my.npz", "gym:CartPole-v1"])
@pytest.mark.parametrize("num_sequences", [1, 100, 1000, 10_000, 1_000_000])
def test_a_training_has_as_many_updates_whatever_the_number_of_sequences(dataset, num_sequences):
    config = of(num_sequences, "--dataset", dataset)
    start = parse(["--dataset", dataset], None)
    meant_for = WORLD_SEQUENCES.get(dataset, 540)
    wanted = start.num_epochs * math.ceil(meant_for / start.batch_size)
    updates = config.num_epochs * math.ceil(num_sequences / config.batch_size)
    if updates > wanted:
        assert config.num_epochs >= LEAST_EPOCHS
    if config.num_epochs > LEAST_EPOCHS:
        assert updates == pytest.approx(wanted, rel=0.05)
    assert config.num_epochs / config.decay_steps == pytest.approx(FALLS, rel=0.1)
    assert config.kf_update_steps / config.num_epochs == pytest.approx(
        max(start.kf_update_steps / start.num_epochs, 1 / config.num_epochs), rel=0.1
    )
    assert config.num_epochs / config.display_step < 160


@pytest.mark.parametrize("dataset", [*WORLD_PRESETS, "my.npz"])
def test_as_many_sequences_as_are_meant_change_nothing(dataset):
    count = WORLD_SEQUENCES.get(dataset, 540)
    found, start = of(count, "--dataset", dataset), parse(["--dataset", dataset], None)
    if count < 5000:
        # But that few frames are hidden in the last phase, which is longer.
        found = dataclasses.replace(found, refine_miss_prob=0.0, refine_epochs=start.refine_epochs)
    assert found == start


@pytest.mark.parametrize("dataset", WORLD_PRESETS)
def test_a_world_s_own_data_are_learned_from_for_as_long_as_its_preset_says(dataset):
    count, epochs = make_world(dataset).num_train, parse(["--dataset", dataset], None).num_epochs
    # The swinging line has been given as many updates as the boxes.
    times = 5000 / count if dataset == "swinging_line" else 1
    assert of(count, "--dataset", dataset).num_epochs == pytest.approx(times * epochs, rel=0.02)


@pytest.mark.parametrize("dataset", WORLD_PRESETS)
def test_the_quick_preset_makes_as_many_updates_in_every_world(dataset):
    config = of(500, "--dataset", dataset, "--preset", "quick")
    assert config.num_epochs * math.ceil(500 / config.batch_size) == pytest.approx(13 * 5000 / 16, rel=0.01)


@pytest.mark.parametrize(
    ("dataset", "is_two_valued", "words", "pixels"),
    [
        ("my.npz", True, (), ("bernoulli", False)),
        ("my.npz", False, (), ("gaussian", True)),
        ("my.npz", True, ("--out_distr", "gaussian"), ("gaussian", True)),
        ("my.npz", True, ("--noise_pixel_var", "0.02"), ("gaussian", True)),
        ("my.npz", True, ("--preset", "none"), ("bernoulli", False)),
        ("box", True, (), ("bernoulli", False)),
        ("pendulum", True, (), ("gaussian", True)),
    ],
)
def test_own_videos_in_black_and_white_have_pixels_of_0_and_1(dataset, is_two_valued, words, pixels):
    words = ("--dataset", dataset, *words)
    config = for_pixels(parse(words, None), is_two_valued, given_options(words))
    assert (config.out_distr, config.learn_pixel_var) == pixels
    assert config.K == parse(words, None).K


@pytest.mark.parametrize("dataset", ["box", "pong", "my.npz"])
def test_of_few_frames_dynamics_are_not_learned_by_heart(dataset):
    fewest, few, many = (of(count, "--dataset", dataset) for count in (100, 500, 5000))
    for config, is_mlp, hides in ((fewest, True, True), (few, False, True), (many, False, False)):
        assert (FEWEST.items() <= config.to_dict().items()) == is_mlp
        assert (FEW.items() <= config.to_dict().items()) == hides
        assert (config.alpha_rnn, config.refine_miss_prob > 0) == (not is_mlp, hides)
    assert fewest.refine_epochs * math.ceil(100 / REFINE_BATCH) == 4000
    assert many.refine_epochs == 100
    # Whoever has said anything of it has chosen; and who wants no last phase hides nothing in it.
    assert of(100, "--dataset", dataset, "--alpha_units", "30").alpha_rnn
    assert of(100, "--dataset", dataset, "--refine_miss_prob", "0.1").refine_miss_prob == 0.1
    assert of(100, "--dataset", dataset, "--refine_epochs", "0").refine_miss_prob == 0.0
    for rival in ("vae_rnn", "ae_rnn"):
        assert of(100, "--dataset", dataset, "--model", rival).alpha_rnn
    assert of(100, "--dataset", dataset, "--preset", "none").alpha_rnn
    # Long videos have as many frames as many short ones.
    assert of(100, "--dataset", dataset, num_steps=500).refine_miss_prob == 0.0


def test_what_followed_is_said():
    before = parse(["--dataset", "my.npz"], None)
    assert in_words(before, before, 100) == []
    after = for_pixels(of(100, "--dataset", "my.npz"), True, {})
    epochs, hidden, mlp, pixels = in_words(before, after, 100)
    assert epochs == f"100 sequences: {after.num_epochs} epochs, as --num_epochs was not given"
    assert "--refine_miss_prob 0.4" in hidden
    assert "--alpha_rnn False" in mlp
    assert "--out_distr bernoulli" in pixels


def test_what_is_given_stays():
    words = "--dataset my.npz --num_epochs 24 --kf_update_steps 3".split()
    config = of(100, *words)
    # The rest goes with the epochs that were given.
    assert (config.num_epochs, config.decay_steps, config.kf_update_steps) == (24, 2, 3)
    assert of(100, *words, "--decay_steps", "8").decay_steps == 8
    assert of(100, "--preset", "original").num_epochs == 80
    assert of(100, "--preset", "none") == Config(preset="none")


@pytest.mark.parametrize(
    ("num_steps", "words", "masks"),
    [
        (20, (), (4, 12)),
        (16, (), (4, 12)),
        (10, (), (2, 6)),
        (3, (), (1, 1)),
        (10, ("--t_init_mask", "4"), (4, 12)),
        (100, (), (4, 12)),
    ],
)
def test_frames_are_shown_and_hidden_as_there_are(num_steps, words, masks):
    config = of(5000, *words, num_steps=num_steps)
    assert (config.t_init_mask, config.t_steps_mask) == masks


def test_a_search_of_all_is_of_what_was_not_given():
    assert of(100, "--dataset", "my.npz", "--search", "all").search == "alpha,refine_miss_prob,K,dim_z"
    found = of(
        100, "--dataset", "my.npz", "--search", "all", "--K", "4", "--fifo_size", "3", "--alpha_rnn=False"
    )
    assert found.search == "refine_miss_prob,dim_z"
    assert of(100, "--dataset", "my.npz", "--search", "K, dim_z").search == "K, dim_z"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--search", "K", "--K", "4"], "--K is given, so that --search has no K to choose"),
        (["--search", "alpha", "--alpha_units", "9"], "--alpha_units is given"),
    ],
)
def test_what_is_given_cannot_be_searched(words, told):
    with pytest.raises(ConfigError, match=told):
        of(100, "--dataset", "my.npz", *words)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"search": "units"}, "search must be all, or names out of alpha,refine_miss_prob,K,dim_z"),
        ({"search": "K", "refine_epochs": 0}, "no effect with refine_epochs=0"),
        ({"search": "K", "model": "vae_rnn"}, "no effect with model=vae_rnn"),
        ({"search": "K", "strategy": "mirrored"}, "search works on one device alone"),
        ({"search": "K,alpha", "alpha_network": "my:net"}, "no alpha to choose with alpha_network='my:net'"),
    ],
)
def test_a_search_that_cannot_be(options, told):
    with pytest.raises(ConfigError, match=told):
        Config(**{"refine_epochs": 3, **options})
