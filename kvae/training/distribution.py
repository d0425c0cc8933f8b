"""Training on several devices or machines, as if they were one.

Every replica takes an equal part of each batch. What a model does inside of a step, so that it is the same
step however many replicas share it, is in `kvae.models.replicas`.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kvae.errors import UserError

Batch = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]
"""Of a step, by name."""


class DistributionError(UserError):
    """Devices or machines that cannot work together; the message says why."""


class WorkerLost(DistributionError):
    """Another machine does not answer any more."""


_NO_ANSWER = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What TensorFlow makes of a worker that has gone, depending on the moment."""


class Distribution:
    """Where a training runs.

    Args:
        strategy: a `tf.distribute.Strategy`; None: TensorFlow's default, which distributes nothing.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        self.strategy = strategy
        resolver = getattr(strategy, "cluster_resolver", None)
        self.is_chief = resolver is None or _is_chief(resolver)

    @property
    def num_replicas(self) -> int:
        """Number of replicas that share a batch."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager:
        """Return the context in which model and optimizer have to be made."""
        return (self.strategy or tf.distribute.get_strategy()).scope()

    def check_batch_size(self, batch_size: int) -> None:
        """Raise DistributionError unless all replicas get equal parts of a batch."""
        if batch_size % self.num_replicas:
            raise DistributionError(
                f"--batch_size {batch_size} cannot be shared equally by {self.num_replicas} replicas: "
                "choose a multiple of that"
            )

    def step(self, function: Callable[[Batch], Metrics], jit_compile: bool) -> Callable[[Batch], Metrics]:
        """Return a compiled function of a batch that calls `function` on every replica's part of it.

        What it returns is the first replica's dictionary.
        """
        strategy = self.strategy
        if strategy is None:
            return tf.function(function, jit_compile=jit_compile, autograph=False)

        @tf.function(autograph=False)
        def on_all(parts: Any) -> Metrics:
            found = strategy.run(function, args=(parts,))
            return {name: strategy.experimental_local_results(value)[0] for name, value in found.items()}

        return lambda batch: on_all(_split(strategy, batch))

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Raise WorkerLost if inside another machine stops answering."""
        try:
            yield
        except _NO_ANSWER as error:
            if getattr(self.strategy, "cluster_resolver", None) is None:
                raise
            raise WorkerLost(
                "Another worker does not answer any more, so this one stops too. Start all of them again, "
                f"with --resume RUN_FOLDER if there is one. TensorFlow says: {error.message.splitlines()[0]}"
            ) from error

    def read(self, variable: keras.Variable | tf.Variable) -> np.ndarray:
        """Return a Keras or TensorFlow variable as this machine has it, an array, without asking others."""
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        if self.strategy is None:
            return variable.numpy()
        return self.strategy.experimental_local_results(variable)[0].numpy()


def _split(strategy: tf.distribute.Strategy, batch: Batch) -> Any:
    """Return a batch of which every replica sees its own, equal part."""
    size = len(batch["weight"]) // strategy.num_replicas_in_sync

    def part(context: Any) -> Batch:
        first = context.replica_id_in_sync_group * size
        return {name: tensor[first : first + size] for name, tensor in batch.items()}

    return strategy.experimental_distribute_values_from_function(part)


def make(name: str) -> Distribution:
    """Return the `Distribution` of an option: `default`, `mirrored` or `multiworker`.

    The last must come before TensorFlow has computed anything.

    Raises:
        DistributionError: what it needs is not there.
    """
    if name == "default":
        return Distribution()
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) < 2:
            raise DistributionError(
                f"--strategy mirrored shares a batch among devices, and there is one: {devices[0].name}. "
                "Leave it out"
            )
        return Distribution(tf.distribute.MirroredStrategy([device.name for device in devices]))
    _check_cluster(os.environ.get("TF_CONFIG"))
    return Distribution(tf.distribute.MultiWorkerMirroredStrategy())


def _check_cluster(text: str | None) -> None:
    """Raise DistributionError unless TF_CONFIG names the workers, and which of them this is."""
    example = (
        '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise DistributionError(
            "--strategy multiworker finds the other machines in the environment variable TF_CONFIG, which "
            f"is not set. For example: TF_CONFIG='{example}'"
        )
    try:
        facts = json.loads(text)
        task = facts["task"]
        address = facts["cluster"][task["type"]][task["index"]]
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise DistributionError(
            f"TF_CONFIG does not say which worker this is ({error!r}). It should look like {example}. "
            f"Received: {text}"
        ) from error
    if not isinstance(address, str) or ":" not in address:
        raise DistributionError(f"TF_CONFIG: a worker's address is HOST:PORT. Received: {address!r}")


def _is_chief(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> bool:
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type is None or (resolver.task_type == "worker" and resolver.task_id == 0)
