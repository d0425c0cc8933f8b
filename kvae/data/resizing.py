"""How a picture becomes a frame, from wherever it comes: videos, environments. Imports no TensorFlow."""

from PIL import Image


def cut_and_resize(picture: Image.Image, height: int, width: int) -> Image.Image:
    """Return a picture cut to the ratio of a frame's sides around its centre, and resized to them.

    Pixels that fall together are averaged. The picture keeps its mode.
    """
    scale = min(picture.width / width, picture.height / height)
    cut_width, cut_height = scale * width, scale * height
    left, top = (picture.width - cut_width) / 2, (picture.height - cut_height) / 2
    # A filter that averages as boxes do, but does not shift what lies between two of them.
    return picture.resize(
        (width, height), Image.Resampling.HAMMING, box=(left, top, left + cut_width, top + cut_height)
    )
