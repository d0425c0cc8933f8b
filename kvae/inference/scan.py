"""Loops over time."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import record

Nested = Any
"""A nested structure of tensors."""


def scan(
    step: Callable[[Nested, Nested, Nested], Nested],
    inputs: Nested,
    start: Nested,
    constants: Nested = (),
    reverse: bool = False,
) -> Nested:
    """Fold `step(carry, inputs_t, constants) -> carry` over time and keep every carry.

    The gradient is a scan of its own, which goes the other way and runs every step anew: no values but the
    carries are kept, where that of `tf.scan` stacks up all that happens in a step. It reaches what is
    passed as an argument alone, no tensor or variable that `step` finds elsewhere.

    Args:
        step: the function to repeat.
        inputs: a nested structure of tensors [T, ...], T >= 1.
        start: the first carry, a nested structure of tensors.
        constants: a nested structure of tensors, the same for every step.
        reverse: go from the last step to the first.

    Returns:
        The carries, a structure like `start` of tensors [T, ...].

    Raises:
        ValueError: `step` uses a tensor or a trainable variable that is no argument of it, and a gradient
            could flow there.
    """
    arguments = (inputs, start, constants)
    flat = [tf.convert_to_tensor(tensor) for tensor in tf.nest.flatten(arguments)]
    inputs, start, constants = tf.nest.pack_sequence_as(arguments, flat)
    _check_captures(step, start, tf.nest.map_structure(lambda tensor: tensor[0], inputs), constants)

    @tf.custom_gradient
    def forward(*flat: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., list[tf.Tensor]]]:
        # A tape that saw what goes in would prepare another gradient of this loop, at several times its cost.
        # So `backward` takes what is outside of here, where gradients have gradients.
        unseen = tf.nest.pack_sequence_as(arguments, [tf.stop_gradient(tensor) for tensor in flat])
        carries = tf.scan(lambda carry, x: step(carry, x, unseen[2]), *unseen[:2], reverse=reverse)

        def backward(*upstream: tf.Tensor) -> list[tf.Tensor]:
            of_results = tf.nest.pack_sequence_as(start, upstream)
            before = tf.nest.map_structure(lambda first, all: _shift(first, all, reverse), start, results)
            of_carries, of_inputs, of_constants = _reverse_scan(
                step, of_results, before, inputs, constants, not reverse
            )
            of_start = tf.nest.map_structure(lambda g: g[-1 if reverse else 0], of_carries)
            of_constants = tf.nest.map_structure(lambda g: tf.reduce_sum(g, axis=0), of_constants)
            return tf.nest.flatten((of_inputs, of_start, of_constants))

        return tf.nest.flatten(carries), backward

    results = tf.nest.pack_sequence_as(start, forward(*flat))
    return results


def swap_batch_and_time(tensor: tf.Tensor) -> tf.Tensor:
    """Turn [B, T, ...] into [T, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


class _Listening(tf.__internal__.FuncGraph):
    """A graph that notes which tensors from outside are used in it, small constants too."""

    def __init__(self) -> None:
        super().__init__("step")
        self.found: list[tf.Tensor] = []

    def capture(self, tensor: tf.Tensor, name: str | None = None, shape: Any = None) -> tf.Tensor:
        """Note the tensor."""
        if getattr(tensor, "graph", None) is not self:
            self.found.append(tensor)
        return super().capture(tensor, name, shape)


def _check_captures(step: Callable[[Nested, Nested, Nested], Nested], *arguments: Nested) -> None:
    """Raise ValueError if a gradient could flow to what `step` finds elsewhere than in its arguments."""
    graph = _Listening()
    with graph.as_default(), tf.GradientTape() as tape:
        step(*tf.nest.map_structure(lambda x: tf.compat.v1.placeholder(x.dtype, x.shape), arguments))
    lost = [variable.name for variable in tape.watched_variables()]
    lost += [_name_of(tensor, step) for tensor in graph.found if _may_have_gradient(tensor)]
    if lost:
        raise ValueError(
            "The step of a scan uses a tensor or variable that is not among its arguments, which no gradient "
            f"would reach. Pass it in `constants`. Received: {', '.join(dict.fromkeys(lost))}"
        )


def _may_have_gradient(tensor: tf.Tensor) -> bool:
    """Return whether a gradient could flow to a tensor from outside of the step."""
    if not (tensor.dtype.is_floating or tensor.dtype.is_complex):
        return False
    if record.should_record_backprop([tensor]):
        return True
    # Of a graph's tensors gradients may be taken later. A constant has none, nor what nobody watches now.
    return hasattr(tensor, "graph") and not tf.executing_eagerly() and tensor.op.type != "Const"


def _name_of(tensor: tf.Tensor, step: Callable) -> str:
    """Return what the step's author calls a tensor, else what it is."""
    names: dict[str, Any] = {}
    if inspect.isfunction(step):
        found = inspect.getclosurevars(step)
        names = {**found.globals, **found.nonlocals}
    called = [name for name, value in names.items() if value is tensor]
    return f"{called[0] if called else 'a tensor'} of shape {tensor.shape}, {tensor.dtype.name}"


def _shift(first: tf.Tensor, carries: tf.Tensor, reverse: bool) -> tf.Tensor:
    """Return the carry that came into each step."""
    if reverse:
        return tf.concat([carries[1:], first[None]], axis=0)
    return tf.concat([first[None], carries[:-1]], axis=0)


def _reverse_scan(
    step: Callable[[Nested, Nested, Nested], Nested],
    upstream: Nested,
    before: Nested,
    inputs: Nested,
    constants: Nested,
    reverse: bool,
) -> tuple[Nested, Nested, Nested]:
    """Return the gradients with respect to the carry that comes into each step, its inputs, the constants."""

    def backward_step(carry: Nested, inputs_t: Nested) -> Nested:
        of_carry, _, _ = carry
        upstream_t, before_t, x = inputs_t
        arguments = (before_t, x, constants)
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            after = step(*arguments)
        total = tf.nest.map_structure(tf.add, upstream_t, of_carry)
        return tape.gradient(after, arguments, output_gradients=total, unconnected_gradients="zero")

    zeros = tf.nest.map_structure(
        tf.zeros_like, (*tf.nest.map_structure(lambda x: x[0], (before, inputs)), constants)
    )
    return tf.scan(backward_step, (upstream, before, inputs), zeros, reverse=reverse)
