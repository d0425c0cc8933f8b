import pytest

from kvae.config import Config
from kvae.config.datasets import cut_of, dataset_name, environment_options, is_own_videos
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
        ({"grey_targets": True}, Cut(Look(32, 32, False, EITHER), 20, 20)),
    ],
)
def test_options_say_how_videos_are_cut(options, cut):
    assert cut_of(Config(dataset="my/videos", **options)) == cut


def test_environments_and_worlds_of_ones_own_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("gym:Pendulum-v1", "gym:ALE/Pong-v5", "gym:my_envs:Mine-v0", "my_worlds:circle", "a.b:c"):
        assert not is_own_videos(name)
        assert dataset_name(name) == name
    for name in ("films:2/clip.mp4", "12:30.mp4", "C:/films", "clips/a:b"):
        assert is_own_videos(name)
    (tmp_path / "take:two").mkdir()
    assert is_own_videos("take:two")


@pytest.mark.parametrize(
    ("options", "asked", "num_steps"),
    [
        # What has its default is taken as it is in the files.
        ({"out_distr": "gaussian"}, {}, None),
        ({"grey_targets": True}, {}, None),
        ({"out_distr": "gaussian", "frame_size": (48, 64)}, {"frame_size": [48, 64]}, None),
        (
            {"out_distr": "gaussian", "frame_size": (64,), "channels": 3},
            {"frame_size": [64, 64], "channels": 3},
            None,
        ),
        ({"timesteps": 30}, {"greyscale": False}, 30),
    ],
)
def test_options_say_how_environments_are_recorded(options, asked, num_steps):
    assert environment_options(Config(dataset="gym:Pendulum-v1", **options)) == (asked, num_steps)
