import json

import numpy as np
import pytest

from kvae import data
from tests.kvae.data.numbered import numbered


def write(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def ours(images, controls=None, states=None):
    """Return the arrays of a dataset file as our simulator writes it."""
    if controls is None:
        controls = np.zeros([*images.shape[:2], 0], np.float32)
    if states is None:
        states = np.zeros([*images.shape[:2], 4], np.float32)
    metadata = json.dumps({"world": "box"})
    return {"images": images, "controls": controls, "states": states, "metadata": metadata}


IMAGES = np.random.default_rng(0).integers(0, 256, [4, 3, 2, 5], np.uint8)

COLOUR = np.random.default_rng(2).integers(0, 256, [4, 3, 2, 5, 3], np.uint8)


def test_our_file_is_read(tmp_path):
    rng = np.random.default_rng(1)
    controls = rng.normal(size=[4, 3, 2]).astype(np.float32)
    states = rng.normal(size=[4, 3, 4]).astype(np.float32)
    dataset = data.load(write(tmp_path / "box.npz", **ours(IMAGES, controls, states)))
    assert dataset.images.dtype == np.uint8
    assert dataset.controls.dtype == np.float32
    for found, written in zip(dataset[:3], (IMAGES, controls, states), strict=True):
        np.testing.assert_array_equal(found, written)
    assert (dataset.mask, dataset.channels) == (None, 1)
    assert data.load(tmp_path / "box.npz", use_controls=False).controls.shape == (4, 3, 0)
    # A path may be a string.
    np.testing.assert_array_equal(data.load(str(tmp_path / "box.npz")).images, IMAGES)


def test_a_file_of_one_frame_is_read(tmp_path):
    path = write(tmp_path / "box.npz", **ours(np.zeros([1, 1, 1, 1], np.uint8)))
    dataset = data.load(path)
    assert dataset.images.shape == (1, 1, 1, 1)
    assert dataset.controls.shape == (1, 1, 0)


def test_the_file_of_the_original_is_read(tmp_path):
    images = (IMAGES > 127).astype(np.float32)
    state = np.zeros([4, 3, 4])
    dataset = data.load(write(tmp_path / "box.npz", images=images, state=state))
    np.testing.assert_array_equal(dataset.images, images)
    assert dataset.images.dtype == np.float32
    assert dataset.controls.shape == (4, 3, 0)
    assert dataset.controls.dtype == np.float32
    assert dataset.states is None


@pytest.mark.parametrize("dtype", [np.float64, bool, np.int64])
def test_pixels_of_other_kinds_become_float32(dtype, tmp_path):
    images = (IMAGES > 127).astype(dtype)
    dataset = data.load(write(tmp_path / "box.npz", images=images))
    assert dataset.images.dtype == np.float32
    np.testing.assert_array_equal(dataset.images, IMAGES > 127)


def test_frames_may_be_in_colour(tmp_path):
    dataset = data.load(write(tmp_path / "box.npz", images=COLOUR))
    np.testing.assert_array_equal(dataset.images, COLOUR)
    assert (dataset.shape, dataset.channels) == ((4, 3, 2, 5, 3), 3)
    # An axis of one channel is grey.
    grey = data.load(write(tmp_path / "grey.npz", images=IMAGES[..., None]))
    np.testing.assert_array_equal(grey.images, IMAGES)
    assert grey.channels == 1


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_a_file_of_anybody_s_means_the_same_as_ours(dtype, tmp_path):
    rng = np.random.default_rng(1)
    controls, states = rng.normal(size=[4, 3, 2]), rng.normal(size=[4, 3])
    mask = np.array([[1, 0, 1]] * 4, dtype)
    path = write(tmp_path / "box.npz", images=IMAGES, controls=controls, states=states, mask=mask)
    dataset = data.load(path)
    np.testing.assert_array_equal(dataset.controls, controls.astype(np.float32))
    np.testing.assert_array_equal(dataset.states, states.astype(np.float32)[..., None])
    np.testing.assert_array_equal(dataset.mask, mask)
    assert dataset.mask.dtype == np.float32
    assert data.load(path, use_controls=False).dim_u == 0
    few = dataset.first(2)
    assert (few.shape[0], len(few.controls), len(few.mask), few.states) == (2, 2, 2, None)
    # A mask that hides nothing is none.
    assert data.load(write(path, images=IMAGES, mask=np.ones([4, 3]))).mask is None


@pytest.mark.parametrize("junk", [np.nan, np.inf, -3, 1e30])
def test_what_stands_in_a_missing_frame_is_not_looked_at(junk, tmp_path):
    mask = np.array([[1, 0, 1]] * 4)
    images = (IMAGES / 255).astype(np.float32)
    images[mask == 0] = junk
    found = data.load(write(tmp_path / "box.npz", images=images, mask=mask))
    assert (found.images[:, 1] == 0).all()
    np.testing.assert_array_equal(found.images[:, ::2], images[:, ::2])
    with pytest.raises(data.DataError, match="between 0 and 1"):
        data.load(write(tmp_path / "box.npz", images=images))


def test_what_is_not_understood_is_named(tmp_path, capsys):
    data.load(write(tmp_path / "box.npz", images=IMAGES, actions=np.zeros(3), mask=np.ones([4, 3])))
    assert "box.npz: actions left out" in capsys.readouterr().err
    data.load(write(tmp_path / "box.npz", **ours(IMAGES)))
    assert capsys.readouterr().err == ""


class Trap:
    """An object that leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_controls_of_objects_are_never_unpickled(tmp_path, capsys):
    sprung = tmp_path / "sprung"
    controls = np.array([Trap(sprung)], object)
    path = write(tmp_path / "box.npz", images=np.zeros([1, 2, 2, 2], np.float32), controls=controls)
    assert data.load(path).controls.shape == (1, 2, 0)
    assert not sprung.exists()
    assert "box.npz: controls left out: Python objects are not read" in capsys.readouterr().err
    # The trap is one.
    with np.load(path, allow_pickle=True) as file:
        file["controls"][0].close()
    assert sprung.exists()


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(data.DataError, match=r"There is no dataset file .*box\.npz"):
        data.load(tmp_path / "box.npz")


@pytest.mark.parametrize("kind", ["empty", "text", "half", "damaged", "npy", "folder"])
def test_a_file_that_is_no_archive_is_an_error(kind, tmp_path):
    path = tmp_path / "box.npz"
    if kind == "folder":
        path.mkdir()
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, IMAGES)
    else:
        content = write(path, **ours(IMAGES)).read_bytes()
        middle = len(content) // 2
        if kind == "damaged":
            # Within the compressed images, which are the first and largest array.
            start = content.index(b"images.npy") + 100
            content = content[:start] + bytes(60) + content[start + 60 :]
        content = {"empty": b"", "text": b"images\n", "half": content[:middle]}.get(kind, content)
        path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"box\.npz is not a readable .npz file"):
        data.load(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"frames": IMAGES, "other": IMAGES}, "no array named images. Received: frames, other"),
        ({}, "no array named images. Received: none"),
        (
            {"images": IMAGES[0]},
            r"\[N, T, H, W\],.* Received: shape \(3, 2, 5\): one sequence is images\[None\]",
        ),
        ({"images": np.float32(1)}, r"\[N, T, H, W\],.* Received: shape \(\)"),
        ({"images": COLOUR[..., :2]}, r"\[N, T, H, W, 3\] in colour. Received: shape \(4, 3, 2, 5, 2\)"),
        ({"images": COLOUR[:, :, None, ..., 0].repeat(3, 2)}, r"numpy.moveaxis\(images, 2, -1\)"),
        ({"images": IMAGES[:0]}, r"Received: shape \(0, 3, 2, 5\)"),
        ({"images": IMAGES.astype(np.float32)}, "between 0 and 1"),
        ({"images": np.full([1, 1, 2, 2], -0.1)}, "between 0 and 1"),
        ({"images": np.full([1, 1, 2, 2], np.nan)}, "between 0 and 1"),
        ({"images": np.full([1, 1, 2, 2], "a")}, "images must be numbers. Received: <U1"),
        ({"images": np.full([1, 1, 2, 2], 1j)}, "images must be numbers. Received: complex128"),
        (ours(IMAGES, np.full([4, 3, 1], "a")), "controls must be numbers. Received: <U1"),
        (ours(IMAGES, np.zeros([4])), r"\[4, 3, ...\]. Received: shape \(4,\)"),
        (ours(IMAGES, np.full([4, 3, 1], np.nan)), "controls must be finite numbers"),
        (
            ours(IMAGES, states=np.full([4, 3, 1], 1e300)),
            "states must be finite numbers that float32 can hold",
        ),
        ({"images": IMAGES, "mask": np.ones([4, 2])}, r"mask must be \[N, T\] = \[4, 3\].* shape \(4, 2\)"),
        ({"images": IMAGES, "mask": np.full([4, 3], 0.5)}, "mask must be 1 where a frame is seen.* 0.5"),
        ({"images": IMAGES, "mask": np.full([4, 3], np.nan)}, "mask must be 1 where a frame is seen.* nan"),
        ({"images": IMAGES, "mask": np.zeros([4, 3])}, "mask hides every frame"),
        ({"images": IMAGES, "mask": np.full([4, 3], "1")}, "mask must be numbers. Received: <U1"),
        (ours(IMAGES, np.zeros([4, 2, 1])), r"\[4, 3, ...\]. Received: shape \(4, 2, 1\)"),
        (ours(IMAGES, np.zeros([1, 3, 1])), r"\[4, 3, ...\]. Received: shape \(1, 3, 1\)"),
    ],
)
def test_wrong_arrays_are_an_error(arrays, message, tmp_path):
    path = write(tmp_path / "box.npz", **arrays)
    with pytest.raises(data.DataError, match=message) as error:
        data.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_order_is_new_in_each_epoch_and_the_same_in_each_run(seed):
    runs = [[numbered(30).order_of_epoch(seed, epoch).tolist() for epoch in range(3)] for _ in range(2)]
    assert runs[0] == runs[1]
    for epoch in runs[0]:
        assert sorted(epoch) == list(range(30))
        assert epoch != list(range(30))
    assert runs[0][0] != runs[0][1] != runs[0][2]
    assert numbered(30).order_of_epoch(seed + 1, 0).tolist() != runs[0][0]
