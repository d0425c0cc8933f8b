import numpy as np
import pytest

from kvae.data.batches import batches_of
from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.data.validation import MOST, num_held_out, split


def numbered(count, with_mask=True):
    """Return sequences of which every frame, control and state says its number."""
    number = np.arange(count)
    images = np.broadcast_to(number[:, None, None, None].astype(np.uint8), [count, 3, 4, 4]).copy()
    columns = np.broadcast_to(number[:, None, None].astype(np.float32), [count, 3, 1]).copy()
    mask = (number[:, None] % 2 + np.zeros([1, 3])).astype(np.float32) if with_mask else None
    if with_mask:
        # As `load` leaves what nobody has.
        images *= mask[..., None, None].astype(np.uint8)
    return Dataset(images, columns, columns, mask)


@pytest.mark.parametrize("with_mask", [True, False])
def test_the_last_sequences_are_held_out_with_all_that_is_theirs(with_mask):
    rest, held_out = split(numbered(10, with_mask), 0.3)
    for part, numbers in ((rest, np.arange(7)), (held_out, np.arange(7, 10))):
        assert part.shape == (len(numbers), 3, 4, 4)
        wanted = np.broadcast_to(numbers[:, None], [len(numbers), 3])
        for array in (part.controls[..., 0], part.states[..., 0]):
            np.testing.assert_array_equal(array, wanted)
        # What nobody has is black.
        seen = wanted * (wanted % 2) if with_mask else wanted
        np.testing.assert_array_equal(part.images[..., 0, 0], seen)
        assert (part.mask is not None) == with_mask
        if with_mask:
            np.testing.assert_array_equal(part.mask[:, 0], numbers % 2)
    assert sorted(rest.order_of_epoch(0, 0)) == [*range(7)]


def test_shards_hold_out_as_a_file_does(tmp_path):
    whole = numbered(10)
    for i, part in enumerate(np.split(np.arange(10), [4, 7])):
        arrays = {name: getattr(whole, name)[part] for name in ("images", "controls", "mask")}
        np.savez(tmp_path / f"train-{i:05d}-of-00003.npz", **arrays)
    shards = Shards(tmp_path)
    for count in (1, 3, 4):
        wanted, wanted_held_out = whole.split(count)
        rest, held_out = split(shards, count / 10)
        assert (rest.shape, held_out.shape) == (wanted.shape, wanted_held_out.shape)
        for epoch in range(3):
            assert sorted(rest.order_of_epoch(0, epoch)) == [*range(10 - count)]
        np.testing.assert_array_equal(rest.mask, wanted.mask)
        for name in ("images", "controls", "mask"):
            np.testing.assert_array_equal(getattr(held_out, name), getattr(wanted_held_out, name))
        (batch,) = batches_of(rest, 10 - count).of()
        np.testing.assert_array_equal(batch["images"], wanted.images)
    # What is held out is not taken from the shards themselves.
    assert shards.shape[0] == 10


@pytest.mark.parametrize(
    ("count", "share", "held_out"),
    [(1, 0.5, 0), (2, 0.001, 1), (2, 0.9, 1), (3, 0.9, 2), (100, 0.0, 0), (10**6, 0.1, MOST)],
)
def test_how_many_are_held_out(count, share, held_out):
    assert num_held_out(count, share) == held_out
    if not held_out and count < 10:
        data = numbered(count)
        assert split(data, share) == (data, None)
