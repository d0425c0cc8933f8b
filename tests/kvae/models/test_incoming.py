"""Batches are looked at as they come, whatever they come from, and what is wrong is told in words."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.errors import UserError
from kvae.models.incoming import Incoming

FRAMES = np.random.default_rng(0).integers(0, 256, [5, 3, 8, 8]).astype(np.uint8)
MASK = np.ones([5, 3], np.float32)


class Batches(keras.utils.PyDataset):
    """Two batches of what is given; counts the ends of epochs."""

    def __init__(self, x, **options):
        super().__init__(**options)
        self.x, self.ends = x, 0

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return tf.nest.map_structure(lambda array: array[3 * index : 3 * index + 3], self.x)

    def on_epoch_end(self):
        self.ends += 1


def of_dataset(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(3)


def of_generator(x):
    return (batch for batch in [*Batches(x)][:2])


def through(x):
    """All batches, as Keras would fetch them."""
    incoming = Incoming()
    watched = incoming.watched(x)
    with incoming.told():
        return [watched[i] for i in range(2)] if isinstance(watched, keras.utils.PyDataset) else [*watched]


@pytest.mark.parametrize("form", [of_dataset, Batches, of_generator])
@pytest.mark.parametrize("x", [FRAMES, {"images": FRAMES, "mask": MASK}, (FRAMES,), ({"images": FRAMES},)])
def test_batches_come_as_they_are(form, x):
    for found, expected in zip(through(form(x)), Batches(x), strict=False):
        tf.nest.assert_same_structure(found, expected)
        for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("form", [of_dataset, Batches, of_generator])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"images": FRAMES.astype(np.float32)}, r"floats in \[0, 1\]. Received: values from"),
        ({"images": FRAMES.astype(np.uint16) * 256}, r"integers in 0..255. Received"),
        ({"images": np.where(MASK.cumsum()[4] > 4, np.nan, FRAMES / 255)}, "finite where frames are seen"),
        ({"images": FRAMES, "mask": 255 * MASK}, "mask must hold 1 .* Received: 255"),
        ({"images": FRAMES, "weight": -MASK[:, 0]}, "0 or above"),
        ({"images": FRAMES, "controls": np.full([5, 3, 1], np.nan)}, "controls must be finite"),
        ({"images": FRAMES, "masks": MASK}, "unknown 'masks'"),
        ((FRAMES, FRAMES), "no targets y"),
        (FRAMES[:, 0], r"images must be \[N, T, H, W\]"),
    ],
)
def test_what_is_wrong_in_a_batch_is_told(form, x, message):
    with pytest.raises(UserError, match=message):
        through(form(x))


def test_what_is_wrong_in_the_last_batch_alone():
    images = FRAMES / 255
    images[4, 2] = np.nan
    with pytest.raises(UserError, match="finite where frames are seen"):
        through(of_dataset(images))
    assert len(through(of_dataset({"images": images, "mask": np.isfinite(images).all(axis=(2, 3))}))) == 2


def test_a_dataset_says_of_itself_what_it_did():
    dataset = of_dataset({"images": FRAMES}).repeat(2)
    watched = Incoming().watched(dataset)
    assert watched.element_spec == dataset.element_spec
    assert int(watched.cardinality()) == 4
    mine = Batches(FRAMES, workers=2, max_queue_size=3)
    watched = Incoming().watched(mine)
    assert (watched.num_batches, watched.workers, watched.max_queue_size) == (2, 2, 3)
    watched.on_epoch_end()
    assert mine.ends == 1


def test_other_errors_stay_what_they_are():
    incoming = Incoming()
    assert incoming.watched(FRAMES) is FRAMES
    with pytest.raises(ZeroDivisionError), incoming.told():
        raise ZeroDivisionError
    with pytest.raises(tf.errors.InvalidArgumentError), incoming.told():
        tf.debugging.assert_equal(1, 2)
