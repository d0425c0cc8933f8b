"""Pictures, and films of pictures (GIF, animated WebP and PNG, TIFF), read by Pillow."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from kvae.errors import UserError
from kvae.videos.errors import VideoError

_FORMATS = ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]

LARGEST_SIDE = 16_384
"""Pixels along a side of a frame, before it is resized."""


class Range(NamedTuple):
    """How the pixels of a clip become 8 grey bits, the same for all its frames.

    Attributes:
        top: the value that is white, of pixels of more than 8 bits.
        under: the grey value that is put under transparent pixels.
    """

    top: int
    under: int


def check_sides(path: Path, size: tuple[int, int]) -> None:
    """Raise a VideoError if frames are too large to hold, or of no size."""
    if not all(1 <= side <= LARGEST_SIDE for side in size):
        raise VideoError(
            f"{path} has frames of {size[0]}x{size[1]}; their sides must be 1 to {LARGEST_SIDE} pixels"
        )


def read(paths: tuple[Path, ...]) -> Iterator[Image.Image]:
    """Yield the pictures of files, all of one size, turned as they say; of an animated one all frames.

    Raises:
        VideoError: a file is broken or cut off, or of another size.
    """
    size: tuple[int, int] | None = None
    for path in paths:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                check_sides(path, image.size)
                # What else a JPEG or a TIFF holds is a preview, where each picture is a frame.
                whole = len(paths) == 1 and image.format in ("GIF", "WEBP", "TIFF", "PNG")
                for frame in ImageSequence.Iterator(image) if whole else [image]:
                    frame.load()
                    turned = ImageOps.exif_transpose(frame)
                    size = size or turned.size
                    if turned.size != size:
                        raise VideoError(
                            f"{path} is {turned.width}x{turned.height}, but {paths[0].name}, the first "
                            f"picture of the same video, is {size[0]}x{size[1]}"
                        )
                    yield turned
        except UserError:
            raise
        # What a broken picture raises depends on where it is broken.
        except Exception as error:
            raise _broken(path, error) from error


def durations(path: Path) -> list[float]:
    """Return how long each frame of an animated picture is shown, seconds; 0.1 where it says 0 or 0.01."""
    found = []
    try:
        with Image.open(path, formats=_FORMATS) as image:
            for frame in ImageSequence.Iterator(image):
                frame.load()
                milliseconds = float(frame.info.get("duration", 0) or 0)
                found.append(0.1 if milliseconds <= 10 else milliseconds / 1000)
    except Exception as error:
        raise _broken(path, error) from error
    return found


def _broken(path: Path, error: Exception) -> VideoError:
    what = "a .gif" if path.suffix.lower() == ".gif" else "a picture"
    return VideoError(f"{path} cannot be read as {what}: {error or type(error).__name__}")


def range_of(pictures: Iterator[Image.Image], name: str) -> Range:
    """Return what fits a whole clip: its bits, and a ground on which what is opaque can be seen."""
    largest, weight, light = 0.0, 0.0, 0.0
    floats = False
    for picture in pictures:
        if is_deep(picture):
            pixels = np.asarray(picture)
            if not np.isfinite(pixels).all():
                raise VideoError(f"{name}, or a picture after it, holds pixels that are not numbers")
            floats = picture.mode == "F"
            largest = max(largest, float(pixels.max()))
        elif has_alpha(picture):
            grey, alpha = grey_and_alpha(picture)
            weight += float(alpha.sum())
            light += float((grey * alpha).sum())
    top = 1 if floats and largest <= 1 else top_of(largest)
    return Range(top, 255 if weight and light / weight < 128 else 0)


def top_of(largest: float) -> int:
    """Return the largest value that pixels of the same number of bits have: 4095 for one of 3000."""
    return max(255, (1 << int(max(largest, 0)).bit_length()) - 1)


def is_deep(picture: Image.Image) -> bool:
    """Return whether pixels have more than 8 bits."""
    return picture.mode.startswith(("I", "F"))


def has_alpha(picture: Image.Image) -> bool:
    """Return whether pixels may be transparent."""
    return picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info


def grey_and_alpha(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Return grey values, 0 to 255, and opacities, 0 to 1."""
    rgba = picture.convert("RGBA")
    grey = np.asarray(rgba.convert("RGB").convert("L"), np.float32)
    return grey, np.asarray(rgba.getchannel("A"), np.float32) / 255


def to_grey(picture: Image.Image, span: Range) -> Image.Image:
    """Return a picture in 8 grey bits."""
    if is_deep(picture):
        pixels = np.asarray(picture).astype(np.float64) / span.top
        return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    if has_alpha(picture):
        grey, alpha = grey_and_alpha(picture)
        return Image.fromarray(np.rint(grey * alpha + span.under * (1 - alpha)).astype(np.uint8))
    return picture.convert("L")


def to_colour(picture: Image.Image, span: Range) -> Image.Image:
    """Return a picture in 8 bits of red, green and blue each."""
    if is_deep(picture):
        return to_grey(picture, span).convert("RGB")
    if has_alpha(picture):
        rgba = np.asarray(picture.convert("RGBA"), np.float32)
        alpha = rgba[..., 3:] / 255
        return Image.fromarray(np.rint(rgba[..., :3] * alpha + span.under * (1 - alpha)).astype(np.uint8))
    return picture.convert("RGB")
