import contextlib

import numpy as np
import pytest
import tensorflow as tf

from kvae.inference.scan import scan


def step(carry, inputs, constants):
    """One with all there can be: several carries, one that is not used, several inputs and constants."""
    state, _ = carry
    x, scale = inputs["x"], inputs["scale"]
    state = tf.tanh(state @ constants[0] + x) * scale + constants[1]
    return state, tf.reduce_sum(state**2, axis=-1)


def arguments(num_steps=5, dtype=tf.float64):
    rng = np.random.default_rng(0)

    def random(*shape):
        return tf.constant(rng.normal(size=shape), dtype)

    inputs = {"x": random(num_steps, 2, 3), "scale": random(num_steps, 1, 1)}
    return inputs, (random(2, 3), random(2)), (random(3, 3), random(3))


def by_tensorflow(inputs, start, constants, reverse):
    return tf.scan(lambda carry, x: step(carry, x, constants), inputs, start, reverse=reverse)


def by_us(inputs, start, constants, reverse):
    return scan(step, inputs, start, constants, reverse)


def loss_and_gradient(run, reverse, given):
    weights = np.random.default_rng(1).normal(size=given[0]["x"].shape)
    with tf.GradientTape() as tape:
        tape.watch(given)
        states, squares = run(*given, reverse)
        loss = tf.reduce_sum(states * tf.constant(weights, states.dtype)) + tf.reduce_sum(tf.sin(squares))
    return (states, squares), tape.gradient(loss, given, unconnected_gradients="zero")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("num_steps", [1, 5])
@pytest.mark.parametrize("how", ["eager", "graph", "XLA"])
def test_values_and_gradients_are_those_of_tf_scan(how, num_steps, reverse):
    given = arguments(num_steps)
    run = by_us
    expected = loss_and_gradient(by_tensorflow, reverse, given)
    wrapped = loss_and_gradient
    if how != "eager":
        wrapped = tf.function(loss_and_gradient, jit_compile=how == "XLA")
    found = wrapped(run, reverse, given)
    tf.nest.assert_same_structure(found, expected)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("how", ["eager", "graph"])
def test_gradients_have_gradients(how):
    given = arguments(3)

    def curvature(run):
        with tf.GradientTape() as outer:
            outer.watch(given)
            with tf.GradientTape() as inner:
                inner.watch(given)
                loss = tf.reduce_sum(run(*given, False)[1])
            slope = inner.gradient(loss, given, unconnected_gradients="zero")
            total = tf.add_n([tf.reduce_sum(part**2) for part in tf.nest.flatten(slope)])
        return tf.nest.flatten(outer.gradient(total, given, unconnected_gradients="zero"))

    wrapped = curvature if how == "eager" else tf.function(curvature)
    for a, b in zip(wrapped(by_us), curvature(by_tensorflow), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_no_tape_prepares_a_gradient_of_the_loop():
    given = arguments(3)

    def outputs_of_loops(num_tapes):
        @tf.function
        def traced():
            with contextlib.ExitStack() as stack:
                for _ in range(num_tapes):
                    stack.enter_context(tf.GradientTape()).watch(given)
                by_us(*given, False)

        operations = traced.get_concrete_function().graph.get_operations()
        return [len(operation.outputs) for operation in operations if "While" in operation.type]

    # What a gradient needs would be stacked up in more of them.
    assert len(outputs_of_loops(0)) == 1
    assert outputs_of_loops(2) == outputs_of_loops(0)


def test_constants_may_be_left_out():
    total = scan(lambda carry, x, _: carry + x, tf.constant([1.0, 2.0, 3.0]), tf.constant(10.0))
    np.testing.assert_array_equal(total, [11, 13, 16])


def test_lengths_may_be_unknown():
    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            last = scan(lambda carry, x, _: carry * x, x, tf.ones_like(x[0]))[-1]
        return tape.gradient(last, x)

    np.testing.assert_allclose(gradient(tf.constant([[2.0], [3.0], [5.0]])), [[15], [10], [6]])


@pytest.mark.parametrize("how", ["eager", "graph"])
@pytest.mark.parametrize("size", [1, 200])
def test_a_tensor_that_no_gradient_would_reach_is_refused(how, size):
    def gradient(factor):
        with tf.GradientTape() as tape:
            tape.watch(factor)
            total = scan(lambda carry, x, _: carry + factor * x, tf.ones([3, size]), tf.zeros([size]))
        return tape.gradient(total, factor)

    wrapped = gradient if how == "eager" else tf.function(gradient)
    with pytest.raises(ValueError, match=r"factor of shape .*float32"):
        wrapped(tf.ones([size]))


@pytest.mark.parametrize("how", ["eager", "graph"])
def test_a_variable_that_no_gradient_would_reach_is_refused(how):
    weight = tf.Variable(2.0, name="weight_of_mine")

    def run():
        return scan(lambda carry, x, _: carry + weight * x, tf.ones([3]), tf.zeros([]))

    with pytest.raises(ValueError, match="weight_of_mine"):
        (run if how == "eager" else tf.function(run))()


@pytest.mark.parametrize("how", ["eager", "graph"])
def test_constants_that_have_no_gradient_may_stand_in_a_step(how):
    two, index = tf.constant(2.0), tf.constant(1)

    def run(x):
        inside = lambda carry, x, _: carry + 3.0 * two * x * tf.cast(index, x.dtype)  # noqa: E731
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = scan(inside, x, tf.zeros([]))[-1]
        return tape.gradient(total, x)

    wrapped = run if how == "eager" else tf.function(run)
    np.testing.assert_array_equal(wrapped(tf.ones([3])), [6, 6, 6])
