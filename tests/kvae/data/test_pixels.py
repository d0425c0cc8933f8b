import numpy as np
import pytest
import tensorflow as tf

from kvae.data.pixels import to_pixels


@pytest.mark.parametrize(
    ("images", "is_binary", "pixels"),
    [
        (np.array([0, 1, 127, 255], np.uint8), True, [0, 1, 1, 1]),
        (np.array([0, 51, 127, 255], np.uint8), False, [0, 0.2, 127 / 255, 1]),
        (np.array([0, 255], np.int64), False, [0, 1]),
        (np.array([0, 0.25, 1], np.float32), True, [0, 1, 1]),
        (np.array([0, 0.25, 1], np.float64), False, [0, 0.25, 1]),
        (np.array([False, True]), True, [0, 1]),
        (np.array([False, True]), False, [0, 1]),
    ],
)
def test_pixels_are_what_the_model_sees(images, is_binary, pixels):
    found = to_pixels(tf.convert_to_tensor(images), is_binary)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, pixels, rtol=1e-6)
