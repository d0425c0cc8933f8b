import pickle

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from kvae.errors import UserError
from kvae.videos.frames import Look, clips_of, read_clip, seconds_of_step
from kvae.videos.sources import find


def moving_square(num_frames=6, height=32, width=32):
    """Frames [T, H, W] with a bright square that moves to the right, on grey."""
    frames = np.full([num_frames, height, width], 40, np.uint8)
    for t in range(num_frames):
        frames[t, 8:16, 2 + 2 * t : 10 + 2 * t] = 220
    return frames


def write_video(path, frames, codec="libx264"):
    options = {"codec": codec, "pixelformat": "yuv420p", "quality": 10, "macro_block_size": 1}
    with imageio.get_writer(path, format="FFMPEG", fps=10, ffmpeg_log_level="error", **options) as writer:
        for frame in frames:
            writer.append_data(np.repeat(frame[..., None], 3, axis=-1))


def read(path, height=32, width=32, black_and_white=False, max_frames=1000):
    (source,) = find(path)
    return read_clip(source, Look(height, width, black_and_white), max_frames)


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "libx264"), ("mov", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx")]
)
def test_videos_are_read(suffix, codec, tmp_path):
    frames = moving_square()
    path = tmp_path / f"clip.{suffix}"
    write_video(path, frames, codec)
    found = read(path)
    assert found.dtype == np.uint8
    assert found.shape == frames.shape
    # The codecs lose a little.
    assert np.abs(found.astype(int) - frames).mean() < 6
    right = [np.flatnonzero((frame > 130).any(axis=0)).max() for frame in found]
    assert np.diff(right) == pytest.approx(2, abs=1)


def test_a_gif_is_read_whatever_its_frames_leave_out(tmp_path):
    frames = moving_square()
    path = tmp_path / "clip.gif"
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    np.testing.assert_array_equal(read(path), frames)


@pytest.mark.parametrize("kind", ["grey", "rgb", "alpha", "deep", "palette"])
def test_pictures_are_read(kind, tmp_path):
    frames = moving_square(12)
    for t, frame in enumerate(frames):
        image = Image.fromarray(frame)
        if kind == "deep":
            image = Image.fromarray(frame.astype(np.uint16) * 257)
        elif kind != "grey":
            image = image.convert({"rgb": "RGB", "alpha": "RGBA", "palette": "P"}[kind])
        image.save(tmp_path / f"frame_{t}.png")
    # frame_10 comes after frame_9.
    np.testing.assert_array_equal(read(tmp_path), frames)


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("kind", ["uint8", "float64", "bool", "one channel", "three channels"])
def test_arrays_are_read(suffix, kind, tmp_path):
    frames = moving_square()
    expected, array = frames, frames
    if kind == "float64":
        array = frames / 255
    elif kind == "bool":
        array, expected = frames > 100, np.where(frames > 100, 255, 0)
    elif kind == "one channel":
        array = frames[..., None]
    elif kind == "three channels":
        array = np.repeat(frames[..., None], 3, axis=-1)
    path = tmp_path / f"clip.{suffix}"
    np.save(path, array) if suffix == "npy" else np.savez(path, array)
    np.testing.assert_array_equal(read(path), expected)


def test_each_of_an_array_is_a_video(tmp_path):
    path = tmp_path / "clips.npz"
    images = np.stack([moving_square(), 255 - moving_square()])
    np.savez(path, images=images, states=np.zeros([2, 6]))
    found = list(clips_of(find(path)[0], Look(32, 32)))
    assert [clip.name for clip in found] == ["clips.npz[0]", "clips.npz[1]"]
    for clip, expected in zip(found, images, strict=True):
        np.testing.assert_array_equal(np.stack(list(clip.frames)), expected)
    with pytest.raises(UserError, match="holds several videos"):
        read(path)


def test_colours_are_weighed_by_their_brightness(tmp_path):
    frame = np.zeros([1, 32, 32, 3], np.uint8)
    frame[..., 1] = 255
    np.save(tmp_path / "green.npy", frame)
    # ITU-R 601.
    assert read(tmp_path / "green.npy") == pytest.approx(0.587 * 255, abs=1)


def test_pixels_that_fall_together_are_averaged(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, [2, 64, 64], np.uint8)
    np.save(tmp_path / "a.npy", frames)
    means = frames.reshape(2, 16, 4, 16, 4).mean(axis=(2, 4))
    found = read(tmp_path / "a.npy", 16, 16).astype(float)
    assert np.corrcoef(found.ravel(), means.ravel())[0, 1] > 0.9
    # Taking every fourth pixel would keep the spread of the noise, 74.
    assert found.std() < 25


def test_what_does_not_fit_the_ratio_is_cut_off_on_both_sides(tmp_path):
    frames = np.zeros([1, 40, 100], np.uint8)
    frames[:, :, 30:70] = 200
    np.save(tmp_path / "wide.npy", frames)
    np.save(tmp_path / "tall.npy", frames.transpose(0, 2, 1))
    for name in ("wide", "tall"):
        # The filter reaches a little over the edge.
        found = read(tmp_path / f"{name}.npy", 20, 20)
        assert found.min() > 180
        assert (found[0, 1:-1, 1:-1] == 200).all()
    whole = read(tmp_path / "wide.npy", 20, 50)
    assert whole[0, 10, 0] == 0
    assert whole[0, 10, 25] == 200


