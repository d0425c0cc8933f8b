"""A clip as models of grey frames and of colour take it."""

from types import SimpleNamespace

import numpy as np
import pytest

from kvae.apply import clips
from kvae.videos import sources
from kvae.videos.errors import TooLongError

RED = np.zeros([4, 6, 6, 3], np.uint8)
RED[..., 0] = 200


def model_of(channels, **options):
    shape = (3, 3) if channels == 1 else (3, 3, 3)
    config = SimpleNamespace(channels=channels, is_binary=False, rate=0, learn_u=False, use_controls=True)
    return SimpleNamespace(config=SimpleNamespace(**vars(config) | options), frame_shape=shape)


@pytest.mark.parametrize(
    ("images", "channels", "said"),
    [
        (RED, 1, "mine is in colour: its frames are turned to grey"),
        (RED, 3, ""),
        (RED[..., 0], 1, ""),
        (RED[..., 0], 3, "mine is grey: its frames are taken as colour"),
    ],
)
def test_frames_are_as_the_model_s(images, channels, said, tmp_path):
    np.savez(tmp_path / "clip.npz", images=images, mask=[1, 0, 1, 1], controls=np.arange(4.0)[:, None])
    (source,) = sources.find(tmp_path / "clip.npz")
    clip = clips.read(source, model_of(channels), 4, 0, "mine")
    assert clip.frames.shape == (4, *model_of(channels).frame_shape)
    assert clip.note.startswith(said)
    assert bool(clip.note) == bool(said)
    np.testing.assert_array_equal(clip.there, [1, 0, 1, 1])
    np.testing.assert_array_equal(clip.controls[:, 0], np.arange(4))
    if channels == 3:
        np.testing.assert_array_equal(clip.frames[0, 0, 0], [200, 0, 0] if images is RED else [200] * 3)
    with pytest.raises(TooLongError, match="more than 3 frames"):
        clips.read(source, model_of(channels), 3, 0, "mine")


@pytest.mark.parametrize("options", [{"learn_u": True}, {"use_controls": False}])
def test_controls_that_no_model_takes_are_named(options, tmp_path):
    taken, note = clips.controls_of(np.zeros([4, 1]), 4, 0, model_of(1, **options), tmp_path, "mine")
    assert taken is None
    assert note.startswith("controls of mine left out")
