import gc
import weakref

import pytest
import tensorflow as tf

from kvae.inference.tracing import traced_per_model


class Model:
    def __init__(self, factor):
        self.factor = factor


def test_each_model_is_traced_once_and_let_go():
    traced = []

    @traced_per_model
    def scaled(model, x, shift, doubled=False):
        traced.append(model.factor)
        return model.factor * x + shift if not doubled else 2 * model.factor * x

    two, three = Model(2.0), Model(3.0)
    for size in (1, 2, 3, 4):
        x = tf.ones([size])
        assert scaled(two, x, 0.5).numpy().tolist() == [2.5] * size
        assert scaled(three, x, 0.5, doubled=True).numpy().tolist() == [6.0] * size
    # Of a batch of one, and then of any.
    assert traced == [2.0, 3.0] * 2
    gone = weakref.ref(two)
    del two
    gc.collect()
    assert gone() is None


def test_a_model_that_raises_can_be_called_again():
    @traced_per_model
    def broken(model, x):
        raise RuntimeError(f"of {model.factor}")

    model = Model(4.0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"of 4\.0"):
            broken(model, tf.ones([1]))
