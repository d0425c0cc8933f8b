"""Trained models by name, from the library and from the commands."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import kvae
import run_kvae
from kvae.apply import __main__ as apply
from kvae.config import command_line
from kvae.config.presets import WORLD_PRESETS
from kvae.explore import __main__ as explore
from kvae.runs import pretrained
from kvae.runs.options import RunFolderError, check_model, model_file, read_identity, read_options

ROOT = Path(__file__).parents[3] / "pretrained"
NAMES = ["box", "box_gravity", "pendulum", "polygon", "pong"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_there_is_one_of_each_world_of_the_paper():
    # The other one is somebody else's yardstick: results/peers.
    assert kvae.pretrained() == NAMES == sorted({*WORLD_PRESETS} - {"swinging_line"})


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_run_of_the_world_of_its_name(name):
    assert pretrained.find(name) == ROOT / name
    assert read_options(name)["dataset"] == name
    assert read_identity(name) == read_identity(ROOT / name)
    assert model_file(name) == ROOT / name / "model.keras"
    check_model(name)


def test_a_name_loads_what_its_folder_does():
    found, expected = kvae.load("pendulum"), kvae.load(ROOT / "pendulum")
    assert found.config == expected.config
    for weight, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_what_is_there_wins():
    shutil.copytree(ROOT / "pong", "box")
    assert pretrained.find("box") == Path("box")
    assert read_options("box")["dataset"] == "pong"


def test_what_hides_a_trained_model_is_told():
    Path("box").mkdir()
    with pytest.raises(RunFolderError, match=r"no config\.json; the trained model of that name") as raised:
        kvae.load("box")
    assert str(raised.value).endswith(str(ROOT / "box"))


@pytest.mark.parametrize("path", ["bx", "Box", "logs"])
def test_another_name_is_told_which_there_are(path):
    with pytest.raises(
        RunFolderError, match=f"{path} is not a run folder: .*; nor is it .*: those are box, box_g"
    ):
        kvae.load(path)


@pytest.mark.parametrize("path", ["./box", "some/box", "box/model.keras", "", "."])
def test_what_is_more_than_a_name_is_a_path(path):
    with pytest.raises(RunFolderError) as raised:
        kvae.load(path)
    # Where a name may have been meant.
    assert ("trained model" in str(raised.value)) == (path == "./box")


def test_an_installed_package_has_them_inside(monkeypatch, tmp_path):
    (tmp_path / "trained" / "box").mkdir(parents=True)
    (tmp_path / "trained" / "box" / "model.keras").touch()
    monkeypatch.setattr(pretrained, "_INSTALLED", tmp_path / "trained")
    assert kvae.pretrained() == ["box"]
    assert pretrained.find("box") == tmp_path / "trained" / "box"


@pytest.mark.parametrize("option", ["--reload_model", "--init_model"])
def test_the_main_job_takes_a_name(option):
    config = command_line.parse([option, "pong"], read_options)
    of_run = json.loads((ROOT / "pong" / "config.json").read_text())["options"]
    assert (config.dataset, config.K) == ("pong", of_run["K"])


def test_a_trained_model_is_no_run_to_go_on_with(capsys):
    assert run_kvae.main(["--resume", "box"]) == 2
    assert capsys.readouterr().err == "Error: box is not the folder of a run that could go on\n"


def test_apply_takes_a_name(capsys):
    np.save("clip.npy", np.zeros([6, 32, 32], np.uint8))
    assert apply.main(["box", "clip.npy", "--hide", "3", "--samples", "1"]) == 0
    assert Path("clip_applied", "filled.mp4").stat().st_size > 0


def test_explore_takes_a_name(monkeypatch, capsys):
    monkeypatch.setattr(explore.importlib.util, "find_spec", lambda name: True)
    # Before anything is loaded, what is no model is refused, and a port that is none.
    assert explore.main(["box", "--port", "0"]) == 2
    assert "--port must be" in capsys.readouterr().err
    assert explore.main(["bx", "--port", "0"]) == 2
    assert "bx is not a run folder" in capsys.readouterr().err
