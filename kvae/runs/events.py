"""TensorBoard's files of a run: scalars, pictures, histograms, hyperparameters, a graph."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.image import metadata as image_metadata

from kvae.config import Config
from kvae.config.all_options import hyperparameters
from kvae.runs.columns import SPLITS

ALWAYS_SHOWN = ("dataset", "model", "seed")
"""Options that stand in the table of hyperparameters even where they are the defaults."""


class Events:
    """The events of a run folder, in its folders `train`, `validation` and `test`.

    Every method raises OSError where they cannot be written, for example because the disk is full.

    Args:
        path: the run folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def add_scalars(self, split: str, values: Mapping[str, float], step: int) -> None:
        """Write numbers, by tag, of a split."""
        with self._recording(split, step):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def add_histograms(self, values: Mapping[str, np.ndarray], step: int) -> None:
        """Write the histograms of arrays, by tag."""
        with self._recording("test", step):
            for tag, array in values.items():
                tf.summary.histogram(tag, array)

    def add_picture(self, tag: str, encoded: bytes, sides: tuple[int, int], step: int) -> None:
        """Write a picture of sides (height, width): the bytes of a PNG or of an animated GIF."""
        # tf.summary.image takes pixels and writes a PNG; TensorBoard shows an animated GIF as well,
        # if it is handed over as it is.
        height, width = sides
        content = [str(width).encode(), str(height).encode(), encoded]
        metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
        with self._recording("test", step, len(encoded)):
            tf.summary.write(tag, tf.constant(content), metadata=metadata)

    def add_graph(self, graph: tf.Graph) -> None:
        """Write a graph, in the place of the one before."""
        with self._recording("test", 0):
            tf.summary.graph(graph)

    def add_options(self, config: Config) -> None:
        """Write what decides what is learned, for the table of hyperparameters of all runs.

        Of the options those that are not the defaults, so that the table is not wider than it has to be; what
        a run leaves empty there is the default.
        """
        options, defaults = config.to_dict(), Config().to_dict()
        values = {
            name: _text(options[name]) if isinstance(options[name], list | str) else options[name]
            for name in hyperparameters()
            if name in ALWAYS_SHOWN or options[name] != defaults[name]
        }
        tags = ("elbo/total", "elbo/exact", "imputation/smoothing", "imputation/sampling")
        with self._recording("test", 0):
            hparams.hparams_config(
                [hparams.HParam(name) for name in values], [hparams.Metric(tag) for tag in tags]
            )
            hparams.hparams(values, trial_id=_text(self.path.name))

    def files(self) -> list[Path]:
        """Return the files that are there."""
        return [file for split in SPLITS for file in (self.path / split).glob("events.out.tfevents.*")]

    def close(self) -> None:
        """Close the files; writing again opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    @contextlib.contextmanager
    def _recording(self, split: str, step: int, num_bytes: int = 1) -> Iterator[None]:
        """Hand over what is written to tf.summary in the block, `num_bytes` of it or more."""
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(os.fsencode(self.path / split))
        before = self._recorded(split)
        try:
            # It is on the disk at the end of the block.
            with self._writers[split].as_default(step):
                yield
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0].split("}} ")[-1]
            raise OSError(f"TensorBoard's events cannot be written: {reason}") from error
        # When the disk is full TensorFlow does not always say so.
        if self._recorded(split) < before + num_bytes:
            raise OSError(f"TensorBoard's events cannot be written to {self.path / split}: too little space")

    def _recorded(self, split: str) -> int:
        return sum(path.stat().st_size for path in (self.path / split).glob("events.out.tfevents.*"))


def _text(value: object) -> str:
    """Return a value as TensorBoard takes it: the name of a folder need not be text."""
    return str(value).encode(errors="backslashreplace").decode()


def whole_records(path: Path) -> int:
    """Return how many bytes of a file of events are whole records, from the first on."""
    size = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            # Length and its checksum before, the content's checksum after.
            size += 8 + 4 + len(record.numpy()) + 4
    except tf.errors.DataLossError:
        pass
    return size
