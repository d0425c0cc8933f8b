import numpy as np
import pytest

from kvae import data
from kvae.data import Shards
from tests.kvae.data.numbered import BYTES_OF_FILE, NUM_STEPS, write_shards


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "numbers", [4, 5, 3, 4, 4], dim_u=1)


def test_shape_and_sequences(folder):
    shards = Shards(folder)
    assert shards.shape == (20, NUM_STEPS, 2, 2)
    assert shards.dtype == np.uint8
    assert shards.dim_u == 1
    assert shards.channels == 1
    images, controls = shards.take([19, 0, 4, 8, 9])
    assert images[:, 0, 0, 0].tolist() == controls[:, 2, 0].tolist() == [19, 0, 4, 8, 9]


def test_an_epoch_shuffles_files_and_the_sequences_of_a_window(tmp_path):
    shards = Shards(write_shards(tmp_path / "a", [5] * 6), window_bytes=2 * BYTES_OF_FILE)
    runs = [[shards.order_of_epoch(0, epoch) for epoch in range(20)] for _ in range(2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (shards.order_of_epoch(1, 0) != runs[0][0]).any()
    pairs = set()
    for order in runs[0]:
        assert sorted(order) == list(range(30))
        for window in order.reshape(3, 10) // 5:
            # Two files, all of each, and not one after the other.
            assert sorted(np.unique(window, return_counts=True)[1]) == [5, 5]
            assert len(set(window[:5])) == 2
            pairs.add(tuple(sorted(set(window))))
    assert len(pairs) > 10


def test_controls_may_be_left_out(folder):
    shards = Shards(folder, use_controls=False)
    assert shards.dim_u == 0
    assert shards.take([3])[1].shape == (1, NUM_STEPS, 0)


def test_frames_of_other_types_become_float32(tmp_path):
    shards = Shards(write_shards(tmp_path / "a", [1, 1], dtype=np.float64))
    assert shards.dtype == np.float32
    assert shards.take([1])[0].dtype == np.float32


@pytest.mark.parametrize("names", [[], ["train-00000-of-00002.npz"]])
def test_files_that_are_not_all_there(tmp_path, names):
    folder = write_shards(tmp_path / "a", [2, 2])
    for path in list(folder.iterdir()):
        if path.name not in names:
            path.unlink()
    with pytest.raises(data.DataError, match=r"must hold the files train-00000-of-N\.npz up to N"):
        Shards(folder)


def test_files_that_do_not_go_together(tmp_path):
    folder = write_shards(tmp_path / "a", [2, 2])
    other = write_shards(tmp_path / "b", [2, 2], dim_u=1)
    (other / "train-00001-of-00002.npz").replace(folder / "train-00001-of-00002.npz")
    with pytest.raises(data.DataError, match=r"train-00001-of-00002\.npz does not go with train-00000"):
        Shards(folder)


@pytest.mark.parametrize("damage", ["text", "empty", "no images", "rank"])
def test_a_file_that_is_none(tmp_path, damage):
    folder = write_shards(tmp_path / "a", [2, 2])
    path = folder / "train-00001-of-00002.npz"
    if damage == "no images":
        np.savez(path, frames=np.zeros(3))
    elif damage == "rank":
        np.savez(path, images=np.zeros(3))
    else:
        path.write_bytes(b"text" if damage == "text" else b"")
    with pytest.raises(data.DataError, match=r"train-00001-of-00002\.npz"):
        Shards(folder)


def test_masks_of_all_files_are_one(tmp_path):
    folder = write_shards(tmp_path / "a", [2, 3])
    assert Shards(folder).mask is None
    mask = np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1]])
    one_has_it = write_shards(tmp_path / "b", [3], mask=mask) / "train-00000-of-00001.npz"
    one_has_it.replace(folder / "train-00001-of-00002.npz")
    shards = Shards(folder)
    np.testing.assert_array_equal(shards.mask, np.concatenate([np.ones([2, 3]), mask]))
    assert shards.mask.dtype == np.float32
    images, _ = shards.take([2, 3, 4])
    assert (images[mask == 0] == 0).all()
    write_shards(folder, [2, 3], mask=np.ones([2, 2]))
    with pytest.raises(data.DataError, match=r"train-00000.*mask must be \[N, T\] = \[2, 3\]"):
        Shards(folder)


def test_shards_in_colour(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, [2, NUM_STEPS, 2, 2, 3], np.uint8)
    shards = Shards(write_shards(tmp_path / "a", [2], images=images))
    assert (shards.shape, shards.channels) == ((2, NUM_STEPS, 2, 2, 3), 3)
    np.testing.assert_array_equal(shards.take([1, 0])[0], images[::-1])
    # One channel that has an axis of its own is grey.
    shards = Shards(write_shards(tmp_path / "b", [2], images=images[..., :1]))
    assert (shards.shape, shards.channels) == ((2, NUM_STEPS, 2, 2), 1)
    np.testing.assert_array_equal(shards.take([1])[0][0], images[1, ..., 0])
