import json
import os
import shutil

import numpy as np
import pytest

import simulation.generate
from kvae.data import identity
from kvae.data.dataset import DataError


def write(path, seed=0, count=3, compress=False, **metadata):
    rng = np.random.default_rng(seed)
    nothing = np.zeros([count, 4, 0], np.float32)
    arrays = {
        "images": rng.integers(0, 2, [count, 4, 8, 8], np.uint8),
        "controls": nothing,
        "states": nothing,
    }
    save = np.savez_compressed if compress else np.savez
    save(path, metadata=np.array(json.dumps(metadata)), **arrays)
    return path


def test_neither_place_nor_time_nor_compression_is_in_it(tmp_path):
    here = identity.identity(write(tmp_path / "a.npz"), write(tmp_path / "b.npz", seed=1))
    (tmp_path / "other").mkdir()
    files = [tmp_path / "other" / name for name in ("c.npz", "d.npz")]
    for seed, file in enumerate(files):
        write(file, seed, compress=True)
        os.utime(file, (1, 1))
    assert identity.digest(identity.identity(*files)) == identity.digest(here)
    assert identity.differences(here, identity.identity(*files)) == []
    assert identity.is_identity(json.loads(json.dumps(here)))


def test_what_differs_is_said(tmp_path):
    test = write(tmp_path / "test.npz", videos=["a.mp4"])
    first = identity.identity(write(tmp_path / "a.npz", videos=["b.mp4"], options={"num_balls": 2}), test)
    more = write(tmp_path / "b.npz", count=5, videos=["b.mp4", "c.mp4"], options={})
    assert identity.differences(first, identity.identity(more, test)) == [
        "training sequences 3 -> 5",
        "num_balls 2 -> default",
        "c.mp4 is among the training videos now",
    ]
    same = identity.identity(tmp_path / "a.npz", test, use_controls=False)
    assert identity.differences(first, same) == ["use_controls True -> False"]
    changed = identity.identity(
        write(tmp_path / "c.npz", seed=7, videos=["b.mp4"], options={"num_balls": 2}), test
    )
    assert identity.differences(first, changed) == ["the contents of the training data"]


def test_data_are_made_anew_by_their_command(tmp_path):
    made = tmp_path / "a"
    words = "--dataset box --num_train 3 --num_test 2 --num_steps 4 --num_balls 2 --seed 5 --data_dir"
    assert simulation.generate.main([*words.split(), str(made)]) == 0
    first = identity.identity(made / "box.npz", made / "box_test.npz")
    shutil.rmtree(made)
    command = identity.command_of_recipe(first, made)
    start = "python -m simulation.generate "
    assert command.startswith(start)
    assert simulation.generate.main(command.removeprefix(start).split()) == 0
    assert identity.differences(first, identity.identity(made / "box.npz", made / "box_test.npz")) == []


@pytest.mark.parametrize("value", [None, 3, {}, {"use_controls": True, "train": {}, "test": {}}])
def test_what_is_no_identity_is_not_taken_for_one(value):
    assert not identity.is_identity(value)


def test_data_that_are_not_there_have_none(tmp_path):
    with pytest.raises(DataError, match="There is no dataset file"):
        identity.identity(tmp_path / "a.npz", tmp_path / "b.npz")
