"""Films and pictures are read as a player shows them."""

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from kvae.videos import timing
from kvae.videos.containers import demuxer_of
from kvae.videos.frames import Look, read_clip, read_recording
from kvae.videos.sources import VideoError, find

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def levels(num_frames=12):
    """Frames [T, 16, 16], each of a grey value of its own."""
    return np.repeat(20 * np.arange(num_frames, dtype=np.uint8), 256).reshape(-1, 16, 16)


def encode(path, frames, *options, pixels="gray"):
    command = [FFMPEG, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", pixels, "-s", "16x16", "-r", "20"]
    subprocess.run([*command, "-i", "-", *options, str(path)], input=frames.tobytes(), check=True)


def read(path):
    (source,) = find(path)
    return read_clip(source, Look(16, 16), 1000)


def recorded(path, rate=0):
    (source,) = find(path)
    return read_recording(source, Look(16, 16), 1000, rate)


def shown(path):
    return np.rint(read(path)[:, 8, 8] / 20).astype(int).tolist()


@pytest.mark.parametrize("b_frames", ["0", "2"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_missing_frame_repeats_the_one_before(suffix, b_frames, tmp_path, capsys):
    path = tmp_path / f"a.{suffix}"
    drop = ("-vf", "select='not(between(n,4,6))'", "-fps_mode", "vfr", "-bf", b_frames)
    encode(path, levels(), *drop, "-c:v", "libx264", "-crf", "5", "-pix_fmt", "yuv420p")
    assert shown(path) == [0, 1, 2, 3, 3, 3, 3, 7, 8, 9, 10, 11]
    assert "at 20 frames a second, where 3 frames are missing" in capsys.readouterr().err
    assert recorded(path).mask.tolist() == [1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1]


def test_durations_of_a_gif(tmp_path):
    pictures = [Image.fromarray(frame) for frame in levels(4)]
    pictures[0].save(
        tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 300, 100, 100]
    )
    assert shown(tmp_path / "a.gif") == [0, 1, 1, 1, 2, 3]
    assert recorded(tmp_path / "a.gif").mask.tolist() == [1, 1, 0, 0, 1, 1]


def test_rounded_times_do_not_drift():
    for rate in (24000 / 1001, 30000 / 1001, 30, 60):
        times = np.round(np.arange(3000) / rate, 3) + 7
        assert timing.spaced("a", times.tolist())[0].frames.tolist() == [*range(3000)]
    assert timing.spaced("a", [3.0])[0].frames.tolist() == [0]
    with pytest.raises(VideoError, match="gaps"):
        timing.spaced("a", [0, 0.1, 0.2, 10_000])


@pytest.mark.parametrize("value", [0, 255])
def test_what_is_opaque_is_seen(value, tmp_path):
    alpha = np.zeros([16, 16], np.uint8)
    alpha[4:12, 4:12] = 255
    rgba = np.dstack([np.full([16, 16, 3], value, np.uint8), alpha])
    Image.fromarray(rgba).save(tmp_path / "1.png")
    frame = read(tmp_path)[0]
    assert (frame[8, 8], frame[0, 0]) == (value, 255 - value)
    np.save(tmp_path / "a.npy", rgba[None])
    np.testing.assert_array_equal(read(tmp_path / "a.npy")[0], frame)
    encode(tmp_path / "a.mov", rgba[None], "-c:v", "qtrle", pixels="rgba")
    np.testing.assert_array_equal(read(tmp_path / "a.mov")[0], frame)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_pixels_are_scaled(bits, tmp_path):
    deep = np.zeros([16, 16], np.uint16)
    deep[8:] = 2**bits - 1
    Image.fromarray(deep).save(tmp_path / "1.png")
    np.save(tmp_path / "a.npy", deep[None])
    for path in (tmp_path / "a.npy", tmp_path):
        source = next(source for source in find(path) if path.suffix or source.suffix == ".png")
        frame = read_clip(source, Look(16, 16), 9)[0]
        assert (frame[0, 0], frame[15, 0]) == (0, 255)


def test_a_picture_is_turned(tmp_path):
    image = Image.fromarray(np.pad(np.full([8, 16], 200, np.uint8), [(0, 8), (0, 0)]))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "1.jpg", exif=exif)
    frame = read(tmp_path)[0]
    assert frame[8, 14] > 180
    assert frame[8, 1] < 20


def test_the_content_says_what_a_film_is(tmp_path):
    path = tmp_path / "a.mkv"
    encode(path, levels(), "-c:v", "libx264", "-crf", "5", "-pix_fmt", "yuv420p")
    path = path.rename(tmp_path / "b.mp4")
    assert demuxer_of(path) == "matroska"
    assert shown(path) == list(range(12))


@pytest.mark.parametrize("shape", [(5, 3, 16, 16), (2, 5, 3, 16, 16)])
def test_channels_first_are_asked_about(shape, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(VideoError, match="channels last"):
        read(tmp_path / "a.npy")


def test_the_cause_is_told(tmp_path):
    encode(tmp_path / "a.mp4", levels(), "-c:v", "mpeg4")
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(content[: content.index(b"moov") - 4])
    with pytest.raises(VideoError, match="moov atom not found"):
        read(tmp_path / "a.mp4")


def test_what_is_left_out_is_listed(tmp_path, capsys):
    (tmp_path / "class1" / "deep").mkdir(parents=True)
    for name in ("a.MKV", "class1/b.mp4", "class1/deep/1.tif", "notes.doc"):
        (tmp_path / name).write_bytes(b"x")
    assert [source.name for source in find(tmp_path)] == ["a.MKV", "class1/b.mp4", "class1/deep"]
    assert "1 files of" in capsys.readouterr().err


def test_a_film_that_is_cut_off_says_how_much_is_left(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, [40, 16, 16], np.uint8)
    encode(tmp_path / "a.avi", noise, "-c:v", "mpeg4", "-q:v", "2")
    content = (tmp_path / "a.avi").read_bytes()
    (tmp_path / "a.avi").write_bytes(content[: content.index(b"movi") + 4000])
    found = read(tmp_path / "a.avi")
    said = capsys.readouterr().err
    assert 1 <= len(found) < 40
    assert f"{len(found)} frames of it can be read" in said


def test_a_picture_that_is_cut_off_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, [16, 16], np.uint8)
    for number in range(2):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(VideoError, match=r"1\.png cannot be read as a picture"):
        read(tmp_path)


def test_pictures_with_gaps_in_their_numbers_are_said(tmp_path, capsys):
    for number in (1, 2, 5, 6):
        Image.fromarray(np.zeros([16, 16], np.uint8)).save(tmp_path / f"{number}.png")
    assert recorded(tmp_path).mask.tolist() == [1, 1, 0, 0, 1, 1]
    assert "have gaps, after 2: 2 frames are missing there" in capsys.readouterr().err


@pytest.mark.parametrize("top", [1, 200])
def test_floats_of_a_tiff(top, tmp_path):
    pixels = np.zeros([16, 16], np.float32)
    pixels[8:] = top
    Image.fromarray(pixels).save(tmp_path / "1.tif")
    assert read(tmp_path)[0][15, 0] == (255 if top == 1 else 200)
    pixels[0, 0] = np.nan
    Image.fromarray(pixels).save(tmp_path / "1.tif")
    with pytest.raises(VideoError, match="not numbers"):
        read(tmp_path)


def test_a_film_is_turned_as_it_says(tmp_path):
    frame = np.zeros([3, 16, 16], np.uint8)
    frame[:, :8] = 200
    encode(tmp_path / "a.mp4", frame, "-c:v", "mpeg4", "-q:v", "2")
    turn = [FFMPEG, "-loglevel", "error", "-display_rotation", "180", "-i", str(tmp_path / "a.mp4")]
    subprocess.run([*turn, "-c", "copy", str(tmp_path / "b.mp4")], check=True)
    found = read(tmp_path / "b.mp4")[0]
    assert found[15, 8] > 180
    assert found[1, 8] < 20
