import numpy as np
import pytest
import tensorflow as tf

from tests.kvae.mixtures import OPTIONS, codes_and_controls, dims, state_space_model


@pytest.mark.parametrize("options", OPTIONS)
def test_roll_out_is_a_plain_loop(options):
    model = state_space_model(**options)
    _, u = codes_and_controls(num_steps=7, **dims(options))
    given = tf.random.stateless_normal([3, 2, model.dim_z], seed=[1, 1])
    rolled = model.roll_out(given, u)
    network_state = model.network.initial_state(3)
    code = np.broadcast_to(model.a_0, [3, model.dim_a])
    for t in range(7):
        alpha, learned, network_state = model.network.step(tf.constant(code), network_state)
        A, B, C = (np.einsum("bk,kij->bij", alpha, base) for base in (model.A, model.B, model.C))
        u_t = np.array(u[:, t] if learned is None else learned)
        if model.learn_offset:
            u_t = np.append(u_t, np.ones([3, 1]), axis=1)
        if t < 2:
            z = given[:, t].numpy()
        else:
            z = np.einsum("bij,bj->bi", A, z) + np.einsum("bij,bj->bi", B, u_t)
        code = np.einsum("bij,bj->bi", C, z).astype(np.float32)
        np.testing.assert_allclose(rolled.alpha[:, t], alpha, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(rolled.states[:, t], z, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(rolled.codes[:, t], code, rtol=1e-3, atol=1e-3)


def test_stochastic_roll_out_has_the_models_noise():
    model = state_space_model(K=1)
    given = tf.ones([4000, 1, 4])
    rolled = model.roll_out(given, tf.zeros([4000, 2, 1]), noise_seed=[0, 1])
    # The given states stay; their codes get emission noise; the next states get transition noise.
    np.testing.assert_array_equal(rolled.states[:, :1], given)
    first_codes = rolled.codes[:, 0].numpy()
    np.testing.assert_allclose(np.cov(first_codes.T), 0.03 * np.eye(2), atol=0.003)
    next_states = rolled.states[:, 1].numpy()
    np.testing.assert_allclose(np.cov(next_states.T), 0.08 * np.eye(4), atol=0.008)
    np.testing.assert_allclose(next_states.mean(axis=0), model.A[0].numpy() @ np.ones(4), atol=0.03)
    again = model.roll_out(given, tf.zeros([4000, 2, 1]), noise_seed=[0, 1])
    np.testing.assert_array_equal(again.codes, rolled.codes)
