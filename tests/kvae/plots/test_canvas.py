"""Figures as pixels and files."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from kvae.plots import canvas, figures


def test_png_and_image_are_the_same_picture(tmp_path):
    figure = figures.alpha_over_time(np.full([1, 5, 3], 1 / 3))
    image = canvas.to_image(figure)
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    with Image.open(io.BytesIO(canvas.encode_png(figure))) as decoded:
        np.testing.assert_array_equal(np.asarray(decoded.convert("RGB")), image)
    path = tmp_path / "plots" / "alpha.png"
    canvas.save_png(path, figure)
    assert [file.name for file in path.parent.iterdir()] == ["alpha.png"]
    with Image.open(path) as decoded:
        np.testing.assert_array_equal(np.asarray(decoded.convert("RGB")), image)


def test_a_save_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(canvas.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        canvas.save_png(path, Figure())
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"
