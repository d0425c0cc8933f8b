import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from experiments import compare
from kvae.config import Config
from kvae.config.command_line import parse
from kvae.config.frames import for_frames

ROOT = Path(__file__).parents[2]
KEPT = sorted(
    path.parent.relative_to(ROOT)
    for place in ("results", "pretrained")
    for path in (ROOT / place).rglob("config.json")
)


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
    command = shlex.split(compare.command_of(config.to_dict()))[2:]
    assert sorted(command) == sorted(words.split())
    assert parse(command, None) == config
    elsewhere = dataclasses.replace(config, run_name="a", log_dir="b", data_dir="c", gpu="cpu", quiet=True)
    assert {"run_name", "log_dir", "data_dir", "gpu", "quiet"} <= compare.PLACES
    assert shlex.split(compare.command_of(elsewhere.to_dict()))[2:] == command


def options_of(folder):
    return json.loads((ROOT / folder / "config.json").read_text())["options"]


def options_of_its_beginning(folder):
    """Those of a run in results/runs, where runs that others began with are kept."""
    return options_of(Path("results", "runs", Path(folder).name))


@pytest.mark.parametrize("world", ["box", "box_gravity"])
def test_the_tables_are_those_of_the_runs_that_are_kept(world, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert compare.main([f"results/runs/reproduce_{world}_0_kvae"]) == 0
    assert capsys.readouterr().out == (ROOT / "results" / f"{world}.md").read_text()


@pytest.mark.parametrize("folder", KEPT, ids=str)
def test_the_command_of_a_run_gives_its_options(folder):
    options = options_of(folder)
    words = shlex.split(compare.command_of(options))[2:]
    # What is left to the frames is what that version had for them.
    found = for_frames(parse(words, options_of_its_beginning), (32, 32)).to_dict()
    expected = for_frames(Config.from_dict(options), (32, 32)).to_dict()
    for name in compare.PLACES:
        del found[name], expected[name]
    assert found == expected


def test_a_retired_option_is_told_where_it_did_something():
    options = options_of(KEPT[0])
    assert "warmup" not in compare.command_of(options | {"warmup_epochs": 0, "warmup_scale": 5.0})
    assert " --warmup_epochs 5 " in compare.command_of(options | {"warmup_epochs": 5}) + " "


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "Best epoch by test bound"),
        ({"validation_split": 0.1}, "Best epoch by validation bound"),
        ({"validation_split": 0.0}, "Last epoch"),
    ],
)
def test_a_report_says_by_what_the_epoch_was_chosen(options, words):
    assert compare.chosen_by(options) == words
