"""Training from Python, beside the command and on all that may be given."""

import csv
import dataclasses
import tempfile

import numpy as np
import pytest

import kvae
from kvae import evaluation
from kvae.arguments import ArgumentError
from kvae.commands import train as command
from kvae.config import Config
from kvae.errors import UserError
from kvae.evaluation import pictures
from kvae.evaluation import report as evaluation_report
from kvae.runs.options import RunFolderError
from kvae.system.signals import StopSignals
from tests.kvae.training.small import TINY

pytestmark = [
    pytest.mark.usefixtures("module_eagerly", "without_pictures"),
    pytest.mark.filterwarnings("ignore:Even though the .* option is set"),
]
OPTIONS = TINY | {"num_epochs": 1, "kf_update_steps": 0, "num_paths": 0, "batch_size": 12}


def bars(num_sequences, num_steps=6, seed=0):
    """A bar that walks to the left and to the right: [N, T, 8, 8], boolean."""
    steps = np.random.default_rng(seed).integers(-1, 2, [num_sequences, num_steps])
    places = 4 + np.cumsum(steps, axis=1)
    return np.broadcast_to((np.arange(8) == places[..., None])[:, :, None], [*steps.shape, 8, 8])


@pytest.fixture(autouse=True)
def _no_traces(tmp_path, monkeypatch):
    """Nothing is left in the current folder, or in the system's."""
    (tmp_path / "here").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield
    # TensorFlow has files of its own there.
    assert [*(tmp_path / "here").iterdir(), *(tmp_path / "temporary").glob("kvae-*")] == []


def weights_of(model):
    return {weight.path.partition("/")[2]: weight.numpy() for weight in model.weights}


def test_it_is_the_model_that_the_command_would_keep(tmp_path, monkeypatch, capsys):
    """With all phases, the refinement after them, frames that are missing, and controls."""
    images = bars(12).astype(np.uint8) * 255
    mask = (np.random.default_rng(1).random([12, 6]) > 0.2).astype(np.uint8)
    mask[:, 0] = 1
    controls = np.random.default_rng(2).normal(size=[12, 6, 2]).astype(np.float32)
    np.savez(tmp_path / "my.npz", images=images, mask=mask, controls=controls)
    np.savez(tmp_path / "my_test.npz", images=images[:2], mask=mask[:2], controls=controls[:2])
    places = {"dataset": str(tmp_path / "my.npz"), "data_dir": str(tmp_path / "data")}
    options = OPTIONS | {"num_epochs": 2, "kf_update_steps": 1, "refine_epochs": 2}
    config = Config(
        **places, **options, timesteps=6, frame_size=(8,), log_dir=str(tmp_path / "logs"), run_name="run"
    )
    monkeypatch.setattr(command, "_report", lambda *arguments: None)
    folder = command.run(config, StopSignals())
    theirs = kvae.load(folder)
    own = dataclasses.replace(config, log_dir="logs", run_name="")
    ours = kvae.train(own, images, mask, controls, quiet=True)
    assert ours.config.dim_u == 2
    expected = weights_of(theirs)
    assert weights_of(ours).keys() == expected.keys()
    for path, weight in weights_of(ours).items():
        np.testing.assert_allclose(weight, expected[path], rtol=1e-5, atol=1e-6, err_msg=path)
    assert ours.config.log_dir == "logs"


def test_the_best_by_what_is_held_out_is_returned(monkeypatch):
    bounds, learned = iter([-3.0, -4.0]), []
    monkeypatch.setattr(evaluation, "test_bound", lambda model, data: {"total": next(bounds)})
    model = kvae.train(
        Config(**OPTIONS | {"num_epochs": 2}),
        bars(4),
        quiet=True,
        after_epoch=lambda model, epoch: learned.append(weights_of(model)),
    )
    found = weights_of(model)
    assert all((learned[0][path] == weight).all() for path, weight in found.items())
    assert not all((learned[1][path] == weight).all() for path, weight in found.items())


