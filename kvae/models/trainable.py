"""What `fit`, `evaluate` and `predict` of a model are given: checked before Keras sees it."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae import arguments
from kvae.errors import UserError
from kvae.models import keras_data
from kvae.models.frame_autoencoder import FrameAutoencoder
from kvae.models.incoming import Incoming

_NOT_ADAPTED = (
    "config.standardise is to know the frames before training, and batches are not looked at twice: call "
    "model.adapt(images) first"
)


_LEAST = {
    "batch_size": 1,
    "validation_batch_size": 1,
    "epochs": 0,
    "initial_epoch": 0,
    "steps_per_epoch": 1,
    "validation_steps": 1,
    "steps": 1,
}
"""Counts among the arguments of Keras' methods, which takes 0 for None, or ends in an error of its own."""


class Trainable(FrameAutoencoder):
    """An auto-encoder of frames that Keras trains and evaluates by its steps, on data that it has checked.

    A subclass says what the steps are.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, with its arguments.

        Args:
            x: frames [N, T, H, W]; or a dictionary of those as `images` and, as wanted, `mask` [N, T],
                `controls` [N, T, dim_u] and `weight` [N]; or batches of such, as Keras takes them.
            y: None: there are no targets.
            args: as Keras'.
            class_weight: None: there are no classes.
            sample_weight: [N], what each sequence counts, times its `weight`; 0: not at all.
            kwargs: as Keras'. `validation_data` is x, or (x, None, sample_weight).

        Returns:
            A history of the bound's terms, per observed frame, and of `loss`, which is minus the `total`:
            what Keras' callbacks look at by themselves, as `val_loss`. For `val_total` give them mode="max".

        Raises:
            UserError: there are y, classes, unknown keys or values that cannot be. Those
                of batches are looked at as they come.
        """
        check_classes(class_weight)
        keras_data.check_targets(y)
        incoming = Incoming()
        x = incoming.watched(keras_data.checked(x, sample_weight))
        if self.needs_adapting:
            self._adapt_to(x)
        options = _named(super().fit, x, None, *args, **kwargs)
        if options.get("validation_data") is not None:
            # Now, and not at the end of the first epoch.
            validated, targets, weight = keras.utils.unpack_x_y_sample_weight(options["validation_data"])
            keras_data.check_targets(targets)
            # A tuple, as Keras takes a dictionary for a dataset.
            options["validation_data"] = (incoming.watched(keras_data.checked(validated, weight)),)
        with incoming.told():
            return super().fit(**options)

    def make_train_function(self, force: bool = False) -> Any:
        """Make what `fit` repeats, as Keras does, with the optimizer's variables: see `keras.Model`."""
        # A step that makes variables is traced a second time, without them.
        if self.built and self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def _adapt_to(self, x: Any) -> None:
        """Adapt to the frames of what `fit` was given."""
        if not isinstance(x, np.ndarray | tf.Tensor | Mapping):
            raise UserError(_NOT_ADAPTED)
        batch = keras_data.as_dictionary(x)
        mask = np.ones(batch["images"].shape[:2], np.float32)
        if "mask" in batch:
            mask *= np.asarray(batch["mask"], np.float32)
        if "weight" in batch:
            mask *= np.asarray(batch["weight"], np.float32)[:, None] > 0
        self.adapt(batch["images"], mask)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Return the bound's terms as `keras.Model.evaluate` does; arguments and errors as `fit`."""
        keras_data.check_targets(y)
        incoming = Incoming()
        x = incoming.watched(keras_data.checked(x, sample_weight))
        with incoming.told():
            return super().evaluate(**_named(super().evaluate, x, None, *args, **kwargs))

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Return frames [N, T, H, W] as the model sees them, from what `fit` takes.

        Every frame is encoded and decoded on its own, as by `reconstruct`. Frames that a mask hides are
        estimated from all others, as by `smooth`; of a rival from those before, as by `filter`. Of `dvbf` and
        `dmm`, whose states are of whole sequences, all frames are as by `smooth`. Weights do not matter.
        """
        incoming = Incoming()
        x = incoming.watched(keras_data.checked(x))
        with incoming.told():
            return super().predict(**_named(super().predict, x, *args, **kwargs))

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Take one step as `keras.Model.train_on_batch` does; arguments and errors as `fit`."""
        check_classes(class_weight)
        keras_data.check_targets(y)
        if self.needs_adapting:
            raise UserError(_NOT_ADAPTED)
        return super().train_on_batch(keras_data.checked(x, sample_weight), **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Return the bound's terms as `keras.Model.test_on_batch` does; arguments and errors as `fit`."""
        keras_data.check_targets(y)
        return super().test_on_batch(keras_data.checked(x, sample_weight), **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return frames as `predict` does, of one batch."""
        return super().predict_on_batch(keras_data.checked(x))


def _named(method: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return the arguments of a method of Keras by name, its counts and shares checked.

    Raises:
        ArgumentError: a count is no whole number, or too small; or the share for validation is none.
        TypeError: the method has no such argument.
    """
    given = inspect.signature(method).bind(*args, **kwargs).arguments
    given |= given.pop("kwargs", {})
    for name, least in _LEAST.items():
        if given.get(name) is not None:
            given[name] = arguments.count(given[name], name, least)
    if "validation_split" in given:
        given["validation_split"] = arguments.probability(given["validation_split"] or 0, "validation_split")
    return given


def check_classes(class_weight: Any) -> None:
    """Raise BatchError where there are weights of classes."""
    if class_weight is not None:
        raise keras_data.BatchError(
            "class_weight means nothing where there are no classes. sample_weight [N] weighs sequences"
        )
