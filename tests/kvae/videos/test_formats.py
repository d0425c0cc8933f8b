"""Files as other programs write them: unusual pixels, several pages, edit lists, orders of bytes."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from kvae.videos.frames import Look, read_clip
from kvae.videos.sources import find

LOOK = Look(16, 16, black_and_white=False)
GREY = np.linspace(0, 255, 16 * 16).reshape(16, 16).astype(np.uint8)
FRAMES = np.stack([np.roll(GREY, 2 * t, axis=0) for t in range(6)])


def read(path):
    (source,) = find(path)
    return read_clip(source, LOOK, 1000).astype(int)


def ffmpeg(*arguments):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *map(str, arguments)]
    subprocess.run(command, check=True, input=FRAMES.tobytes())


RAW = "-f rawvideo -pix_fmt gray -s 16x16 -r 10 -i -".split()


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("ten.mp4", "-c:v libx264 -crf 1 -pix_fmt yuv420p10le", 6),
        ("sixteen.mkv", "-c:v ffv1 -pix_fmt gray16le", 1),
        ("full.mov", "-c:v ffv1 -pix_fmt gray", 0),
        ("vp9.webm", "-c:v libvpx-vp9 -lossless 1", 4),
    ],
)
def test_pixels_of_all_depths(tmp_path, name, options, tolerance):
    ffmpeg(*RAW, *options.split(), tmp_path / name)
    np.testing.assert_allclose(read(tmp_path / name), FRAMES, atol=tolerance)


def test_what_an_edit_list_or_a_time_before_zero_leaves_out_is_left_out(tmp_path):
    """As in a player."""
    whole, cut, shifted = (tmp_path / f"{name}.mp4" for name in ("whole", "cut", "shifted"))
    h264 = "-c:v libx264 -qp 0 -pix_fmt yuv444p".split()
    ffmpeg(*RAW, *h264, whole)
    ffmpeg("-ss", "0.2", "-i", whole, "-c", "copy", cut)
    ffmpeg(*RAW, *h264, "-output_ts_offset", "-0.2", "-avoid_negative_ts", "disabled", shifted)
    for path in (cut, shifted):
        np.testing.assert_allclose(read(path), FRAMES[2:], atol=4)


@pytest.mark.parametrize("kind", ["CMYK", "P", "RGB", "I;16", "1", "LA"])
def test_pictures_of_all_modes(tmp_path, kind):
    suffix = {"CMYK": "jpg"}.get(kind, "png")
    for t, frame in enumerate(FRAMES):
        picture = Image.fromarray(frame)
        if kind == "I;16":
            picture = Image.fromarray(frame.astype(np.uint16) * 257)
        elif kind == "LA":
            picture.putalpha(255)
        elif kind != "1":
            picture = picture.convert("RGB").convert(kind, palette=Image.Palette.ADAPTIVE)
        else:
            picture = Image.fromarray(frame > 127)
        picture.save(tmp_path / f"{t}.{suffix}", **({"quality": 100} if suffix == "jpg" else {}))
    expected = 255 * (FRAMES > 127) if kind == "1" else FRAMES
    np.testing.assert_allclose(read(tmp_path), expected, atol=3)


@pytest.mark.parametrize("name", ["pages.tif", "moving.webp", "moving.png"])
def test_pages_of_one_file_are_frames(tmp_path, name):
    first, *others = map(Image.fromarray, FRAMES)
    options = {"webp": {"lossless": True}}.get(name.split(".")[1], {})
    (tmp_path / "film").mkdir()
    first.save(tmp_path / "film" / name, save_all=True, append_images=others, **options)
    np.testing.assert_allclose(read(tmp_path / "film"), FRAMES, atol=2)


@pytest.mark.parametrize(
    "array",
    [
        (FRAMES.astype(np.uint16) * 257).astype(">u2"),
        np.asfortranarray(FRAMES),
        (FRAMES / 255).astype(np.float16),
        (FRAMES / 255).astype(">f8"),
    ],
    ids=["big-endian", "Fortran", "half", "double"],
)
def test_arrays_of_all_layouts(tmp_path, array):
    np.save(tmp_path / "clip.npy", array)
    np.testing.assert_allclose(read(tmp_path / "clip.npy"), FRAMES, atol=1)
