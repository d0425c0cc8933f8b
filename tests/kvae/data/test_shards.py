import json

import numpy as np
import pytest
import tensorflow as tf

from kvae.data import dataset as data
from kvae.data.shards import Shards

NUM_STEPS = 3


def write(folder, sizes, dim_u=0, dtype=np.uint8, **change):
    """Shards whose sequences carry their number in every pixel and control."""
    folder.mkdir(exist_ok=True)
    first = 0
    for i, size in enumerate(sizes):
        numbers = np.arange(first, first + size)
        first += size
        arrays = {
            "images": np.broadcast_to(numbers[:, None, None, None], [size, NUM_STEPS, 2, 2]).astype(dtype),
            "controls": np.broadcast_to(numbers[:, None, None], [size, NUM_STEPS, dim_u]).astype(np.float32),
            "states": np.zeros([size, NUM_STEPS, 4], np.float32),
            "metadata": np.array(json.dumps({"world": "numbers"})),
        }
        np.savez_compressed(folder / f"train-{i:05d}-of-{len(sizes):05d}.npz", **(arrays | change))
    return folder


def numbers_of(batches):
    return [
        int(number)
        for batch in batches
        for number in batch["images"].numpy()[batch["weight"].numpy() > 0][:, 0, 0, 0]
    ]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "numbers", [4, 5, 3, 4, 4], dim_u=1)


def test_shape_and_sequences(folder):
    shards = Shards(folder)
    assert shards.shape == (20, NUM_STEPS, 2, 2)
    assert shards.dtype == np.uint8
    assert shards.dim_u == 1
    images, controls = shards.take([19, 0, 4, 8, 9])
    assert images[:, 0, 0, 0].tolist() == controls[:, 2, 0].tolist() == [19, 0, 4, 8, 9]


def test_batches_are_those_of_the_same_sequences_in_one_file(folder):
    shards = Shards(folder)
    whole = data.Dataset(*shards.take(range(20)), None)
    mask = (np.arange(60).reshape(20, 3) % 4 > 0).astype(np.float32)
    order = whole.order_of_epoch(0, 0)
    found, expected = (list(source.batches(6, mask).of(order)) for source in (shards, whole))
    assert len(found) == len(expected) == 4
    for a, b in zip(found, expected, strict=True):
        assert set(a) == set(b) == {"images", "controls", "mask", "weight"}
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert a[name].shape == b[name].shape
            count = int(tf.reduce_sum(a["weight"]))
            np.testing.assert_array_equal(a[name][:count], b[name][:count])


def test_batches_go_on_from_any_place(folder):
    batches = Shards(folder).batches(4)
    order = Shards(folder).order_of_epoch(seed=1, epoch=2)
    assert numbers_of(batches.of(order)) == order.tolist()
    assert numbers_of(batches.of(order[8:])) == order[8:].tolist()
    assert numbers_of(batches.of()) == list(range(20))
    assert list(batches.of([])) == []


TWO_FILES = 2 * 5 * NUM_STEPS * 4
"""Bytes of the frames of two files of five sequences."""


def test_an_epoch_shuffles_files_and_the_sequences_of_a_window(tmp_path):
    shards = Shards(write(tmp_path / "a", [5] * 6), window_bytes=TWO_FILES)
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


def test_few_files_are_in_memory(folder, monkeypatch):
    loaded = []
    load = data.load
    monkeypatch.setattr(data, "load", lambda path, *rest: loaded.append(path.name) or load(path, *rest))
    shards = Shards(folder, window_bytes=TWO_FILES)
    for epoch in range(3):
        loaded.clear()
        for batch in shards.batches(3).of(shards.order_of_epoch(0, epoch)):
            assert batch["images"].shape[0] == 3
            assert len(shards._in_memory) <= 2
        # Each file once an epoch; those of the last window may still be there.
        assert len(loaded) == len(set(loaded)) >= 3


def test_controls_may_be_left_out(folder):
    shards = Shards(folder, use_controls=False)
    assert shards.dim_u == 0
    assert shards.take([3])[1].shape == (1, NUM_STEPS, 0)
    assert set(next(iter(shards.batches(4).of()))) == {"images", "weight"}


def test_frames_of_other_types_become_float32(tmp_path):
    shards = Shards(write(tmp_path / "a", [1, 1], dtype=np.float64))
    assert shards.dtype == np.float32
    assert shards.take([1])[0].dtype == np.float32


@pytest.mark.parametrize("names", [[], ["train-00000-of-00002.npz"]])
def test_files_that_are_not_all_there(tmp_path, names):
    folder = write(tmp_path / "a", [2, 2])
    for path in list(folder.iterdir()):
        if path.name not in names:
            path.unlink()
    with pytest.raises(data.DataError, match=r"must hold the files train-00000-of-N\.npz up to N"):
        Shards(folder)


def test_files_that_do_not_go_together(tmp_path):
    folder = write(tmp_path / "a", [2, 2])
    other = write(tmp_path / "b", [2, 2], dim_u=1)
    (other / "train-00001-of-00002.npz").replace(folder / "train-00001-of-00002.npz")
    with pytest.raises(data.DataError, match=r"train-00001-of-00002\.npz does not go with train-00000"):
        Shards(folder)


@pytest.mark.parametrize("damage", ["text", "empty", "no images", "rank"])
def test_a_file_that_is_none(tmp_path, damage):
    folder = write(tmp_path / "a", [2, 2])
    path = folder / "train-00001-of-00002.npz"
    if damage == "no images":
        np.savez(path, frames=np.zeros(3))
    elif damage == "rank":
        np.savez(path, images=np.zeros(3))
    else:
        path.write_bytes(b"text" if damage == "text" else b"")
    with pytest.raises(data.DataError, match=r"train-00001-of-00002\.npz"):
        Shards(folder)


def test_a_file_that_is_damaged_or_replaced_later_is_told_while_training(folder):
    shards = Shards(folder)
    path = folder / "train-00002-of-00005.npz"
    write(folder, [4, 5, 2, 4, 4], dim_u=1)
    with pytest.raises(data.DataError, match=r"train-00002-of-00005\.npz has changed"):
        list(shards.batches(4).of())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(data.DataError, match=r"train-00002-of-00005\.npz is not a readable .npz file"):
        list(shards.batches(4).of())
