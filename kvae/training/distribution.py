"""Training on several devices or machines, as if they were one.

Every replica takes an equal part of each batch. Noise is drawn for the whole batch and cut, sums over
observed frames are those of the whole batch, and gradients are clipped after they have been added up: so a
step is the same step however many replicas share it.
"""

import contextlib
import json
import os

import keras
import tensorflow as tf

from kvae.errors import UserError


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


# --- inside a training step ---


def num_replicas():
    """Return how many replicas share the batch; 1 outside of any strategy."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def sum_over_replicas(tensors):
    """Add up a tensor, or each of a list, over all replicas."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def normal(shape, seed):
    """Draw from N(0, 1): this replica's part of what one would draw for the whole batch.

    Args:
        shape: of the part; its first axis is the batch.
        seed: [2] integers, a stateless seed, the same on all replicas.
    """
    count = num_replicas()
    if count == 1:
        return tf.random.stateless_normal(shape, seed)
    size = shape[0]
    whole = tf.random.stateless_normal([count * size, *tf.unstack(shape[1:])], seed)
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * size
    return whole[first : first + size]


# --- around it ---


class Distribution:
    """Where a training runs.

    Args:
        strategy: a `tf.distribute.Strategy`; None: TensorFlow's default, which distributes nothing.
    """

    def __init__(self, strategy=None):
        self.strategy = strategy
        resolver = getattr(strategy, "cluster_resolver", None)
        self.is_chief = resolver is None or _is_chief(resolver)

    @property
    def num_replicas(self):
        """Number of replicas that share a batch."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    def scope(self):
        """Return the context in which model and optimizer have to be made."""
        return (self.strategy or tf.distribute.get_strategy()).scope()

    def check_batch_size(self, batch_size):
        """Raise DistributionError unless all replicas get equal parts of a batch."""
        if batch_size % self.num_replicas:
            raise DistributionError(
                f"--batch_size {batch_size} cannot be shared equally by {self.num_replicas} replicas: "
                "choose a multiple of that"
            )

    def step(self, function, jit_compile):
        """Return a compiled function of a batch that calls `function` on every replica's part of it.

        What it returns is the first replica's dictionary.
        """
        if self.strategy is None:
            return tf.function(function, jit_compile=jit_compile, autograph=False)

        @tf.function(autograph=False)
        def on_all(parts):
            found = self.strategy.run(function, args=(parts,))
            return {name: self.strategy.experimental_local_results(value)[0] for name, value in found.items()}

        return lambda batch: on_all(self._split(batch))

    @contextlib.contextmanager
    def guard(self):
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

    def _split(self, batch):
        size = len(batch["weight"]) // self.num_replicas

        def part(context):
            first = context.replica_id_in_sync_group * size
            return {name: tensor[first : first + size] for name, tensor in batch.items()}

        return self.strategy.experimental_distribute_values_from_function(part)

    def read(self, variable):
        """Return a Keras or TensorFlow variable as this machine has it, an array, without asking others."""
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        if self.strategy is None:
            return variable.numpy()
        return self.strategy.experimental_local_results(variable)[0].numpy()


def make(name):
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


def _check_cluster(text):
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


def _is_chief(resolver):
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type is None or (resolver.task_type == "worker" and resolver.task_id == 0)
