import pytest

from kvae.config import Config
from kvae.config.presets import (
    OWN_VIDEOS,
    PRESETS,
    WORLD_PRESETS,
    dataset_name,
    is_own_videos,
    preset_options,
)
from tests.kvae.config.test_config import DEFAULTS


def test_presets_are_sets_of_options_that_work():
    for name, options in PRESETS.items():
        assert set(options) <= set(DEFAULTS)
        assert Config(preset=name, **options).preset == name
    assert PRESETS["original"] == {
        "kf_elbo": "sampled",
        "shuffle": False,
        "precision": "float32",
        "evaluate_on_samples": True,
    }
    for world, of_world in WORLD_PRESETS.items():
        for name, options in PRESETS.items():
            assert Config(dataset=world, preset=name, **(of_world | options)).dataset == world


def test_a_preset_lies_above_what_the_world_starts_from(monkeypatch):
    monkeypatch.setitem(WORLD_PRESETS, "moon", {"K": 7, "batch_size": 4})
    assert preset_options("", "moon") == {"K": 7, "batch_size": 4}
    assert preset_options("quick", "moon") == {"K": 7, **PRESETS["quick"]}
    assert preset_options("none", "moon") == {}
    assert preset_options("", "sun") == preset_options("none", "sun") == {}


# --- one's own videos ---


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
    ("given", "shown", "hidden"),
    [
        ({}, 4, 12),
        ({"timesteps": "10"}, 2, 6),
        ({"timesteps": "2"}, 1, 1),
        ({"timesteps": "50"}, 4, 30),
        ({"t_init_mask": "12"}, None, 8),
        ({"timesteps": "x"}, 4, 12),
    ],
)
def test_masks_of_own_videos_go_with_their_length(given, shown, hidden):
    options = preset_options("", "my/videos", given=given)
    assert options.get("t_init_mask") == shown
    assert options["t_steps_mask"] == hidden
    if given.get("timesteps") != "x":
        length = int(given.get("timesteps", 20))
        assert int(given.get("t_init_mask", shown or 0)) + hidden <= length


def test_own_videos_may_be_black_and_white():
    grey = preset_options("", "my/videos")
    assert grey.items() >= OWN_VIDEOS.items()
    assert Config(dataset="my/videos", **grey).learn_pixel_var
    options = preset_options("", "my/videos", given={"out_distr": "bernoulli"})
    config = Config(dataset="my/videos", out_distr="bernoulli", **options)
    assert (config.K, config.learn_pixel_var) == (9, False)
    assert Config(**preset_options("", "my/videos", "ae_rnn"), model="ae_rnn", dataset="my/videos")
    assert preset_options("none", "my/videos") == {}
