"""Files of arrays as videos: what stands in them beside the images."""

import h5py
import numpy as np
import pytest

from kvae.errors import UserError
from kvae.videos.frames import EITHER, Look, clips_of, has_colour, read_clip, read_recording
from kvae.videos.sources import find

N, T = 2, 5
IMAGES = np.random.default_rng(0).integers(0, 256, [N, T, 8, 8], np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, [N, T, 8, 8, 3], np.uint8)
LOOK = Look(8, 8)
CONTROLS = np.arange(N * T, dtype=np.float32).reshape(N, T)


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                is_words = getattr(array, "dtype", np.dtype(int)).kind == "U"
                file[name] = array.astype(object) if is_words else array
    return path


def clips(path, rate=0, look=LOOK):
    """Return (frames or None, controls, states) of each clip of a file."""
    (source,) = find(path)
    return [([*clip.frames], clip.controls, clip.states) for clip in clips_of(source, look, rate)]


@pytest.mark.parametrize("suffix", ["npz", "h5", "hdf5"])
def test_what_stands_beside_the_images_goes_with_them(suffix, tmp_path, capsys):
    mask = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 0, 1]])
    states = np.stack([CONTROLS, -CONTROLS], axis=-1)
    arrays = {"images": IMAGES, "mask": mask, "controls": CONTROLS, "states": states, "metadata": "{}"}
    found = clips(write(tmp_path / f"a.{suffix}", **arrays))
    assert len(found) == N
    for number, (frames, controls, of_states) in enumerate(found):
        assert [frame is not None for frame in frames] == mask[number].astype(bool).tolist()
        for t, frame in enumerate(frames):
            if frame is not None:
                np.testing.assert_array_equal(frame, IMAGES[number, t])
        np.testing.assert_array_equal(controls, CONTROLS[number][:, None])
        np.testing.assert_array_equal(of_states, states[number])
    assert capsys.readouterr().err == ""


def test_one_video_has_one_axis_less(tmp_path):
    path = write(
        tmp_path / "a.npz",
        images=IMAGES[0],
        mask=np.array([True, False, True, True, True]),
        controls=np.array([0, 1, 2, 1, 0]),
        times=np.array([0, 1, 2, 4, 5]),
    )
    ((frames, controls, states),) = clips(path)
    assert [frame is not None for frame in frames] == [True, False, True, False, True, True]
    # Classes are such still; a missing step has what acted on the way into the next frame.
    assert controls.dtype == np.int64
    assert controls[:, 0].tolist() == [0, 1, 2, 1, 1, 0]
    assert states is None
    (source,) = find(path)
    recording = read_recording(source, Look(8, 8), 100)
    assert recording.mask.tolist() == [1, 0, 1, 0, 1, 1]
    np.testing.assert_array_equal(recording.images[4], IMAGES[0, 3])
    # Scripts that know of no mask see the frame before.
    np.testing.assert_array_equal(read_clip(source, Look(8, 8), 100)[1], IMAGES[0, 0])


@pytest.mark.parametrize("junk", [np.nan, np.inf, -5, 1e20])
def test_what_stands_in_a_missing_frame_is_not_looked_at(junk, tmp_path):
    images = (IMAGES / 255).astype(np.float32)
    mask = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 0, 1]])
    images[mask == 0] = junk
    found = clips(write(tmp_path / "a.npz", images=images, mask=mask))
    np.testing.assert_array_equal(found[0][0][2], IMAGES[0, 2])
    with pytest.raises(UserError, match="an array `mask`"):
        clips(write(tmp_path / "a.npz", images=images))


def test_deep_pixels_are_measured_by_those_that_are_there(tmp_path, capsys):
    images = IMAGES.astype(np.uint16) * 16
    images[:, 1] = 65535
    mask = np.array([[1, 0, 1, 1, 1]] * 2)
    found = clips(write(tmp_path / "a.npz", images=images, mask=mask))
    assert found[0][0][0].max() > 200
    assert "taken for 12 bits" in capsys.readouterr().err


def test_times_go_on_a_grid(tmp_path, capsys):
    times = np.array([[0, 1, 2, 3, 4], [0, 1, 3, 4, 5.0]])
    path = write(tmp_path / "a.npz", images=IMAGES, times=times, controls=CONTROLS)
    first, second = clips(path)
    assert [frame is not None for frame in first[0]] == [True] * 5
    assert [frame is not None for frame in second[0]] == [True, True, False, True, True, True]
    assert second[1][:, 0].tolist() == [5, 6, 7, 7, 8, 9]
    assert "at 1 frames a unit of time, where 1 frame is missing" in capsys.readouterr().err
    halves = clips(path, rate=0.5)
    assert [len(frames) for frames, *_ in halves] == [3, 4]
    assert "left out, another being nearer to the step" in capsys.readouterr().err
    # One row for all.
    shared = clips(write(tmp_path / "b.npz", images=IMAGES, times=times[1]))
    assert [len(frames) for frames, *_ in shared] == [6, 6]
    # Padding has no times.
    times[1, 4] = np.nan
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    padded = clips(write(tmp_path / "c.npz", images=IMAGES, times=times, mask=mask))
    assert [frame is not None for frame in padded[1][0]] == [True, True, False, True, True]


