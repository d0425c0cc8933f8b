"""The datasets of the public codes, held to what those made themselves."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.peers import tasks
from experiments.peers.tasks import TASKS, Split
from kvae import data
from kvae.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden" / "peers"


@pytest.fixture(scope="module", params=TASKS)
def made(request):
    """All sequences are simulated, as noise is drawn for all step by step; few are drawn as pictures."""
    return request.param, TASKS[request.param].make(3)


def test_frames_masks_and_states_are_those_of_the_public_code(made):
    name, splits = made
    for split, found in splits.items():
        golden = np.load(GOLDEN / f"{name}_{split}.npz")
        count = len(golden["images"])
        kept = golden["kept"] if "kept" in golden else np.ones_like(golden["observed"])
        np.testing.assert_array_equal(found.images[:count], golden["images"])
        np.testing.assert_allclose(found.states[:count], golden["states"], atol=1e-9, rtol=0)
        np.testing.assert_array_equal(found.exists[:count], kept)
        np.testing.assert_array_equal(found.seen[:count], golden["observed"] & kept)


def test_files_hold_what_may_be_learned_from_and_masks_of_what_is_seen(made, tmp_path, capsys):
    name, splits = made
    calls = []
    task = tasks.Task(name, TASKS[name].num_steps, lambda most: calls.append(most) or splits, (), 1, 1)
    files = tasks.ensure(task, tmp_path)
    for split, found in splits.items():
        dataset = data.load(files[split])
        # Nothing in it is unknown to whoever reads dataset files.
        assert capsys.readouterr().err == ""
        hidden = np.zeros_like(found.exists) if dataset.mask is None else dataset.mask == 0
        np.testing.assert_array_equal(hidden, ~found.exists)
        assert (dataset.mask is None) == (name == "rkn")
        np.testing.assert_array_equal(dataset.images[found.exists], found.images[found.exists])
        assert not dataset.images[~found.exists].any()
        read = tasks.read(task, tmp_path, split)
        np.testing.assert_array_equal(read.seen, found.seen)
        np.testing.assert_array_equal(read.states, found.states)
        assert read.exists.dtype == read.seen.dtype == bool
    facts = json.loads(str(np.load(files["train"])["metadata"]))
    assert (facts["task"], facts["num_sequences"], facts["parameters"]["friction"]) == (name, 3, 0.1)
    watched = data.load(files["watched_test"])
    np.testing.assert_array_equal(watched.images, data.load(files["test"]).images[: tasks.NUM_WATCHED])
    assert tasks.ensure(task, tmp_path) == files
    assert calls == [None], "they are made once"


def test_of_cru_half_the_frames_exist_and_of_the_rkn_all(made):
    name, splits = made
    for found in splits.values():
        assert not (found.seen & ~found.exists).any()
        assert (found.exists.sum(axis=1) == {"rkn": 75, "cru": 50}[name]).all()
        shown = found.seen[:, : tasks.NUM_SHOWN]
        np.testing.assert_array_equal(shown, found.exists[:, : tasks.NUM_SHOWN])


def test_files_that_are_missing_are_told(tmp_path):
    with pytest.raises(UserError, match="--task cru --stage data"):
        tasks.read(TASKS["cru"], tmp_path, "test")


def test_files_of_another_task_are_refused(tmp_path):
    one = np.zeros([1, 4, 24, 24], np.uint8)
    split = Split(one, np.zeros([1, 4, 2]), np.ones([1, 4], bool), np.ones([1, 4], bool))
    task = tasks.Task("rkn", 4, lambda most: {"train": split, "test": split}, (), 1, 1)
    files, other = tasks.ensure(task, tmp_path), tasks.paths(TASKS["cru"], tmp_path)
    for name in ("test", "seen"):
        files[name].rename(other[name])
    with pytest.raises(UserError, match="holds rkn, test"):
        tasks.read(TASKS["cru"], tmp_path, "test")