def test_nothing_is_kept_and_nothing_said_where_nobody_asked_for_it(capsys):
    epochs = []
    model = kvae.train(
        Config(**OPTIONS), bars(6), quiet=True, after_epoch=lambda model, epoch: epochs.append(epoch)
    )
    assert capsys.readouterr() == ("", "")
    assert epochs == [1]
    found = model.impute(bars(2), [[1, 1, 0, 0, 1, 1]] * 2)
    assert found.images.shape == (2, 6, 8, 8)
    assert np.isfinite(found.images).all()


def test_a_folder_is_kept_where_it_is_asked_for(tmp_path, monkeypatch, capsys, without_pictures):
    evaluated = []
    monkeypatch.setattr(
        evaluation_report, "evaluate", lambda model, test, *rest: evaluated.append(test.shape) or ["a bound"]
    )
    config = Config(**OPTIONS, run_name="mine")
    test = {"images": bars(3, seed=1), "mask": np.ones([3, 6])}
    model = kvae.train(config, bars(9), test=test, validation=bars(2, seed=2), log_dir=tmp_path / "logs")
    folder = tmp_path / "logs" / "mine_kvae"
    said = capsys.readouterr().out
    for words in (
        "Learning from 9 sequences of 6 frames, 8x8; choosing the model by 2 more; testing on 3 sequences",
        f"Writing to {folder}",
        "Keeping the best model, that of epoch 1",
        "a bound",
    ):
        assert words in said
    assert evaluated == [(3, 6, 8, 8)]
    assert [prefix for _, prefix in without_pictures] == ["final_"]
    (row,) = csv.DictReader((folder / "metrics.csv").open())
    assert row["test_elbo_total"]
    assert row["validation_elbo_total"]
    for path, weight in weights_of(kvae.load(folder)).items():
        np.testing.assert_array_equal(weight, weights_of(model)[path], err_msg=path)
    with pytest.raises(RunFolderError, match="choose another --run_name"):
        kvae.train(config, bars(9), log_dir=tmp_path / "logs")


def test_a_folder_without_test_data_shows_what_is_held_out(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        pictures, "draw", lambda model, data, folder, step, prefix: drawn.append((data.shape[0], prefix))
    )
    config = Config(**OPTIONS, log_dir=str(tmp_path / "logs"), validation_split=0.25)
    kvae.train(config, bars(8), quiet=True)
    assert drawn == [(2, "final_")]
    (folder,) = (tmp_path / "logs").iterdir()
    assert not (folder / "evaluation.json").exists()


def test_clips_of_several_lengths_are_cut(capsys):
    clips = [bars(1, length, seed=length)[0].astype(float) for length in (6, 13, 5, 12)]
    mask = [np.ones(len(clip)) for clip in clips]
    # Nobody has the second half of the last one, whatever stands there.
    mask[3][6:] = 0
    clips[3][6:] = np.nan
    controls = [np.ones([len(clip), 1]) for clip in clips]
    # Four fifths of it are more than three frames.
    options = OPTIONS | {"t_init_mask": 1}
    config = Config.for_videos(clips, mask, **options, timesteps=6, refine_epochs=0)
    assert (config.dataset, config.frame_size) == ("videos_in_memory", (8, 8))
    kvae.train(config, clips, mask, controls)
    out, err = capsys.readouterr()
    # 1 + 2 + 0 + 1, a last one of which is held out.
    assert "Learning from 3 sequences of 6 frames, 8x8, 1 control a step; choosing the model by 1 more" in out
    assert err.splitlines() == [
        "Warning: 1 of 4 clips of videos have fewer than 6 frames: left out",
        "Warning: 1 sequences of videos have fewer than 2 frames, and are left out",
    ]


def test_without_a_config_it_is_that_of_own_videos(monkeypatch):
    asked = []
    monkeypatch.setattr(
        Config,
        "for_videos",
        classmethod(lambda cls, *arguments: asked.append(arguments) or Config(**OPTIONS)),
    )
    videos, mask = bars(4), np.ones([4, 6])
    kvae.train(None, videos, mask, quiet=True)
    ((theirs, hidden),) = asked
    assert theirs is videos
    assert hidden is mask


