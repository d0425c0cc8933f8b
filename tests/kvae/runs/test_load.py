import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.runs.load import load, load_kept
from kvae.runs.options import RunFolderError
from tests.kvae.runs.small import FRAMES, TINY

# Nothing of it is of graphs.
pytestmark = pytest.mark.usefixtures("module_eagerly")


def random_model(config):
    model = KVAE(config)
    model.build((None, None, 8, 8))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    model.compile()
    return model


def test_a_trained_model_becomes_the_one_that_is_kept(folder, config):
    model = random_model(config)
    # With what the frames have settled, as a run has it.
    folder.write_config(model.config, "float32")
    folder.save_model(model)
    expected = model.get_weights()
    for weight in model.trainable_variables:
        weight.assign_add(tf.ones_like(weight))
    model.evaluation_draws.assign_add(7)
    assert load_kept(model, folder.path) is model
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    drawn, anew = (of.sample(2, 3).codes for of in (model, load(folder.path)))
    np.testing.assert_array_equal(drawn, anew)


def test_where_other_dynamics_are_kept_the_model_is_a_new_one(folder, config):
    model, other = (random_model(dataclasses.replace(config, K=count)) for count in (2, 4))
    folder.write_config(other.config, "float32")
    folder.save_model(other)
    found = load_kept(model, folder.path)
    assert found is not model
    np.testing.assert_array_equal(found.lgssm.A, other.lgssm.A)


def test_a_saved_model_is_the_model(folder, config):
    model = random_model(config)
    model.run_eagerly = True
    model.train_step({"images": FRAMES})
    folder.write_config(config, "float32")
    folder.save_model(model)
    model.save(folder.path / "whole.keras")
    expected = model.smooth(FRAMES)

    loaded = load(folder.path)
    # What was left to the frames is known.
    assert loaded.config == model.config == dataclasses.replace(config, channels=1)
    assert loaded.compiled
    for found, wanted in zip(tf.nest.flatten(loaded.smooth(FRAMES)), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # Its optimizer is a new one, and its file has no room for the old one's moments.
    assert int(loaded.optimizer.iterations) == 0
    small = (folder.path / "model.keras").stat().st_size
    # Adam has two moments for each weight.
    num_bytes = sum(weight.numpy().nbytes for weight in model.trainable_variables)
    assert (folder.path / "whole.keras").stat().st_size - small > 2 * num_bytes
    # Saving did not disturb the model that learns.
    assert int(model.optimizer.iterations) == 1
    np.testing.assert_array_equal(model.smooth(FRAMES).images, expected.images)

    # Another configuration may be put around the same weights, but not around others.
    other = Config(**{**TINY, "t_init_mask": 1, "n_steps_gen": 3})
    assert load(folder.path, other).generate(FRAMES).images.shape == (3, 3, 8, 8)
    with pytest.raises(RunFolderError, match=r"model\.keras cannot be loaded"):
        load(folder.path, Config(**{**TINY, "K": 3}))


def test_a_run_without_a_model_is_an_error(folder, config):
    folder.write_config(config, "float32")
    with pytest.raises(RunFolderError, match="has saved none yet, or is kept without it") as error:
        load(folder.path)
    assert str(folder.path) in str(error.value)
    for content in (b"", b"not a model", b"PK\x03\x04 half a model"):
        (folder.path / "model.keras").write_bytes(content)
        with pytest.raises(RunFolderError, match=r"model\.keras cannot be loaded"):
            load(folder.path)


def test_a_file_alone_says_what_it_is(folder, config):
    model = random_model(config)
    folder.write_config(config, "float32")
    folder.save_model(model)
    model.save(folder.path / "mine.keras")
    lone = folder.path.parent / "elsewhere"
    lone.mkdir()
    (lone / "model.keras").write_bytes((folder.path / "model.keras").read_bytes())
    expected = model.smooth(FRAMES).images
    for file in (folder.path / "model.keras", folder.path / "mine.keras", lone / "model.keras"):
        loaded = load(str(file))
        assert loaded.config == model.config
        assert loaded.compiled
        np.testing.assert_array_equal(loaded.smooth(FRAMES).images, expected)
    with pytest.raises(RunFolderError, match=r"There is no file .*no\.keras"):
        load(lone / "no.keras")
    (lone / "text.keras").write_text("not a model")
    with pytest.raises(RunFolderError, match=r"text\.keras cannot be loaded"):
        load(lone / "text.keras")
