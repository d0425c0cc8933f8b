"""Traces of TensorFlow functions that go when the model goes that they are of."""

import functools
import weakref
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import tensorflow as tf

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def traced_per_model(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a `tf.function` of a function whose first argument is a model, or a layer.

    A `tf.function` of a module keeps its traces for every model that it was ever called with, and TensorFlow
    warns of the fifth model as of a mistake. So each model has a `tf.function` of its own, which does not
    keep it.

    Args:
        function: its first argument is given by position. There is nothing in it for AutoGraph to rewrite,
            which would take half of the time of tracing.
    """
    by_model: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        model, *others = arguments
        if model not in by_model:
            by_model[model] = tf.function(
                functools.partial(_called, function, weakref.ref(model)),
                reduce_retracing=True,
                autograph=False,
            )
        return by_model[model](*others, **options)

    return call


def _called(function: Callable[..., Any], model: weakref.ref, *arguments: Any, **options: Any) -> Any:
    return function(model(), *arguments, **options)
