"""Batches of sequences for TensorFlow, from memory or from shards."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kvae.data.dataset import DataError, Dataset
from kvae.data.masks import both
from kvae.data.shards import Shards


def batches_of(source: Dataset | Shards, batch_size: int, mask: NDArray | None = None) -> "Batches":
    """Return the batches of a dataset's sequences, wherever those are.

    Args:
        source: a `Dataset` or `Shards` of N sequences.
        batch_size: sequences in a batch.
        mask: [N, T], 1 = observed, or None: every frame that is there is. A frame that nobody has is hidden
            in any case; where all are there and `mask` is None, the batches have no mask.
    """
    if isinstance(source, Shards):
        return ShardBatches(source, batch_size, mask)
    return Batches(source, batch_size, mask)


class Batches:
    """Batches of sequences, in any order: dictionaries of `images`, `weight`, and `controls` and `mask`.

    All batches have the same size, so that what is compiled is compiled once: the last one is filled up
    with a sequence whose weight is 0; all others have weight 1. Here the sequences are a `Dataset`, which
    is held in memory once more; `ShardBatches` reads them from files.

    Args:
        dataset: a `Dataset`.
        batch_size: sequences in a batch.
        mask: [N, T], 1 = observed, or None: every frame that is there is.
    """

    def __init__(self, dataset: Dataset, batch_size: int, mask: NDArray | None = None):
        self.num_sequences, self.batch_size = dataset.shape[0], batch_size
        arrays = _named(dataset.images, dataset.controls, both(dataset.mask, mask))
        # Held once, whatever the order; a batch gathers its sequences.
        self._tensors = {name: tf.constant(array) for name, array in arrays.items()}

    def of(self, order: Sequence[int] | NDArray | None = None) -> Iterable[dict[str, tf.Tensor]]:
        """Return the batches of the sequences with these indices, by default all as they are stored.

        Returns:
            What can be iterated over once, a `tf.data.Dataset` where the sequences are in memory.
        """
        order = np.arange(self.num_sequences) if order is None else np.asarray(order)
        # By the last sequence, which is in memory at that time.
        padding = -len(order) % self.batch_size
        chosen = np.concatenate([order, np.full(padding, order[-1] if padding else 0)]).astype(np.int64)
        weight = np.concatenate([np.ones(len(order)), np.zeros(padding)]).astype(np.float32)
        return self._of(*(array.reshape(-1, self.batch_size) for array in (chosen, weight)))

    def _of(self, chosen: NDArray, weight: NDArray) -> Iterable[dict[str, tf.Tensor]]:
        """Return the batches of these sequences, with these weights, both [number of batches, batch_size]."""
        return tf.data.Dataset.from_tensor_slices((chosen, weight)).map(self._gather).prefetch(2)

    def _gather(self, index: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = {name: tf.gather(tensor, index) for name, tensor in self._tensors.items()}
        return batch | {"weight": weight}


class ShardBatches(Batches):
    """Batches of the sequences of `Shards`; the rest as `Batches`.

    Args:
        shards: the `Shards`.
        batch_size: sequences in a batch.
        mask: [N, T], 1 = observed, or None.
    """

    def __init__(self, shards: Shards, batch_size: int, mask: NDArray | None = None):
        self.num_sequences, self.batch_size = shards.shape[0], batch_size
        self._shards, self._mask = shards, both(shards.mask, mask)
        num_steps, dim_u = shards.shape[1], shards.dim_u
        shapes = _named(
            np.empty([0, *shards.shape[1:]], shards.dtype),
            np.empty([0, num_steps, dim_u], np.float32),
            self._mask,
        )
        self._signature = {
            name: tf.TensorSpec([batch_size, *array.shape[1:]], array.dtype) for name, array in shapes.items()
        } | {"weight": tf.TensorSpec([batch_size], tf.float32)}

    def _of(self, chosen: NDArray, weight: NDArray) -> Iterator[dict[str, tf.Tensor]]:
        failed: list[DataError] = []

        def batches() -> Iterator[dict[str, NDArray]]:
            for index, weights in zip(chosen, weight, strict=True):
                try:
                    images, controls = self._shards.take(index)
                except DataError as error:
                    # TensorFlow would make an error of its own of it.
                    failed.append(error)
                    raise
                mask = None if self._mask is None else self._mask[index]
                yield _named(images, controls, mask) | {"weight": weights}

        try:
            yield from tf.data.Dataset.from_generator(batches, output_signature=self._signature).prefetch(2)
        except tf.errors.OpError as error:
            raise (failed or [error])[0] from error


def _named(images: NDArray, controls: NDArray, mask: NDArray | None) -> dict[str, NDArray]:
    """Return what a batch holds beside its weights; no controls where there are none, no mask for None."""
    arrays = {"images": images}
    if controls.shape[-1]:
        arrays["controls"] = controls
    return arrays if mask is None else arrays | {"mask": mask}
