import dataclasses

import keras
import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

import kvae
from kvae.config import Config, ConfigError
from kvae.models.kvae import KVAE
from kvae.models.new_dynamics import with_new_dynamics


def tiny(**options):
    model = KVAE(Config(num_filters=(4,), alpha_units=5, **options))
    model.build((None, None, 8, 8))
    return model


def test_frames_and_codes_stay_and_the_dynamics_are_those_of_a_new_model():
    options = dict(out_distr="gaussian", learn_pixel_var=True, pixel_var_from_errors=True, standardise=True)
    trained = tiny(K=2, **options)
    for weight in trained.weights:
        weight.assign(weight + 0.3)
    config = dataclasses.replace(trained.config, K=5, dim_z=6, alpha_units=7)
    model = with_new_dynamics(trained, config)
    assert model.config == config
    assert model.lgssm.A.shape == (5, 6, 6)
    np.testing.assert_array_equal(model.lgssm.A, np.tile(np.eye(6), [5, 1, 1]))
    images = np.random.default_rng(0).random([2, 3, 8, 8], np.float32)
    codes = model.encode(images)
    np.testing.assert_array_equal(codes.mean(), trained.encode(images).mean())
    np.testing.assert_array_equal(codes.stddev(), trained.encode(images).stddev())
    found, expected = model.decode(codes.mean()), trained.decode(codes.mean())
    np.testing.assert_array_equal(found.mean(), expected.mean())
    np.testing.assert_array_equal(found.variance(), expected.variance())


@kvae.register_likelihood("scaled")
class Scaled(keras.layers.Layer):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)

    def build(self, frame_shape):
        self.scale = self.add_weight((), initializer="ones", name="scale")

    def distribution(self, pixels):
        return tfd.Independent(tfd.Normal(pixels, self.scale), 2)


def test_a_likelihood_of_ones_own_stays_too():
    trained = tiny(out_distr="gaussian", likelihood=f"{__name__}:scaled")
    trained.likelihood.scale.assign(0.25)
    model = with_new_dynamics(trained, dataclasses.replace(trained.config, K=4))
    assert float(model.likelihood.scale) == 0.25


def test_another_option_of_the_model_is_refused():
    trained = tiny()
    with pytest.raises(ConfigError, match="activation is no option of the dynamics"):
        with_new_dynamics(trained, dataclasses.replace(trained.config, activation="tanh"))
    # What is no model's may be another.
    assert (
        with_new_dynamics(trained, dataclasses.replace(trained.config, batch_size=3)).config.batch_size == 3
    )
