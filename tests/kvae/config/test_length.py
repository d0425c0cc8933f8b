import math

import pytest

from kvae.config import Config
from kvae.config.command_line import given_options, parse
from kvae.config.length import LEAST_EPOCHS, for_sequences
from kvae.config.presets import WORLD_PRESETS

FALLS = 15
"""How often the learning rate falls, in what worlds and own videos start from."""


def of(num_sequences, *words, num_steps=20):
    return for_sequences(parse(words, None), num_sequences, num_steps, given_options(words))


@pytest.mark.parametrize("dataset", [*WORLD_PRESETS, "my.npz", "gym:CartPole-v1"])
@pytest.mark.parametrize("num_sequences", [1, 100, 1000, 10_000, 1_000_000])
def test_a_training_has_as_many_updates_whatever_the_number_of_sequences(dataset, num_sequences):
    config = of(num_sequences, "--dataset", dataset)
    start = parse(["--dataset", dataset], None)
    meant_for = 5000 if dataset in WORLD_PRESETS else 540
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
    count = 5000 if dataset in WORLD_PRESETS else 540
    assert of(count, "--dataset", dataset) == parse(["--dataset", dataset], None)


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