def test_even_times_change_nothing(tmp_path, capsys):
    for times in (np.arange(T), np.arange(T) / 30 + 7, 1000 + 33.3 * np.arange(T)):
        found = clips(write(tmp_path / "a.npz", images=IMAGES, times=times))
        assert all(frame is not None and len(frames) == T for frames, *_ in found for frame in frames)
    assert capsys.readouterr().err == ""


def test_a_rate_needs_times(tmp_path, capsys):
    clips(write(tmp_path / "a.npz", images=IMAGES), rate=3)
    assert "has no array `times`: --rate does nothing" in capsys.readouterr().err


def test_what_is_not_understood_is_named(tmp_path, capsys):
    objects = np.array([[{}]], object)
    np.savez(tmp_path / "a.npz", images=IMAGES, actions=CONTROLS, rewards=CONTROLS, controls=objects)
    ((_, controls, _), _) = clips(tmp_path / "a.npz")
    assert controls is None
    said = capsys.readouterr().err
    assert (
        "actions, rewards left out: what is read is images, mask, controls, states, times, metadata" in said
    )
    assert "controls left out: Python objects are not read" in said


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mask": np.ones([N, T - 1])}, r"mask must be \[N, T\] = \[2, 5\].*\(2, 4\)"),
        ({"mask": np.full([N, T], 0.5)}, "mask must be 1 where.*0.5"),
        ({"mask": np.full([N, T], 255)}, "mask must be 1 where.*255"),
        ({"mask": np.zeros([N, T])}, "mask hides every frame"),
        ({"controls": np.zeros([N, T - 1])}, "Entry t acts on the way into frame t"),
        ({"controls": np.zeros([T, N])}, r"controls must be \[N, T, dim_u\]"),
        ({"controls": np.full([N, T], np.nan)}, "controls must be finite"),
        ({"controls": np.full([N, T], "left")}, "controls must be numbers"),
        ({"states": np.zeros([N + 1, T, 3])}, r"states must be \[N, T, S\]"),
        ({"times": np.zeros([N, T])}, "times must increase. Received: 0, and then 0"),
        ({"times": np.array([0, 1, 3, 2, 4])}, "times must increase. Received: 3, and then 2"),
        ({"times": np.array([0, 1, np.nan, 3, 4])}, "times must be finite. Received: nan"),
        ({"times": np.arange(T + 1)}, r"times must be \[N, T\] = \[2, 5\], or \[T\]"),
        ({"times": np.full([N, T], "noon")}, "times must be numbers"),
        ({"times": np.array([0, 1, 2, 3, 1e9])}, "gaps between them"),
        ({"images": COLOUR[..., :2]}, r"with 1, 3 or 4 channels last"),
        ({"images": np.full([N, T, 8, 8], np.nan)}, "numbers between 0 and 1"),
    ],
)
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_what_cannot_be_used_is_told(suffix, arrays, message, tmp_path):
    path = write(tmp_path / f"a.{suffix}", **({"images": IMAGES} | arrays))
    with pytest.raises(UserError, match=message) as error:
        clips(path)
    assert str(path) in str(error.value)


# --- colour ---


def test_colour_is_read_where_it_is_asked_for(tmp_path):
    path = write(tmp_path / "a.npz", images=COLOUR)
    frames = clips(path, look=Look(8, 8, channels=3))[1][0]
    np.testing.assert_array_equal(frames[2], COLOUR[1, 2])
    grey = clips(path)[1][0]
    assert grey[2].shape == (8, 8)
    either = clips(path, look=Look(8, 8, channels=EITHER))[1][0]
    np.testing.assert_array_equal(either[2][..., :3], frames[2])
    np.testing.assert_array_equal(either[2][..., 3], grey[2])
    halves = clips(write(tmp_path / "b.npz", images=COLOUR / 255), look=Look(8, 8, channels=3))
    np.testing.assert_array_equal(halves[0][0][0], COLOUR[0, 0])


def test_grey_frames_as_colour_have_three_channels_alike(tmp_path):
    frames = clips(write(tmp_path / "a.npz", images=IMAGES), look=Look(8, 8, channels=3))[0][0]
    for channel in range(3):
        np.testing.assert_array_equal(frames[1][..., channel], IMAGES[0, 1])
    assert not has_colour(frames[1])
    assert has_colour(COLOUR[0, 0])


def test_what_is_transparent_in_colour(tmp_path):
    alpha = np.zeros([1, T, 8, 8, 1], np.uint8)
    alpha[..., 2:6, 2:6, :] = 255
    bright = np.broadcast_to(np.array([255, 200, 0], np.uint8), [1, T, 8, 8, 3])
    path = write(tmp_path / "a.npz", images=np.concatenate([bright, alpha], axis=-1))
    frame = clips(path, look=Look(8, 8, channels=3))[0][0][0]
    assert frame[4, 4].tolist() == [255, 200, 0]
    assert frame[0, 0].tolist() == [0, 0, 0]
