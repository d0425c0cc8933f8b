"""Small mixtures of state space models, and sequences for them."""

import keras
import numpy as np
import tensorflow as tf

from kvae.models.alpha_network import DynamicsParameterNetwork
from kvae.models.lgssm import MixtureStateSpaceModel
from tests.kvae import reference


def state_space_model(
    K=3, dim_a=2, dim_z=4, dim_u=1, rnn=True, fifo_size=1, learn_u=False, seed=0, **of_layer
):
    seeds = keras.random.SeedGenerator(seed)
    network = DynamicsParameterNetwork(
        dim_a,
        K,
        dim_u if learn_u else 0,
        rnn=rnn,
        units=8,
        num_layers=2,
        activation="relu",
        fifo_size=fifo_size,
        seed=seeds,
    )
    network.build()
    model = MixtureStateSpaceModel(
        network,
        dim_a,
        dim_z,
        dim_u,
        K,
        transition_variance=0.08,
        emission_variance=0.03,
        initial_variance=20.0,
        matrix_stddev=0.5,
        seed=seeds,
        **of_layer,
    )
    model.build()
    # The identity in every component would hide what the mixture does.
    rng = np.random.default_rng(seed)
    model.A.assign(model.A + 0.3 * rng.normal(size=model.A.shape))
    model.a_0.assign(rng.normal(size=model.a_0.shape))
    for log_variances in model.log_variances.values():
        log_variances.assign(log_variances + 0.5 * rng.normal(size=log_variances.shape))
    return model


def codes_and_controls(batch=3, num_steps=6, dim_a=2, dim_u=1, seed=0):
    rng = np.random.default_rng(seed)
    codes = tf.constant(rng.normal(size=[batch, num_steps, dim_a]), tf.float32)
    return codes, tf.constant(rng.normal(size=[batch, num_steps, dim_u]), tf.float32)


def as_reference(dynamics, codes, mask):
    """The same model for the dense reference."""
    arrays = (*dynamics.model, codes, mask, dynamics.u)
    return reference.Model(*(np.asarray(array, np.float64) for array in arrays))


OPTIONS = [
    dict(),
    dict(rnn=False),
    dict(rnn=False, fifo_size=3),
    dict(learn_u=True),
    dict(K=1),
    dict(K=1, learn_u=True, dim_u=2),
    dict(K=2, dim_a=1, dim_z=1),
    dict(learn_noise=True, learn_offset=True),
    dict(learn_u=True, learn_offset=True, dim_u=2),
]


def dims(options):
    return {name: options[name] for name in ("dim_a", "dim_u") if name in options}
