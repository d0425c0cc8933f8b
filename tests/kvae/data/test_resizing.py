import numpy as np
import pytest
from PIL import Image

from kvae.data.resizing import cut_and_resize


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 16), (16, 4)])
def test_a_picture_is_cut_around_its_centre_and_keeps_its_mode(mode, height, width):
    # A square that is bright, within one of another ratio that is dark.
    pixels = np.zeros([32, 64], np.uint8)
    pixels[:, 16:48] = 200
    found = cut_and_resize(Image.fromarray(pixels).convert(mode), height, width)
    assert (found.mode, found.size) == (mode, (width, height))
    values = np.asarray(found).reshape(height, width, -1)
    if height == width:
        # At the edge of the cut the filter reaches across it.
        assert (values[:, 1:-1] == 200).all()
        assert (values > 180).all()
    if width > height:
        assert (values[:, width // 2] == 200).all()
        assert (values[:, 0] == 0).all()
    np.testing.assert_array_equal(values, values[:, ::-1])
