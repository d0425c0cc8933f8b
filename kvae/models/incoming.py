"""Batches of datasets and generators, which nobody has seen before they come."""

import contextlib
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

import keras
import tensorflow as tf

from kvae.errors import UserError
from kvae.models import keras_data


class Incoming:
    """Looks at the values of every batch, as `keras_data.checked` does at those of arrays.

    TensorFlow makes an error of its own of what is raised while it fetches a batch: the first is kept here.
    """

    def __init__(self) -> None:
        self._errors: list[UserError] = []

    def watched(self, x: Any) -> Any:
        """Return a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator whose batches are looked at.

        What is none of them is returned as it is.
        """
        if isinstance(x, tf.data.Dataset):
            return self._of_dataset(x)
        if isinstance(x, keras.utils.PyDataset):
            return _Watched(x, self._look)
        if isinstance(x, GeneratorType):
            return (self._look(batch) for batch in x)
        return x

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Raise what was wrong with a batch, in place of what was made of it."""
        try:
            yield
        except Exception as error:
            if self._errors and error is not self._errors[0]:
                raise self._errors[0] from error
            raise

    def _look(self, batch: Any) -> Any:
        try:
            x, targets, weight = keras.utils.unpack_x_y_sample_weight(batch)
            keras_data.check_targets(targets)
            keras_data.checked(x, weight)
        except UserError as error:
            self._errors.append(error)
            raise
        return batch

    def _of_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        structure = dataset.element_spec
        if not all(isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(structure)):
            # Ragged and sparse ones are refused where the model meets them.
            return dataset

        def look(*values: Any) -> bool:
            self._look(tf.nest.pack_sequence_as(structure, values))
            return True

        def looked_at(*parts: Any) -> Any:
            batch = parts if isinstance(structure, tuple) else parts[0]
            with tf.control_dependencies([tf.numpy_function(look, tf.nest.flatten(batch), tf.bool)]):
                return tf.nest.map_structure(tf.identity, batch)

        return dataset.map(looked_at)


class _Watched(keras.utils.PyDataset):
    """A dataset of Python's whose batches are looked at."""

    def __init__(self, dataset: keras.utils.PyDataset, look: Callable[[Any], Any]):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset, self._look = dataset, look

    @property
    def num_batches(self) -> int | None:
        """As many as there are."""
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return self._look(self._dataset[index])

    def on_epoch_begin(self) -> None:
        """Tell the dataset."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the dataset."""
        self._dataset.on_epoch_end()
