import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from experiments.compare import PLACES, command_of
from kvae.config.command_line import parse

RUNS = Path(__file__).parents[2] / "results" / "runs"


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ("reproduce_box_0_kvae", "--dataset box"),
        ("reproduce_box_2_ae_rnn", "--dataset box --model ae_rnn --seed 2"),
    ],
)
def test_the_command_of_a_run_of_an_earlier_version(run, command):
    options = json.loads((RUNS / run / "config.json").read_text())["options"]
    assert "warmup_epochs" in options
    assert command_of(options) == f"python run_kvae.py {command}"


@pytest.mark.parametrize(
    "words",
    [
        "--dataset pendulum --out_distr bernoulli",
        "--dataset box --model vae_rnn --preset quick",
        "--dataset my/videos --timesteps 10",
        "--dataset my/videos --timesteps 10 --t_init_mask 4 --frame_size 48,64",
    ],
)
def test_the_command_makes_the_run_and_says_no_more_than_it_must(words):
    config = parse(words.split(), None)
    command = shlex.split(command_of(config.to_dict()))[2:]
    assert sorted(command) == sorted(words.split())
    assert parse(command, None) == config
    elsewhere = dataclasses.replace(config, run_name="a", log_dir="b", data_dir="c", gpu="cpu", quiet=True)
    assert {"run_name", "log_dir", "data_dir", "gpu", "quiet"} <= PLACES
    assert shlex.split(command_of(elsewhere.to_dict()))[2:] == command