def test_a_model_is_trained_on(tmp_path):
    first = kvae.train(Config(**OPTIONS), bars(6), log_dir=tmp_path, quiet=True)
    (folder,) = tmp_path.glob("*_kvae")
    changes = {"init_model": str(folder), "log_dir": "logs", "num_epochs": 0, "refine_epochs": 2}
    second = kvae.train(dataclasses.replace(first.config, **changes), bars(6), quiet=True)
    before, after = weights_of(first), weights_of(second)
    same = {path for path in before if (before[path] == after[path]).all()}
    assert any("encoder" in path for path in same)
    assert not any("encoder" in path for path in before.keys() - same)


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({}, {"videos": bars(4)[0]}, r"videos must be \[B, T, H, W\]"),
        ({}, {"videos": bars(4) * 300}, "must be integers in 0..255"),
        ({}, {"videos": []}, "must hold a clip. Received: an empty list"),
        ({}, {"videos": [bars(2)]}, r"videos\[0\] must be \[T, H, W\]"),
        ({}, {"videos": [bars(1)[0], bars(1)[0, :, :4]]}, r"videos\[1\] must have frames as videos\[0\]"),
        ({}, {"videos": [bars(1)[0]]}, "No clip of videos has 20 frames.*at most 6"),
        ({}, {"mask": np.ones([4, 5])}, r"mask must be \[B, T\] = \[4, 6\]"),
        ({}, {"mask": np.zeros([4, 6])}, "mask hides every frame"),
        ({}, {"videos": list(bars(4)), "mask": [np.ones(6)]}, "mask must be a list, one for each of the 4"),
        ({}, {"controls": np.zeros([4, 5, 1])}, r"controls must be \[B, T, dim_u\]"),
        ({"dim_u": 3}, {"controls": np.zeros([4, 6, 2])}, "--dim_u 3 contradicts the data, which have 2"),
        ({"use_controls": False}, {"controls": np.zeros([4, 6, 2])}, "with use_controls=False"),
        ({"learn_u": True}, {"controls": np.zeros([4, 6, 2])}, "with learn_u=True"),
        ({}, {"test": bars(2)[:, :, :4]}, "The model was built for frames of 8x8. Received: frames of 4x8"),
        (
            {},
            {"test": {"images": bars(2), "weight": 1}},
            "test may hold images, mask, controls. Received: 'wei",
        ),
        ({"resume": "logs/a"}, {}, "resume='logs/a' is nothing for a new training: the command alone"),
        ({"reload_model": "box"}, {}, "reload_model='box' is nothing for a new training: kvae.load"),
        ({"strategy": "multiworker"}, {}, "strategy='multiworker' is for the command"),
        ({"init_model": "nowhere"}, {}, "nowhere has no model.keras"),
        ({"dataset": "my.npz", "rate": 5}, {}, "rate=5.0 has no effect on arrays"),
        ({"dataset": "my.npz", "frame_size": (16,)}, {}, "the frames that are given are 8x8, and stay so"),
        (
            {"t_steps_mask": 9, "run_name": "a"},
            {},
            "The sequences have 6 frames, too few to show 2 and hide 9",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(options, arguments, message):
    videos = arguments.get("videos", bars(4))
    with pytest.raises(UserError, match=message):
        kvae.train(
            Config(**OPTIONS | options), videos, **{k: v for k, v in arguments.items() if k != "videos"}
        )


def test_options_that_are_none_are_refused():
    with pytest.raises(ArgumentError, match=r"config must be a Config, or None\. Received: a dict"):
        kvae.train({"K": 2}, bars(4))


def test_one_sequence_in_colour_is_not_taken_for_many_that_are_grey():
    with pytest.raises(ArgumentError, match="look like one sequence in colour"):
        kvae.train(Config(**OPTIONS), np.zeros([6, 8, 8, 3], np.uint8))
