import numpy as np
import pytest
import tensorflow as tf

from kvae.errors import UserError
from kvae.models.keras_data import BatchError, checked, unpack

FRAMES = np.zeros([4, 3, 8, 8], np.uint8)
MASK = np.ones([4, 3], np.float32)


@pytest.mark.parametrize(
    "data",
    [
        FRAMES,
        (FRAMES,),
        {"images": FRAMES},
        ({"images": FRAMES, "mask": None},),
        (FRAMES, None),
        (FRAMES, (), None),
    ],
)
def test_frames_come_in_any_form_of_keras(data):
    assert list(unpack(data)) == ["images"]


def test_both_weights_are_multiplied():
    batch = {"images": FRAMES, "weight": np.array([1, 2, 0, 1])}
    found = unpack((batch, None, np.array([0.5, 1, 1, 0])))["weight"]
    np.testing.assert_array_equal(found, [0.5, 2, 0, 0])
    assert "weight" not in unpack((FRAMES, None, None))
    np.testing.assert_array_equal(unpack((FRAMES, None, np.arange(4)))["weight"], np.arange(4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((FRAMES, FRAMES), "There are no targets y"),
        ({"images": FRAMES, "masks": MASK}, r"mask \[N, T\], .*Received: unknown 'masks'"),
        ({"mask": MASK}, "Received: no 'images'"),
        (([FRAMES, FRAMES],), "Received: a list of 2"),
        ({"images": FRAMES, "mask": MASK[0]}, r"mask must be \[N, T\]. Received: shape \(3,\)"),
        ({"images": FRAMES[..., None]}, r"images must be \[N, T, H, W\]"),
        ((FRAMES, None, np.ones([4, 1])), r"sample_weight must be \[N\]"),
    ],
)
def test_what_nobody_would_use_is_refused(data, message):
    with pytest.raises(BatchError, match=message):
        unpack(data)


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        ({"images": FRAMES, "mask": 2 * MASK}, None, "mask must hold 1 .* Received: 2.0"),
        ({"images": FRAMES, "mask": np.full([4, 3], np.nan)}, None, "mask must hold 1 .* Received: nan"),
        ({"images": FRAMES, "mask": MASK[:, :2]}, None, r"\[4, 3\], 1 = observed. Received: shape \(4, 2\)"),
        (FRAMES, [1, 1, 1, -1], "0 or above"),
        ({"images": FRAMES, "weight": [1, 1, 1, np.inf]}, None, "must be finite"),
        (FRAMES, [1, 1], r"sample_weight must be \[B\] = \[4\]. Received: shape \(2,\)"),
        (FRAMES[:0], None, "at least one sequence"),
        (np.ma.array(FRAMES, mask=FRAMES == 0), None, "masked array"),
        (np.full([4, 3, 8, 8], np.nan), None, "finite where frames are seen"),
    ],
)
def test_values_are_checked_before_anything_is_traced(x, weight, message):
    with pytest.raises(UserError, match=message):
        checked(x, weight)


def test_hidden_frames_and_sequences_that_do_not_count_may_be_anything():
    images, mask = FRAMES.astype(np.float32), MASK.copy()
    images[0, 1], images[3], mask[0, 1] = np.nan, np.inf, 0
    x = {"images": images, "mask": mask.astype(bool), "controls": None}
    found = checked(x, [1, 1, 1, 0])
    assert list(found) == ["images", "mask", "weight"]
    np.testing.assert_array_equal(found["weight"], [1, 1, 1, 0])
    with pytest.raises(UserError, match="finite where frames are seen"):
        checked(x)


def test_shapes_that_a_dataset_does_not_say_are_those_of_the_model():
    @tf.function(input_signature=[tf.TensorSpec(None, tf.uint8)], autograph=False)
    def shape(images):
        return tf.constant(unpack(images, (8, 8))["images"].shape[2:].as_list())

    np.testing.assert_array_equal(shape(FRAMES), [8, 8])

    @tf.function(input_signature=[tf.TensorSpec(None, tf.uint8)], autograph=False)
    def unbuilt(images):
        return unpack(images)["images"]

    with pytest.raises(BatchError, match="sides of the frames must be known"):
        unbuilt(FRAMES)
