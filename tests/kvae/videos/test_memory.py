import numpy as np
import pytest

from kvae.arguments import ArgumentError
from kvae.videos.memory import dataset_of, sizes_of


def clip(length, first=0):
    """Every pixel of a frame is the frame's number."""
    return np.broadcast_to(np.arange(first, first + length)[:, None, None], [length, 4, 6]).astype(np.uint8)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (np.bool_, 1, 255),
        (np.uint8, 7, 7),
        (np.int64, 7, 7),
        (np.uint16, 255, 255),
        (np.float16, 0.5, np.float32(0.5)),
        (np.float64, 1 + 1e-6, np.float32(1)),
    ],
)
def test_pixels_are_bytes_or_floats(dtype, value, expected):
    images = dataset_of(np.full([2, 3, 4, 4], value, dtype)).images
    assert images.dtype == (np.float32 if isinstance(expected, np.float32) else np.uint8)
    assert (images == expected).all()


def test_an_array_is_sequences_as_they_are():
    videos = np.random.default_rng(0).integers(0, 256, [3, 5, 4, 6, 3], np.uint8)
    controls = np.random.default_rng(0).normal(size=[3, 5, 2])
    data = dataset_of(videos, np.ones([3, 5]), controls)
    np.testing.assert_array_equal(data.images, videos)
    np.testing.assert_allclose(data.controls, controls, rtol=1e-6)
    assert (data.mask, data.controls.dtype) == (None, np.float32)
    np.testing.assert_array_equal(dataset_of(videos, timesteps=5).images, videos)
    assert dataset_of(videos).dim_u == 0


def test_what_stands_in_missing_frames_is_not_looked_at():
    videos, mask = np.full([2, 3, 4, 4], 0.5), np.array([[1, 0, 1], [1, 1, 1]], bool)
    videos[0, 1] = np.nan
    data = dataset_of(videos, mask)
    assert (data.images[0, 1] == 0).all()
    assert (data.images[1] == 0.5).all()
    np.testing.assert_array_equal(data.mask, mask)
    assert data.mask.dtype == np.float32
    with pytest.raises(ArgumentError, match="NaN or infinity; hide such frames with a mask"):
        dataset_of(videos)


def test_longer_sequences_are_cut_as_videos_are():
    videos = np.stack([clip(7), clip(7, 100)])
    data = dataset_of(videos, timesteps=3, stride=2, controls=videos[:, :, 0, 0, None])
    firsts = [0, 2, 4, 100, 102, 104]
    np.testing.assert_array_equal(data.images[:, :, 0, 0], np.add.outer(firsts, range(3)))
    np.testing.assert_array_equal(data.controls[..., 0], np.add.outer(firsts, range(3)))
    np.testing.assert_array_equal(dataset_of(videos, timesteps=3).images[:, 0, 0, 0], [0, 3, 100, 103])


def test_clips_have_lengths_of_their_own():
    told: list[str] = []
    clips = [clip(5), clip(2, 50), clip(7, 100)]
    mask = [np.ones(5), np.ones(2), np.array([1, 1, 1, 0, 1, 0, 1])]
    data = dataset_of(clips, mask, timesteps=3, report=told.append)
    np.testing.assert_array_equal(data.images[:, 0, 0, 0], [0, 100])
    assert told == [
        "1 of 3 clips of videos have fewer than 3 frames: left out",
        "1 sequences of videos have fewer than 2 frames, and are left out",
    ]
    assert data.mask is None
    seen = dataset_of(clips[2:], mask[2:], timesteps=7).mask
    np.testing.assert_array_equal(seen, mask[2:])
    # A clip that nobody has seen is left out, not refused.
    assert dataset_of([clip(3), clip(3)], [np.ones(3), np.zeros(3)], timesteps=3).shape[0] == 1


def test_clips_of_bytes_and_of_floats_go_together():
    data = dataset_of([np.full([2, 4, 4], 51, np.uint8), np.full([2, 4, 4], 0.25)], timesteps=2)
    np.testing.assert_allclose(data.images[:, 0, 0, 0], [0.2, 0.25])


def test_videos_say_how_large_and_how_long_they_are():
    assert sizes_of(np.zeros([2, 7, 4, 6]), 20) == {"frame_size": (4, 6), "timesteps": 7}
    assert sizes_of(np.zeros([2, 70, 4, 6, 3]), 20) == {"frame_size": (4, 6), "timesteps": 70}
    assert sizes_of([clip(5), clip(9)], 20) == {"frame_size": (4, 6), "timesteps": 9}
    assert sizes_of([clip(5), clip(90)], 20) == {"frame_size": (4, 6), "timesteps": 20}


@pytest.mark.parametrize(
    ("videos", "options", "message"),
    [
        (None, {}, "videos must be an array of numbers"),
        (np.ma.masked_array(np.zeros([2, 3, 4, 4])), {}, "videos is a masked array"),
        (np.zeros([2, 3, 4, 4]), {"mask": np.zeros([2, 3])}, "mask hides every frame"),
        (np.zeros([2, 3, 4, 4]), {"controls": np.full([2, 3, 1], np.nan)}, "controls must be finite"),
        ([], {"timesteps": 3}, "must hold a clip"),
        ([clip(3), np.ma.masked_array(clip(3))], {"timesteps": 3}, r"videos\[1\] is a masked array"),
        ([clip(3)], {"timesteps": 4}, "No clip of videos has 4 frames.*at most 3, the length"),
        ([clip(3)], {"timesteps": 3, "mask": [[1, 0, 0]]}, "no sequence has 2 of them"),
        ([clip(3)], {"timesteps": 3, "mask": [[1, 0, 2]]}, r"mask\[0\] must hold 1 where"),
        (
            [clip(3)],
            {"timesteps": 3, "controls": [np.ones([2, 1])]},
            r"controls\[0\] must be \[B, T, dim_u\]",
        ),
        ([clip(3)] * 2, {"timesteps": 3, "mask": [[1, 1, 1]]}, "mask must be a list, one for each of the 2"),
        (
            [clip(3), clip(3)[:, 1:]],
            {"timesteps": 3},
            r"videos\[1\] must have frames as videos\[0\] has, \(4, 6\)",
        ),
        (
            [clip(3)] * 2,
            {"timesteps": 3, "controls": [np.ones([3, 1]), np.ones([3, 2])]},
            r"videos\[1\] must have controls as videos\[0\] has, 1\. Received: 2",
        ),
    ],
)
def test_what_are_no_videos_is_refused_in_words(videos, options, message):
    with pytest.raises(ArgumentError, match=message):
        dataset_of(videos, **options)
