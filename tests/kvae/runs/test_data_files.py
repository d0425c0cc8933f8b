"""Which files a run's data lie in: of the user, of a run, of a run from elsewhere, there or not."""

import json

import numpy as np
import pytest

from kvae.config import Config, ConfigError
from kvae.data import identity
from kvae.runs import data_files

RECIPE = {"world": "box", "seed": 7, "options": {"num_balls": 2}}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def of_split(digest="5f", recipe=RECIPE):
    return {"digest": digest, "shape": [32, 30, 8, 8], "files": 0, "recipe": recipe}


def known_as(**options):
    return {"use_controls": True, "train": of_split(**options), "test": of_split(**options)}


def simulate(config, recipe, is_named_by_user):
    """In the place of a simulation: what it is asked for."""
    return recipe, is_named_by_user


def run_of(tmp_path, **options):
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"options": Config(**options).to_dict()}))
    return str(folder)


def test_a_world_s_files_are_made_where_they_are_not_there():
    assert data_files.dataset_files(Config(), "", None, simulate) == (None, True)


@pytest.mark.parametrize("training", ["box.npz", "box/train-00000-of-00001.npz"])
def test_files_that_are_there_are_taken_whoever_names_them(training, tmp_path):
    for name in (training, "box_test.npz"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    for source in ("", run_of(tmp_path)):
        assert data_files.dataset_files(Config(), source, known_as(), simulate) == (None, not source)


def test_a_run_s_own_data_are_made_anew_as_they_were(tmp_path, capsys):
    source = run_of(tmp_path)
    recipe, is_named_by_user = data_files.dataset_files(Config(), source, known_as(), simulate)
    assert recipe == identity.arguments_of_recipe(known_as())
    assert recipe["options"] == {"num_balls": 2}
    assert not is_named_by_user
    assert "simulated anew, as the run's were" in capsys.readouterr().out


def test_other_data_than_the_run_s_are_made_with_the_defaults_and_that_is_said(tmp_path, capsys):
    source = run_of(tmp_path)
    for config, known in ((Config(dataset="pong"), known_as()), (Config(), None)):
        assert data_files.dataset_files(config, source, known, simulate) == (None, False)
        assert f"simulated with the defaults of {config.dataset}" in capsys.readouterr().out


def test_data_of_which_it_is_not_known_how_they_were_made_are_asked_for(tmp_path):
    with pytest.raises(ConfigError, match=r"not in data\. Put the run's own files back into data"):
        data_files.dataset_files(Config(), run_of(tmp_path), known_as(recipe={}), simulate)


@pytest.mark.parametrize("known", [known_as(), None])
def test_a_run_does_not_say_where_in_the_system_to_write(known, tmp_path):
    elsewhere = tmp_path.parent / "elsewhere"
    config = Config(data_dir=str(elsewhere))
    source = run_of(tmp_path, data_dir=str(elsewhere))
    command = f"python -m simulation.generate --dataset box .*--data_dir {elsewhere}"
    with pytest.raises(ConfigError, match=f"not in {elsewhere}. To simulate them there:  {command}"):
        data_files.dataset_files(config, source, known, simulate)
    # The user does.
    assert data_files.dataset_files(config, "", None, simulate) == (None, True)


def test_own_videos_need_not_be_there_where_their_files_are(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    for number in range(3):
        np.save(tmp_path / "clips" / f"{number}.npy", np.random.default_rng(number).random([6, 8, 8]))
    config = Config(dataset="clips/", timesteps=6, frame_size=(8,))
    train, test = data_files.dataset_files(config, "", None, simulate)
    known = identity.identity(train, test)
    source = run_of(tmp_path, dataset="clips/")
    (tmp_path / "clips").rename(tmp_path / "away")
    assert data_files.dataset_files(config, source, known, simulate) == (train, test)
    assert "clips/ is not there, but the run's sequences of it are" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="There is no file or folder clips"):
        data_files.dataset_files(config, "", None, simulate)


def check(resumed, source, known, found):
    data_files.check_identity(Config(), resumed, source, known, found)


def test_a_run_on_arrays_in_memory_has_no_files(tmp_path):
    config = Config(dataset="videos_in_memory")
    with pytest.raises(ConfigError, match="learned from arrays in memory, by kvae"):
        data_files.dataset_files(config, run_of(tmp_path, dataset="videos_in_memory"), None, simulate)


def test_a_run_goes_on_with_its_own_data_alone(capsys):
    others = known_as(digest="6a", recipe=RECIPE | {"seed": 8})
    for resumed, source, known, found in (
        ("", "", None, others),
        ("run", "run", known_as(), known_as()),
        ("", "run", known_as(), known_as()),
    ):
        check(resumed, source, known, found)
        assert capsys.readouterr() == ("", "")
    command = "python -m simulation.generate --dataset box --num_train 32 .*--seed 7 --num_balls 2"
    with pytest.raises(ConfigError, match=f"learned from: seed 7 -> 8. Move those away.*:  {command}"):
        check("run", "run", known_as(), others)
    check("", "run", known_as(), others)
    assert "Warning: these are not the data of the run in run: seed 7 -> 8" in capsys.readouterr().err
    check("run", "run", None, others)
    assert "run does not say what its data were" in capsys.readouterr().out
    of_videos = known_as(recipe={"source": "clips", "videos": ["a.mp4"]})
    with pytest.raises(ConfigError, match="Put the videos back as they were"):
        check("run", "run", of_videos, others)


def test_the_command_that_evaluates_again(tmp_path):
    source = run_of(tmp_path, data_dir="data")
    command = "python run_kvae.py --reload_model"
    assert data_files.command_of_reload("my run") == f"{command} 'my run'"
    config = Config.from_dict(Config(data_dir="data").to_dict())
    assert data_files.command_of_reload(source, config) == f"{command} {source}"
    other = Config(dataset="pong", data_dir="my data")
    again = f"{command} {source} --dataset pong --data_dir 'my data'"
    assert data_files.command_of_reload(source, other) == again
