from kvae.config import Config
from kvae.config.presets import OWN_VIDEOS, PRESETS, WORLD_PRESETS
from tests.kvae.config.test_config import DEFAULTS


def test_presets_are_sets_of_options_that_work():
    for name, options in PRESETS.items():
        assert set(options) <= set(DEFAULTS)
        assert Config(preset=name, **options).preset == name
    assert PRESETS["original"] == {
        "kf_elbo": "sampled",
        "shuffle": False,
        "validation_split": 0.0,
        "precision": "float32",
        "evaluate_on_samples": True,
    }
    for world, of_world in WORLD_PRESETS.items():
        for name, options in PRESETS.items():
            assert Config(dataset=world, preset=name, **(of_world | options)).dataset == world
    for name, options in PRESETS.items():
        assert Config(dataset="my/videos", preset=name, **(OWN_VIDEOS | options)).preset == name
