import json

import numpy as np
import pytest

from kvae import data
from kvae.data import Shards, identity
from kvae.data.dataset import read_classes
from tests.kvae.data.numbered import NUM_STEPS, write_shards

IMAGES = np.zeros([2, 3, 2, 2], np.uint8)


def write(path, controls, **arrays):
    np.savez(path, images=np.zeros([*controls.shape[:2], 2, 2], np.uint8), controls=controls, **arrays)
    return path


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
@pytest.mark.parametrize("axis", [False, True])
def test_integers_are_classes(dtype, axis, tmp_path):
    controls = np.array([[0, 2, 1], [0, 0, 2]], dtype)
    path = write(tmp_path / "a.npz", controls[..., None] if axis else controls)
    found = data.load(path)
    np.testing.assert_array_equal(found.controls, np.eye(3)[controls])
    assert found.controls.dtype == np.float32
    assert found.classes == ((0, 1, 2),) == read_classes(path)
    assert found.dim_u == 3


def test_booleans_are_two_classes_and_columns_are_told_apart(tmp_path):
    buttons = np.array([[[0, 0], [1, 0], [0, 1]], [[0, 0], [1, 1], [0, 0]]], bool)
    found = data.load(write(tmp_path / "a.npz", buttons))
    assert found.classes == ((0, 1), (0, 1))
    assert found.controls[0, 1].tolist() == [0, 1, 1, 0]
    mixed = data.load(write(tmp_path / "b.npz", np.array([[[0, 0], [1, 2], [0, 3]]])))
    assert mixed.dim_u == 2 + 4
    assert mixed.controls[0, 1].tolist() == [0, 1, 0, 0, 1, 0]


def test_floats_are_numbers_and_one_of_them_needs_no_axis(tmp_path):
    controls = np.array([[0, 2, 1], [0, 0, 2]], np.float64)
    found = data.load(write(tmp_path / "a.npz", controls))
    np.testing.assert_array_equal(found.controls, controls[..., None].astype(np.float32))
    assert found.classes == () == read_classes(tmp_path / "a.npz")


def test_what_stands_before_a_first_frame_does_not_count(tmp_path):
    found = data.load(write(tmp_path / "a.npz", np.array([[-1, 1, 0], [99, 0, 1]])))
    assert found.classes == ((0, 1),)
    assert not found.controls[:, 0].any()
    numbers = data.load(write(tmp_path / "b.npz", np.array([[np.nan, 1, 0]])))
    assert numbers.controls[0, :, 0].tolist() == [0, 1, 0]


def test_the_classes_of_training_decide(tmp_path, capsys):
    training = data.load(write(tmp_path / "a.npz", np.array([[0, 0, 3]])))
    test = write(tmp_path / "b.npz", np.array([[0, 0, 0], [0, 3, 1]]))
    found = data.load(test, classes=training.classes)
    assert (found.dim_u, found.classes) == (4, ((0, 3),))
    assert "controls of classes that no training has: 1" in capsys.readouterr().err
    with pytest.raises(data.DataError, match=r"class 4, which the training data do not have.* 0 to 3"):
        data.load(write(test, np.array([[0, 4, 0]])), classes=training.classes)
    with pytest.raises(data.DataError, match="2 columns, those of the training data 1"):
        data.load(write(test, np.zeros([1, 3, 2], int)), classes=training.classes)
    with pytest.raises(data.DataError, match="of float32, those of the training data integers"):
        data.load(write(test, np.zeros([1, 3, 4])), classes=training.classes)
    with pytest.raises(data.DataError, match="those of the training data are numbers"):
        data.load(write(test, np.zeros([1, 3], int)), classes=())
    # What is not used is not looked at.
    assert data.load(test, use_controls=False, classes=training.classes).dim_u == 0


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        (np.array([[0, -1, 0]]), r"classes from 0 on. Received: -1.*astype"),
        (np.array([[0, 4095, 0]]), r"at most 1000 in all. Received: classes up to 4095.*astype"),
        (np.array([[0, 2**40, 0]]), "at most 1000 in all"),
        (np.zeros([2, 2]), r"\[2, 3, ...\].*numpy.concatenate\(\[array\[:, :1\] \* 0, array\]"),
        (np.zeros([2, 2, 4]), r"Entry t acts on the way into frame t"),
        (np.zeros([3]), r"Received: shape \(3,\)"),
        (
            np.array([[0, np.inf, 0]] * 2),
            "finite numbers that float32 can hold, also where a frame is missing",
        ),
    ],
)
def test_controls_that_cannot_be_used_are_told(controls, message, tmp_path):
    np.savez(
        tmp_path / "a.npz",
        images=IMAGES[: len(controls) if controls.shape == (1, 3) else 2],
        controls=controls,
    )
    with pytest.raises(data.DataError, match=message):
        data.load(tmp_path / "a.npz")


def test_shards_have_the_classes_of_all(tmp_path):
    first = np.array([[0, 1, 0]] * 2)
    folder = write_shards(tmp_path / "a", [2, 2], controls=first)
    other = write_shards(tmp_path / "b", [2, 2], controls=np.array([[0, 0, 4]] * 2))
    (other / "train-00001-of-00002.npz").replace(folder / "train-00001-of-00002.npz")
    shards = Shards(folder)
    assert shards.classes == ((0, 1, 4),)
    assert shards.dim_u == 5
    _, controls = shards.take([0, 2])
    assert controls.shape == (2, NUM_STEPS, 5)
    assert controls.argmax(axis=-1).tolist() == [[0, 1, 0], [0, 0, 4]]
    assert Shards(folder, use_controls=False).dim_u == 0


def test_a_run_remembers_its_classes():
    assert identity.classes_of({"classes": ((0, 2), (1,))} | {"use_controls": True}) is None
    kept = json.loads(json.dumps({"classes": ((0, 2), (1,))}))
    assert identity.classes_of(kept) == ((0, 2), (1,))
    for value in ({}, None, {"classes": 3}, {"classes": [3]}, {"classes": [[-1]]}, {"classes": [["a"]]}):
        assert identity.classes_of(value) is None
