"""A file of one's own, with actions and holes, from run_kvae.py to what is done with the model."""

import dataclasses
import json

import numpy as np
import pytest

import run_kvae
from kvae import data
from kvae.apply.__main__ import main as apply
from kvae.commands import training_data
from kvae.data import identity
from kvae.evaluation import pictures
from kvae.explore import source, words
from kvae.explore.session import Exploration
from kvae.explore.situation import in_words
from kvae.runs.load import load
from kvae.runs.options import read_identity
from kvae.training.recorder import Recorder

pytestmark = [
    pytest.mark.usefixtures("module_eagerly"),
    pytest.mark.filterwarnings("ignore:Even though the .* option is set"),
]
SMALL = (
    "--frame_size 8 --timesteps 6 --num_epochs 1 --kf_update_steps 0 --num_filters 4 --alpha_units 4 --K 2 "
    "--num_paths 0 --batch_size 8 --n_steps_gen 8 --precision float32 --refine_epochs 1 "
    "--train_miss_prob 0.2"
).split()


def arrays(num_videos, seed):
    """A bar that an action moves to the right, to the left or not at all; a fifth of its frames is gone."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 3, [num_videos, 6])
    actions[0, 1:4] = [0, 1, 2]
    places = 4 + np.cumsum(actions - 1, axis=1)
    images = np.exp(-0.5 * (np.arange(8) - places[..., None]) ** 2)[:, :, None].repeat(8, axis=2)
    mask = rng.random([num_videos, 6]) > 0.2
    mask[:, :2] = True
    images[~mask] = np.nan
    return {"images": images.astype(np.float32), "controls": actions, "mask": mask, "states": 1.0 * places}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, module_eagerly):
    """Return the folder of a run on such a file, and the folder that the file lies in."""
    folder = tmp_path_factory.mktemp("own")
    np.savez(folder / "my.npz", **arrays(8, 0))
    np.savez(folder / "my_test.npz", **arrays(5, 1))
    places = ["--data_dir", str(folder / "data"), "--log_dir", str(folder / "logs"), "--run_name", "a"]
    with pytest.MonkeyPatch.context() as patch:
        # They are not looked at.
        patch.setattr(pictures, "draw", lambda *arguments, **named: None)
        patch.setattr(Recorder, "_imputation", lambda *arguments: {})
        patch.setattr(Recorder, "_add_graph", lambda *arguments: None)
        assert run_kvae.main(["--dataset", str(folder / "my.npz"), *SMALL, *places]) == 0
    return folder / "logs" / "a_kvae", folder


def test_the_run_knows_its_actions(trained):
    run, folder = trained
    assert json.loads((run / "config.json").read_text())["options"]["dim_u"] == 3
    assert identity.classes_of(read_identity(run)) == ((0, 1, 2),)
    (test_file,) = (folder / "data").glob("my-*_test.npz")
    found = data.load(test_file, classes=((0, 1, 2),))
    np.testing.assert_array_equal(found.mask, arrays(5, 1)["mask"])
    np.testing.assert_array_equal(found.controls.argmax(axis=-1), arrays(5, 1)["controls"])
    bound = json.loads((run / "evaluation.json").read_text())["test_bound"]
    assert all(np.isfinite(value) for value in bound.values())
    # Evaluated again, it has the classes of its training, also where the run does not say which.
    config = dataclasses.replace(load(run).config, reload_model=str(run))
    train_file = test_file.with_name(test_file.name.replace("_test", ""))
    for known in (read_identity(run), None):
        *_, again = training_data.load(config, train_file, test_file, known)
        np.testing.assert_array_equal(again.controls, found.controls)


def test_a_clip_with_holes_and_actions_is_filled_in(trained, tmp_path, capsys, monkeypatch):
    run, _ = trained
    monkeypatch.chdir(tmp_path)
    clip = {name: array[0] for name, array in arrays(1, 2).items()}
    np.savez("clip.npz", **clip)
    missing = int((~clip["mask"]).sum())
    assert missing
    assert apply([str(run), "clip.npz"]) == 0
    assert f"{missing} of them filled in ({missing} were missing)" in capsys.readouterr().out
    found = np.load("clip_applied/filled.npz")
    assert np.isfinite(found["images"]).all()
    np.testing.assert_array_equal(found["observed"], clip["mask"])
    # The same from files of their own, with actions to come.
    images = np.where(clip["mask"][:, None, None], clip["images"], 0)
    np.savez("bare.npz", images=images)
    np.save("mask.npy", clip["mask"])
    np.savetxt("actions.csv", [*clip["controls"], 2, 2], fmt="%d")
    words = "bare.npz --mask mask.npy --controls actions.csv --continue 3 --output other"
    assert apply([str(run), *words.split()]) == 0
    assert np.load("other/filled.npz")["observed"].tolist() == [*clip["mask"], 0, 0, 0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bare.npz", "no frame is missing"),
        ("bare.npz --mask none.npy", "There is no file none.npy"),
        ("bare.npz --mask short.npy", r"mask must be \[T\] = \[6\]"),
        ("bare.npz --hide 2 --controls short.npy", "controls must be [T, dim_u]"),
        ("bare.npz --hide 2 --controls four.npy", "class 4, which the training data do not have"),
        ("bare.npz --mask blind.npy", "None of the 6 frames is left to see"),
        ("bare.npz --hide 2 --rate -1", "--rate must be between"),
    ],
)
def test_mistakes_of_a_clip_end_in_a_message(words, message, trained, tmp_path, capsys, monkeypatch):
    run, _ = trained
    monkeypatch.chdir(tmp_path)
    np.savez("bare.npz", images=np.zeros([6, 8, 8], np.uint8))
    np.save("short.npy", np.ones(4, int))
    np.save("four.npy", np.array([0, 0, 4, 0, 0, 0]))
    np.save("blind.npy", np.zeros(6))
    assert apply([str(run), *words.split()]) == 2
    said = capsys.readouterr().err
    assert message.replace("\\", "") in said
    assert "Traceback" not in said


def test_explore_shows_what_is_missing_as_hidden(trained, monkeypatch):
    run, folder = trained
    monkeypatch.chdir(folder)
    model = load(run)
    dataset, _ = source.sequences(model, None, None, ((0, 1, 2),))
    exploration = Exploration(model, dataset)
    number = int(np.argmax((dataset.mask == 0).any(axis=1)))
    missing = dataset.mask[number] == 0
    look = exploration.look(number, (1,))
    np.testing.assert_array_equal(look.missing, missing)
    assert look.hidden.tolist() == [t == 1 or gone for t, gone in enumerate(missing)]
    assert np.isnan(look.encoded[missing]).all()
    assert np.isfinite(look.encoded[~missing]).all()
    assert not look.truth[missing].any()
    assert f"the video itself lacks {in_words(missing)}" in words.frames(look)
    # The actions matter.
    exploration.dataset = dataset._replace(controls=dataset.controls[:, :, ::-1])
    assert not np.allclose(exploration.look(number, (1,)).mean, look.mean)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.ones([8, 5])}, "mask must be [N, T] = [8, 6]"),
        ({"controls": np.zeros([8, 5])}, "Entry t acts on the way into frame t"),
        ({"controls": -np.ones([8, 6], int)}, "classes from 0 on"),
        ({"mask": np.ones([8, 6])}, "numbers between 0 and 1"),
        ({"times": np.zeros([8, 6])}, "times must increase"),
    ],
)
def test_a_file_that_cannot_be_used_ends_in_a_message(change, message, tmp_path, capsys):
    np.savez(tmp_path / "my.npz", **(arrays(8, 0) | change))
    words = ["--dataset", str(tmp_path / "my.npz"), *SMALL, "--data_dir", str(tmp_path)]
    assert run_kvae.main(words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