def test_black_and_white_is_at_half_of_the_range(tmp_path):
    frames = np.tile(np.array([0, 127, 128, 255], np.uint8), [1, 4, 1])
    np.save(tmp_path / "a.npy", frames)
    assert read(tmp_path / "a.npy", 4, 4, black_and_white=True)[0, 0].tolist() == [0, 0, 255, 255]


def test_no_more_frames_are_read_than_are_wanted(tmp_path):
    np.save(tmp_path / "a.npy", moving_square(6))
    assert len(read(tmp_path / "a.npy", max_frames=6)) == 6
    with pytest.raises(UserError, match=r"a\.npy has more than 5 frames"):
        read(tmp_path / "a.npy", max_frames=5)


def save_npz(path, **arrays):
    with path.open("wb") as file:
        np.savez(file, **arrays)


def broken(path):
    """Write a file that cannot be used, of the kind that its name says; return what a message says of it."""
    frames = moving_square()
    if path.stem == "text":
        path.write_text("not a video\n" * 100)
        return "cannot be read"
    if path.stem == "playlist":
        # Ffmpeg would open what it lists.
        path.write_text(f"#EXTM3U\n#EXTINF:1,\n{path.parent / 'other.mp4'}\n#EXT-X-ENDLIST\n")
        write_video(path.parent / "other.mp4", frames)
        return "cannot be read"
    if path.stem == "cut":
        write_video(path.with_name(f"whole{path.suffix}"), frames)
        # Without its end, where the index is.
        content = path.with_name(f"whole{path.suffix}").read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return "cannot be read"
    if path.stem == "empty":
        path.write_bytes(b"")
        return "cannot be read|not a readable"
    arrays = {
        "nan": np.full([3, 8, 8], np.nan, np.float32),
        "negative": np.full([3, 8, 8], -0.1),
        "large": np.full([3, 8, 8], 255.0),
        "ints": np.zeros([3, 8, 8], np.int64),
        "words": np.full([3, 8, 8], "x"),
        "flat": np.zeros([8, 8], np.uint8),
        "none": np.zeros([0, 8, 8], np.uint8),
        "colours": np.zeros([2, 3, 8, 8, 5], np.uint8),
        "objects": np.array([[[{}]]], object),
    }
    array = arrays[path.stem]
    if path.suffix == ".npz":
        save_npz(path, images=array)
    else:
        np.save(path, array)
    return {
        "nan": "numbers between 0 and 1",
        "negative": "numbers between 0 and 1",
        "large": "numbers between 0 and 1",
        "ints": "Received: int64",
        "words": "Received: <U1",
        "objects": "objects|Object|allow_pickle",
    }.get(path.stem, "Received: shape")


@pytest.mark.parametrize(
    "name",
    (
        "text.mp4 text.gif text.avi text.webm text.npy playlist.mp4 playlist.avi cut.mp4 empty.mp4 empty.gif "
        "empty.npy empty.npz nan.npy nan.npz negative.npy large.npy ints.npy words.npz flat.npy none.npy "
        "colours.npy objects.npy objects.npz"
    ).split(),
)
def test_what_is_broken_is_told_with_its_name(name, tmp_path):
    said = broken(tmp_path / name)
    with pytest.raises(UserError, match=said) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "Traceback" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_pickle_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    (tmp_path / "trap.npy").write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "inside.npy", np.array([Trap()], object))
    for name in ("trap.npy", "inside.npy"):
        with pytest.raises(UserError):
            read(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_an_archive_needs_one_array_or_images(tmp_path):
    save_npz(tmp_path / "a.npz", one=moving_square(), two=moving_square())
    with pytest.raises(UserError, match=r"a single one\. Received: one, two"):
        read(tmp_path / "a.npz")


def test_pictures_of_one_video_have_one_size(tmp_path):
    Image.fromarray(np.zeros([8, 8], np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.zeros([8, 9], np.uint8)).save(tmp_path / "2.png")
    with pytest.raises(UserError, match=r"2\.png is 9x8, but 1\.png.* is 8x8"):
        read(tmp_path)


def test_a_broken_picture_is_told(tmp_path):
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(UserError, match=r"1\.png cannot be read as a picture"):
        read(tmp_path)


def test_frames_too_large_to_hold_are_refused(tmp_path):
    # A header alone: a sparse file that says it is 100,000 pixels wide.
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1, 2, 100_000)}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 200_000)
    with pytest.raises(UserError, match="frames of 100000x2"):
        read(tmp_path / "a.npy")


def test_a_film_says_how_long_its_frames_are_and_an_array_does_not(tmp_path):
    frames = np.zeros([5, 16, 16, 3], np.uint8)
    frames[np.arange(5), np.arange(5)] = 255
    imageio.mimwrite(tmp_path / "a.mp4", frames, fps=25, macro_block_size=1, ffmpeg_log_level="error")
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / "b.gif", save_all=True, append_images=images[1:], duration=200)
    np.save(tmp_path / "c.npy", frames[..., 0])
    (tmp_path / "d").mkdir()
    for number, image in enumerate(images):
        image.save(tmp_path / "d" / f"{number}.png")
    seconds = {name: seconds_of_step(find(tmp_path / name)[0]) for name in ("a.mp4", "b.gif", "c.npy", "d")}
    assert seconds == {"a.mp4": pytest.approx(0.04), "b.gif": pytest.approx(0.2), "c.npy": None, "d": None}
    assert seconds_of_step(find(tmp_path / "a.mp4")[0], rate=5) == 0.2
