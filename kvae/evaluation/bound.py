"""The bound of a model on test data."""

import tensorflow as tf

from kvae.data import Dataset
from kvae.data.batches import batches_of
from kvae.models.autoencoder import SequenceAutoencoder


def test_bound(model: SequenceAutoencoder, dataset: Dataset) -> dict[str, float]:
    """Return the bound's terms over a whole `Dataset`, per observed frame, by name as in `Bound`.

    The codes of a batch are drawn from config.seed and its number: the same weights have the same bound.
    """
    # Not by `model.evaluate`, which hides what it compiles: `graph_of_bound` shows it.
    model.reset_metrics()
    for number, batch in enumerate(batches_of(dataset, model.config.batch_size).of()):
        metrics = model.compiled_test_step(batch, tf.constant([model.config.seed, number]))
    return {name: float(value) for name, value in metrics.items()}


def graph_of_bound(model: SequenceAutoencoder, dataset: Dataset) -> tf.Graph:
    """Return the graph of `test_bound` on one batch; after that has run, nothing is traced for it."""
    size = model.config.batch_size
    batch = next(iter(batches_of(dataset.first(size), size).of()))
    return model.compiled_test_step.get_concrete_function(batch, tf.constant([0, 0])).graph
