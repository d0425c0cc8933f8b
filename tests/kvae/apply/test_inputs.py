import numpy as np
import pytest

from kvae.apply.inputs import controls_of, mask_of, read_array
from kvae.errors import UserError

NUMBERS = np.arange(6.0)


def write(path):
    if path.suffix == ".npy":
        np.save(path, NUMBERS)
    elif path.suffix == ".npz":
        np.savez(path, controls=NUMBERS, other=np.zeros(2))
    elif path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["actions"] = NUMBERS
    else:
        path.write_text("\n".join(map(str, NUMBERS)))
    return path


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "csv", "txt"])
def test_arrays_are_read_from_files_of_these_kinds(suffix, tmp_path):
    np.testing.assert_array_equal(read_array(write(tmp_path / f"a.{suffix}"), "controls"), NUMBERS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.npy", "There is no file"),
        ("a.mp4", "none of the files that controls are read from"),
        ("words.csv", "cannot be read"),
        ("words.npy", "must be numbers"),
        ("objects.npy", "cannot be read"),
        ("two.npz", "an array named controls, or a single one. Received: a, b"),
        ("broken.npz", "not a readable .npz"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(name, message, tmp_path):
    path = tmp_path / name
    if name == "words.csv":
        path.write_text("left,right")
    elif name == "words.npy":
        np.save(path, np.array(["left"]))
    elif name == "objects.npy":
        np.save(path, np.array([{}], object))
    elif name == "two.npz":
        np.savez(path, a=NUMBERS, b=NUMBERS)
    elif name != "gone.npy":
        path.write_text("nothing")
    with pytest.raises(UserError, match=message):
        read_array(path, "controls")


def test_masks():
    for array in ([True, False, True], [1, 0, 1], [[1.0, 0, 1]], [[1], [0], [1]]):
        assert mask_of(np.array(array), 3, "a").tolist() == [1, 0, 1]
    with pytest.raises(UserError, match=r"mask must be \[T\] = \[4\].*\(3,\)"):
        mask_of(np.ones(3), 4, "a")
    with pytest.raises(UserError, match=r"1 where a frame is seen.* 0\.5"):
        mask_of(np.array([1, 0.5]), 2, "a")


def test_controls_are_inputs_of_the_model():
    numbers = np.array([[np.nan, 1], [2, 3], [4, 5]])
    found = controls_of(numbers, 3, 0, 2, None, "a")
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert controls_of(NUMBERS, 4, 5, 1, None, "a").shape == (6, 1)
    assert controls_of(numbers[None], 3, 0, 2, None, "a").shape == (3, 2)


@pytest.mark.parametrize("array", [np.array([0, 2, 1]), np.array([[0], [2], [1]]), np.array([0.0, 2, 1])])
def test_classes_are_those_of_the_run(array):
    found = controls_of(array, 3, 0, 4, ((0, 1, 3),), "a")
    assert found.argmax(axis=1).tolist() == [0, 2, 1]
    # A run that does not say which has as many as its model has inputs.
    if array.dtype.kind == "i":
        assert controls_of(array, 3, 0, 4, None, "a").argmax(axis=1).tolist() == [0, 2, 1]
    # They may be inputs already.
    assert controls_of(found, 3, 0, 4, ((0, 1, 3),), "a").tolist() == found.tolist()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros([2, 2]), r"T = 3, or up to 5.*Received: shape \(2, 2\)"),
        (np.zeros([6, 2]), r"T = 3, or up to 5"),
        (np.zeros([3, 3]), "takes 2 controls a step. Received: 3"),
        (np.full([3, 2], np.nan), "finite numbers, also where a frame is missing"),
        (np.array([0, 0, 5]), "class 5, which the training data do not have"),
    ],
)
def test_controls_that_do_not_fit_are_told(array, message):
    with pytest.raises(UserError, match=message):
        controls_of(array, 3, 2, 2, None, "a")
