import pytest

from kvae.config import Config
from kvae.config.datasets import cut_of, dataset_name, is_own_videos
from kvae.videos.dataset import Cut
from kvae.videos.frames import EITHER, Look


def test_a_path_is_told_from_a_world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("clips", "box"):
        (tmp_path / name).mkdir()
    assert is_own_videos("clips")
    assert is_own_videos("gone/clips")
    assert is_own_videos("gone.mp4")
    # The world has the name; the folder has another one.
    assert not is_own_videos("box")
    assert is_own_videos("./box")
    assert not is_own_videos("gone")
    assert dataset_name("gone/clips/") == "clips"
    assert dataset_name("a/b.mp4") == "b"
    assert dataset_name("box") == "box"


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ({}, Cut(Look(32, 32, True, EITHER), 20, 20)),
        ({"frame_size": (48, 64), "stride": 5}, Cut(Look(48, 64, True, EITHER), 20, 5)),
        ({"rate": 12.5}, Cut(Look(32, 32, True, EITHER), 20, 20, 12.5)),
        ({"out_distr": "gaussian", "timesteps": 7}, Cut(Look(32, 32, False, EITHER), 7, 7)),
    ],
)
def test_options_say_how_videos_are_cut(options, cut):
    assert cut_of(Config(dataset="my/videos", **options)) == cut
