import numpy as np
import pytest
import tensorflow as tf

from kvae.models import parts
from tests.kvae.models.small import tiny, videos


def test_parts_are_put_together():
    def function(x, nothing):
        assert nothing is None
        assert len(x) <= 2
        return {"double": 2 * tf.constant(x), "none": None}

    rows = np.arange(5)
    found = parts.in_parts(function, [rows, None], 2)
    np.testing.assert_array_equal(found["double"], 2 * rows)
    assert found["none"] is None


def test_a_batch_of_any_size_is_one_trace():
    function = tf.function(lambda x, seed: x if seed is None else x + tf.cast(seed[0], x.dtype))
    for size in (3, 1, 7, 2):
        assert parts.traced_once(function, tf.ones([size, 4]), None).shape == [size, 4]
    assert function.experimental_get_tracing_count() == 1
    assert parts.traced_once(function, tf.ones([2, 4]), tf.constant([1, 2])).numpy().max() == 2


@pytest.mark.parametrize("method", ["smooth", "filter", "impute", "elbo"])
def test_in_parts_is_as_in_one(method, monkeypatch):
    model, images = tiny(num_paths=0), videos(5)
    mask = np.ones([5, 6])
    mask[:, 2:4] = 0
    options = {"sample": False} if method == "elbo" else {}
    whole = getattr(model, method)(images, mask, **options)
    # Parts of one sequence for all but the encoder and the decoder, of 4 frames for those.
    monkeypatch.setattr(parts, "PIXELS_AT_ONCE", 4 * 64)
    monkeypatch.setattr(parts, "STATES_AT_ONCE", 6)
    in_parts = getattr(model, method)(images, mask, **options)
    for expected, found in zip(tf.nest.flatten(whole), tf.nest.flatten(in_parts), strict=True):
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_batches_of_all_sizes_are_traced_once(capfd):
    model = tiny()
    for size in (3, 1, 4, 2, 5):
        model.smooth(videos(size))
        model.generate(videos(size), 8, 3)
    for function in (model._compiled_moments, model._compiled_decoder, model._roll_out):
        assert function.experimental_get_tracing_count() == 1
    # Of 6 frames, and of the 3 from which is generated.
    assert model._compiled_infer_codes.experimental_get_tracing_count() == 2
    assert "retracing" not in capfd.readouterr().err
