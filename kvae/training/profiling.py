"""A profile of some training steps, for TensorBoard's Profile page."""

import contextlib
import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from kvae.system import called
from kvae.system.files import replacing

WARM_UP = 3
"""Steps of a process that are left out: the first of them traces and compiles."""
NUM_STEPS = 10
"""Steps that are profiled, in one epoch; fewer where it ends before."""


class Profiler:
    """Profile a few steps of a training, once they are compiled.

    Args:
        path: folder of TensorBoard's events that the profile goes to; None: nothing is profiled.
        say: called with a line for the user.

    Attributes:
        is_done: there is nothing left to profile.
    """

    def __init__(self, path: Path | None, say: Callable[[str], object] = print):
        self.is_done = path is None
        self._path, self._say, self._num_seen = path, say, 0

    def watch(self, batches: Iterable[Any]) -> Generator[Any, None, None]:
        """Yield the batches of an epoch; what is done with a batch until the next one is a step.

        Close the generator where an epoch is broken off, so that a profile that is being taken ends there.

        Raises:
            OSError: the profile cannot be written.
        """
        batches = iter(batches)
        if self._path is not None and not self.is_done:
            for batch in itertools.islice(batches, WARM_UP - self._num_seen):
                self._num_seen += 1
                yield batch
            first = next(batches, None)
            if first is not None:
                some = itertools.chain([first], itertools.islice(batches, NUM_STEPS - 1))
                yield from self._profiled(some, self._path)
        yield from batches

    def _profiled(self, batches: Iterable[Any], path: Path) -> Iterator[Any]:
        with _recording(path):
            self.is_done = True
            for number, batch in enumerate(batches):
                # By this name and argument the page knows what a step is.
                with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
                    yield batch
        self._say(f"Profiled {number + 1} training step(s), for TensorBoard's page Profile{_hint()}")


@contextlib.contextmanager
def _recording(path: Path) -> Iterator[None]:
    """Profile what happens in the block, and write that to a folder of TensorBoard's events."""
    # TensorFlow writes to the system's folder: under its name a file appears when it is whole.
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        try:
            yield
        finally:
            try:
                tf.profiler.experimental.stop()
            except tf.errors.OpError as error:
                raise OSError(f"The profile cannot be written to {path}: {error.message}") from error
            for file in Path(folder).rglob("*.xplane.pb"):
                with replacing(path / file.relative_to(folder)) as temporary:
                    shutil.copyfile(file, temporary)


def _hint() -> str:
    if importlib.util.find_spec("xprof") is not None:
        return ""
    return f", which needs  {called.install('profile')}"
