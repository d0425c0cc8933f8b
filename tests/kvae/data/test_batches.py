import numpy as np
import pytest
import tensorflow as tf

from kvae import data
from kvae.data import Shards
from kvae.data.batches import Batches, batches_of
from tests.kvae.data.numbered import BYTES_OF_FILE, NUM_STEPS, numbered, numbers_of, write_shards


def test_batches_hold_everything_in_the_order_of_the_file():
    found = list(Batches(numbered(7), 3).of())
    # All of one size; what fills up the last one has no weight.
    assert [batch["images"].shape[0] for batch in found] == [3, 3, 3]
    assert [batch["weight"].numpy().tolist() for batch in found] == [[1, 1, 1], [1, 1, 1], [1, 0, 0]]
    assert numbers_of(found) == list(range(7))
    assert all(set(batch) == {"images", "weight"} for batch in found)
    assert all(batch["images"].dtype == tf.uint8 for batch in found)
    assert [batch["weight"].numpy().tolist() for batch in Batches(numbered(6), 3).of()] == [[1] * 3] * 2
    # A batch size beyond the data is no mistake.
    assert numbers_of(Batches(numbered(2), 5).of()) == [0, 1]
    assert numbers_of(Batches(numbered(1), 1).of()) == [0]


def test_batches_come_in_any_order_and_from_any_place():
    batches = Batches(numbered(8), 3)
    assert numbers_of(batches.of([5, 0, 7, 2])) == [5, 0, 7, 2]
    assert list(batches.of([])) == []


def test_masks_and_controls_stay_with_their_sequence():
    # The mask spells the sequence's number in binary digits.
    mask = ((np.arange(8)[:, None] >> np.arange(3)) & 1).astype(np.float32)
    batches = Batches(numbered(8, dim_u=2), 3, mask)
    seen = []
    for batch in batches.of(numbered(8).order_of_epoch(3, 0)):
        for image, controls, digits in zip(batch["images"], batch["controls"], batch["mask"], strict=True):
            number = int(image[0, 0, 0])
            seen.append(number)
            assert (controls.numpy() == number).all()
            assert controls.shape == (3, 2)
            assert int(digits.numpy() @ [1, 2, 4]) == number
    assert sorted(set(seen)) == list(range(8))


def test_what_nobody_has_is_hidden_in_every_batch():
    own = np.ones([4, 3], np.float32)
    own[:, 1] = 0
    dataset = numbered(4)._replace(mask=own)
    asked = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1], [1, 0, 1]], np.float32)
    for mask, expected in ((None, own), (asked, own * asked)):
        found = [batch["mask"].numpy() for batch in batches_of(dataset, 2, mask).of()]
        np.testing.assert_array_equal(np.concatenate(found), expected)


# --- from shards ---


def test_batches_of_shards_have_the_masks_of_their_files(tmp_path):
    own = np.array([[1, 0, 1], [1, 1, 0]], np.float32)
    colour = np.ones([2, NUM_STEPS, 2, 2, 3], np.uint8)
    shards = Shards(write_shards(tmp_path / "a", [2], mask=own, images=colour))
    (batch,) = batches_of(shards, 2).of()
    assert set(batch) == {"images", "mask", "weight"}
    np.testing.assert_array_equal(batch["mask"], own)
    np.testing.assert_array_equal(batch["images"], colour * own[..., None, None, None])


@pytest.fixture
def folder(tmp_path):
    return write_shards(tmp_path / "numbers", [4, 5, 3, 4, 4], dim_u=1)


def test_batches_are_those_of_the_same_sequences_in_one_file(folder):
    shards = Shards(folder)
    whole = data.Dataset(*shards.take(range(20)), None)
    mask = (np.arange(60).reshape(20, 3) % 4 > 0).astype(np.float32)
    order = whole.order_of_epoch(0, 0)
    found, expected = (list(batches_of(source, 6, mask).of(order)) for source in (shards, whole))
    assert len(found) == len(expected) == 4
    for a, b in zip(found, expected, strict=True):
        assert set(a) == set(b) == {"images", "controls", "mask", "weight"}
        for name in a:
            assert a[name].dtype == b[name].dtype
            assert a[name].shape == b[name].shape
            count = int(tf.reduce_sum(a["weight"]))
            np.testing.assert_array_equal(a[name][:count], b[name][:count])


def test_batches_of_shards_go_on_from_any_place(folder):
    batches = batches_of(Shards(folder), 4)
    order = Shards(folder).order_of_epoch(seed=1, epoch=2)
    assert numbers_of(batches.of(order)) == order.tolist()
    assert numbers_of(batches.of(order[8:])) == order[8:].tolist()
    assert numbers_of(batches.of()) == list(range(20))
    assert list(batches.of([])) == []


def test_few_files_are_in_memory(folder, monkeypatch):
    loaded = []
    monkeypatch.setattr(
        "kvae.data.shards.load", lambda path, *rest: loaded.append(path.name) or data.load(path, *rest)
    )
    shards = Shards(folder, window_bytes=2 * BYTES_OF_FILE)
    for epoch in range(3):
        loaded.clear()
        for batch in batches_of(shards, 3).of(shards.order_of_epoch(0, epoch)):
            assert batch["images"].shape[0] == 3
            assert len(shards._in_memory) <= 2
        # Each file once an epoch; those of the last window may still be there.
        assert len(loaded) == len(set(loaded)) >= 3


def test_batches_of_shards_have_no_controls_where_there_are_none(folder):
    batches = batches_of(Shards(folder, use_controls=False), 4)
    assert set(next(iter(batches.of()))) == {"images", "weight"}


def test_a_file_that_is_damaged_or_replaced_later_is_told_while_training(folder):
    shards = Shards(folder)
    path = folder / "train-00002-of-00005.npz"
    write_shards(folder, [4, 5, 2, 4, 4], dim_u=1)
    with pytest.raises(data.DataError, match=r"train-00002-of-00005\.npz has changed"):
        list(batches_of(shards, 4).of())
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(data.DataError, match=r"train-00002-of-00005\.npz is not a readable .npz file"):
        list(batches_of(shards, 4).of())
