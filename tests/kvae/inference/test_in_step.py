import numpy as np
import pytest
import tensorflow as tf

from tests.kvae import reference
from tests.kvae.mixtures import OPTIONS, as_reference, codes_and_controls, dims, state_space_model


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 6])
def test_in_step_and_over_the_sequence_give_the_same(options, num_steps):
    model = state_space_model(**options)
    codes, u = codes_and_controls(num_steps=num_steps, **dims(options))
    fast, fast_dynamics = model.filter(codes, None, u)
    slow, slow_dynamics = model.filter(codes, tf.ones(codes.shape[:2]), u)
    for name, a, b in zip(fast._fields, fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=name)
    names = ("alpha", *fast_dynamics.model._fields, "u")
    flat = (tf.nest.flatten(dynamics) for dynamics in (fast_dynamics, slow_dynamics))
    for name, a, b in zip(names, *flat, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("options", OPTIONS)
def test_missing_codes_are_replaced_by_the_filters_prediction(options):
    """Repeat the filter with a naive loop: dense conditioning, and the network step by step."""
    model = state_space_model(**options)
    codes, u = codes_and_controls(num_steps=5, **dims(options))
    mask = np.array([[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]], np.float32)
    hidden = tf.where(mask[..., None] > 0, codes, np.nan)
    filtered, dynamics = model.filter(hidden, mask, u)

    fed = np.array(codes)
    for t in range(5):
        before = np.concatenate([np.broadcast_to(model.a_0, fed[:, :1].shape), fed[:, :t]], axis=1)
        alpha, learned = model.network(tf.constant(before, tf.float32))
        np.testing.assert_allclose(dynamics.alpha[:, t], alpha[:, -1], rtol=1e-3, atol=1e-4)
        if learned is not None:
            found = dynamics.u[:, t, : model.dim_u]
            np.testing.assert_allclose(found, learned[:, -1], rtol=1e-3, atol=1e-4)
        if model.learn_offset:
            np.testing.assert_array_equal(dynamics.u[:, t, model.dim_u :], np.ones([3, 1]))
        C = np.einsum("bk,kij->bij", alpha[:, -1], model.C)
        predicted = np.einsum("bij,bj->bi", C, filtered.predicted_mean[:, t])
        fed[:, t] = np.where(mask[:, t, None] > 0, fed[:, t], predicted)
    expected = reference.exact_moments(as_reference(dynamics, codes, mask))
    for name, value in filtered._asdict().items():
        np.testing.assert_allclose(value, expected[name], rtol=2e-3, atol=2e-3, err_msg=name)
    smoothed = model.smooth(filtered, dynamics)
    np.testing.assert_allclose(smoothed.smoothed_mean, expected["smoothed_mean"], rtol=2e-3, atol=2e-3)
