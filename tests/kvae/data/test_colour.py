import numpy as np
import pytest
from PIL import Image

from kvae.data.colour import per_pixel, to_grey, with_channels
from kvae.data.dataset import Dataset

COLOUR = np.random.default_rng(0).integers(0, 256, [2, 3, 5, 7, 3], dtype=np.uint8)


def test_grey_is_what_pillow_makes_of_it():
    expected = np.asarray(Image.fromarray(COLOUR.reshape(-1, 7, 3)).convert("L")).reshape(2, 3, 5, 7)
    np.testing.assert_array_equal(to_grey(COLOUR), expected)
    floats = to_grey((COLOUR / 255).astype(np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, expected / 255, atol=0.51 / 255)


def test_grey_as_colour_and_back_is_what_it_was():
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    colour = with_channels(every, 2, 3)
    assert colour.shape == (1, 1, 16, 16, 3)
    np.testing.assert_array_equal(with_channels(colour, 3, 1), every)
    assert with_channels(every, 2, 1) is every
    assert with_channels(colour, 3, 3) is colour


@pytest.mark.parametrize("images", [COLOUR, COLOUR[..., 0]])
def test_a_dataset_in_other_channels(images):
    data = Dataset(images, np.zeros([2, 3, 0], np.float32))
    assert data.in_channels(1).shape == (2, 3, 5, 7)
    assert data.in_channels(3).shape == (2, 3, 5, 7, 3)
    assert data.in_channels(data.channels).images is images


def test_a_mask_goes_with_the_pixels_of_its_frames():
    mask = np.array([[1, 0, 1], [0, 0, 1]])
    for frames in (COLOUR, COLOUR[..., 0]):
        np.testing.assert_array_equal(
            (frames * per_pixel(mask, frames)).reshape(6, -1).any(axis=1), mask.ravel() > 0
        )
