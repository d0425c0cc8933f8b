"""Training: the schedule of phases and learning rates, the loop, and what it records on its way."""

import contextlib
import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from kvae.config import Config
from kvae.data import dataset as data
from kvae.data import masks
from kvae.data.batches import batches_of
from kvae.errors import TrainingError
from kvae.evaluation import metrics as evaluation
from kvae.evaluation import report as reporting
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE
from kvae.models.factory import make_model
from kvae.runs import checkpoint
from kvae.runs.run_folder import TAGS
from kvae.training import refinement
from kvae.training.distribution import Distribution
from kvae.training.profiling import Profiler

_REMEDY = "try a smaller --init_lr or --max_grad_norm"


class Schedule(keras.callbacks.Callback):
    """Train the parts of a KVAE in phases, with a learning rate that falls in a staircase.

    First, for config.only_vae_epochs, encoder and decoder alone; then, for config.kf_update_steps, A, B,
    C and a_0 too; then everything. Each phase starts its optimizer afresh. The learning rate is
    init_lr * decay_rate^(epoch // decay_steps), whatever the phase.

    Args:
        config: a `Config`.

    Example:
        >>> from kvae.config import Config
        >>> Schedule(Config(init_lr=0.01, decay_rate=0.5)).learning_rate(40)
        0.0025
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config

    def phase(self, epoch: int) -> int:
        """Return the phase of an epoch, counted from 0."""
        if epoch < self.config.only_vae_epochs:
            return PHASE_VAE
        if epoch < self.config.only_vae_epochs + self.config.kf_update_steps:
            return PHASE_DYNAMICS
        return PHASE_ALL

    def learning_rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.config.init_lr * self.config.decay_rate ** (epoch // self.config.decay_steps)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the phase and the learning rate."""
        optimizer = self.model.optimizer
        phase = self.phase(epoch)
        if phase != int(self.model.phase.read_value()):
            self.model.phase.assign(phase)
            for variable in optimizer.variables:
                variable.assign(keras.ops.zeros_like(variable))
        optimizer.learning_rate = self.learning_rate(epoch)


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs completed.
        batch: batches completed in the epoch after them.
        best_bound: the best test bound so far.
        best_epoch: the epoch that reached it, 0 if none has.
        seconds: time spent in training, evaluations on the way included.
        file_sizes: see `RunFolder.file_sizes`.
    """

    epoch: int = 0
    batch: int = 0
    best_bound: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    file_sizes: dict = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values, path):
        """Return the progress in the checkpoint `path`.

        Raises:
            CheckpointError: these are not the values of one.
        """
        try:
            found = cls(**values)
        except TypeError as error:
            raise checkpoint.CheckpointError(f"{path} is of another version: {error}") from error
        counts = [found.epoch, found.batch, found.best_epoch]
        if isinstance(found.file_sizes, dict):
            counts += found.file_sizes.values()
        if (
            not isinstance(found.file_sizes, dict)
            or any(type(count) is not int or count < 0 for count in counts)
            or not all(isinstance(value, int | float) for value in (found.best_bound, found.seconds))
        ):
            raise checkpoint.CheckpointError(f"{path} does not say where a training stands: {values}")
        return found


class Recorder:
    """Write into the run's folder while a model learns, and tell how it goes.

    First, where config.init_model names a model to begin with, that one's test bound, as epoch 0. After every
    config.display_step epochs: the test bound, a row of metrics.csv, TensorBoard's scalars,
    a line of progress; model.keras where the test bound is the best so far. After the first epoch the
    graph of the bound. After the first and every config.generate_step: films and plots, and the imputation
    of the first test batch. The last epoch's films are left to the final evaluation, which uses the best
    model.

    Args:
        model: a `KVAE`.
        folder: the `RunFolder`.
        test: the test `data.Dataset`.
        say: what to call with a line of progress.
        distribution: the `Distribution`; of several workers the chief alone evaluates and records.
    """

    def __init__(self, model, folder, test, say=print, distribution=None):
        self.trained, self.config, self.folder, self.test, self.say = model, model.config, folder, test, say
        self.distribution = distribution or Distribution()
        self._twin = None

    @property
    def model(self):
        """What is evaluated: the model, or where replicas share its training a copy outside of that."""
        if self.distribution.strategy is None:
            return self.trained
        if self._twin is None:
            self._twin = make_model(self.config, name=self.trained.name)
            self._twin.build_from_config(self.trained.get_build_config())
            self._twin.compile()
        # Not the counters: the copy's draws are its own.
        pairs = zip(self._twin.trainable_weights, self.trained.trainable_weights, strict=True)
        for variable, trained in pairs:
            variable.assign(self.distribution.read(trained))
        return self._twin

    def begin(self, progress):
        """Evaluate and record the model of an earlier run as epoch 0: what was saved is never worse than it.

        Args:
            progress: the `Progress`, in which nothing has been done.

        Raises:
            TrainingError: the bound is not finite.
        """
        if not self.distribution.is_chief:
            return
        model = self.model
        test = evaluation.test_bound(model, self.test)
        self._check_finite("test", test["total"], 0)
        progress.best_bound = test["total"]
        self.folder.save_model(model)
        self._add_graph(model)
        self.folder.record(0, 0, {"seconds": 0.0}, test)
        self.say(f"{self.config.init_model} begins with   test {test['total']:9.3f}")

    def end_epoch(self, progress, step, seconds):
        """Evaluate and record, if it is time for it.

        Args:
            progress: the `Progress`; its epoch has been trained, but is not counted yet.
            step: updates completed.
            seconds: time spent so far.

        Raises:
            TrainingError: the bound is not finite any more; nothing is saved then.
        """
        done, last = progress.epoch + 1, progress.epoch + 1 == self.config.num_epochs
        # In training, `sampled` is `state_space` under another name where it is there at all.
        train = {name: self._mean(mean) for name, mean in self.trained.means.items() if name != "sampled"}
        self._check_finite("training", train["total"], done)
        look = done == 1 or done % self.config.generate_step == 0 or last
        if not self.distribution.is_chief or not (look or done % self.config.display_step == 0):
            return
        model = self.model
        test = evaluation.test_bound(model, self.test)
        self._check_finite("test", test["total"], done)
        if test["total"] > progress.best_bound:
            progress.best_bound, progress.best_epoch = test["total"], done
            self.folder.save_model(model)
        if done == 1 and not self.config.init_model:
            self._add_graph(model)
        if look:
            test |= self._imputation(model)
            if not last:
                reporting.picture(model, self.test, self.folder, step, f"epoch_{done:03d}_")
        train |= {"learning_rate": Schedule(self.config).learning_rate(progress.epoch), "seconds": seconds}
        self.folder.record(done, step, train, test)
        left = seconds / done * (self.config.num_epochs - done)
        self.say(
            f"epoch {done:3d}/{self.config.num_epochs}   bound {train['total']:9.3f}   "
            f"test {test['total']:9.3f}   {_duration(seconds)} gone, {_duration(left)} left"
        )

    def refine(self, progress, step, train_data, mask, start):
        """Train the dynamics alone, see `kvae.training.refinement`; evaluate and record that as the last one.

        Args:
            progress: the `Progress`, all of whose epochs are done.
            step: updates completed.
            train_data: a `data.Dataset` or `shards.Shards`.
            mask: [N, T], 1 = observed, or None.
            start: when the training began, in `time.monotonic`.

        Raises:
            TrainingError: the bound is not finite any more; the model before stays saved.
        """
        done, model = self.config.num_epochs + self.config.refine_epochs, self.model
        codes = refinement.encode(model, train_data, mask)
        step += refinement.refine(model, codes, self.config.refine_epochs, self.config.init_lr)
        _check_weights(model, done)
        test = evaluation.test_bound(model, self.test)
        self._check_finite("test", test["total"], done)
        if test["total"] > progress.best_bound:
            progress.best_bound, progress.best_epoch = test["total"], done
            self.folder.save_model(model)
        seconds = time.monotonic() - start
        self.folder.record(done, step, {"seconds": seconds}, test)
        self.say(
            f"dynamics alone, {self.config.refine_epochs} epochs   test {test['total']:9.3f}   "
            f"{_duration(seconds)} gone"
        )

    def _add_graph(self, model):
        # The evaluation's, which has been traced anyway; most of a training step's graph is its gradient.
        self.folder.events.add_graph(evaluation.graph_of_bound(model, self.test))

    def _check_finite(self, split, total, done):
        # Before the model is saved: the last good one stays.
        if not np.isfinite(total):
            raise TrainingError(f"The {split} bound became {total} in epoch {done}: {_REMEDY}")

    def _mean(self, metric):
        # Keras would ask all replicas, and add up what is the same on each.
        total, count = (self.distribution.read(variable) for variable in (metric.total, metric.count))
        return float(total / count) if count else 0.0

    def _imputation(self, model):
        size = self.config.batch_size
        first = data.Dataset(self.test.images[:size], self.test.controls[:size], None)
        mask = masks.planning_mask(*first.images.shape[:2], self.config.t_init_mask, self.config.t_steps_mask)
        errors = evaluation.imputation_errors(model, first, [mask])[0]
        return {method: error.wrong_pixels for method, error in errors.items()}


def train(model, train_data, test_data, folder, signals, after_epoch=None, distribution=None):
    """Train a built `KVAE` as its configuration says, recording into a run folder.

    If the folder holds a checkpoint, training goes on from there: the same weights, moments, order of the
    data and draws as if it had never stopped. A checkpoint is written after every epoch, and when a
    signal comes.

    Args:
        model: a `KVAE`.
        train_data: a `data.Dataset`, or `shards.Shards`.
        test_data: a `data.Dataset`.
        folder: a `RunFolder`.
        signals: a `StopSignals`.
        after_epoch: called with the model and the number of epochs completed, after each one's evaluation.
        distribution: the `Distribution` in whose scope the model was built, by default none.

    Returns:
        The epoch whose model was the best by test bound, the one in the folder's model.keras; 0: the one of
        config.init_model that training began with.

    Raises:
        TrainingError: the bound is not finite any more.
        Stopped: a signal came; the checkpoint has been written.
    """
    config, num_sequences = model.config, train_data.shape[0]
    distribution = distribution or Distribution()
    steps_per_epoch = -(-num_sequences // config.batch_size)
    with distribution.scope():
        model.compile()
        model.optimizer.build(model.trainable_variables)
    schedule = Schedule(config)
    schedule.set_model(model)
    progress = Progress()
    if folder.checkpoint.exists():
        progress = Progress.from_dict(checkpoint.restore(folder.checkpoint, model), folder.checkpoint)
    if distribution.is_chief:
        folder.cut_back(progress.file_sizes)
        if not folder.checkpoint.exists():
            folder.events.add_options(config)
    mask = None
    if config.train_miss_prob > 0:
        mask = masks.random_mask(
            *train_data.shape[:2], config.t_init_train_miss, config.train_miss_prob, config.seed
        )
    batches = batches_of(train_data, config.batch_size, mask)
    start = time.monotonic() - progress.seconds
    update = distribution.step(model.train_step, model.jit_compile)

    def save():
        _check_weights(model, progress.epoch + 1, distribution.read)
        if not distribution.is_chief:
            return
        progress.seconds = time.monotonic() - start
        progress.file_sizes = folder.file_sizes()
        checkpoint.save(folder.checkpoint, model, asdict(progress), distribution.read)

    # None: the progress bar shows itself on a terminal alone.
    with tqdm(
        total=config.num_epochs * steps_per_epoch,
        initial=progress.epoch * steps_per_epoch + progress.batch,
        unit="step",
        disable=config.quiet or None,
        smoothing=0.02,
        dynamic_ncols=True,
    ) as bar:
        recorder = Recorder(model, folder, test_data, bar.write, distribution)
        profiles = config.profile and distribution.is_chief
        profiler = Profiler(folder.path / "train" if profiles else None, bar.write)
        if config.init_model and not folder.checkpoint.exists():
            recorder.begin(progress)
        while progress.epoch < config.num_epochs:
            if progress.batch == 0:
                model.reset_metrics()
                schedule.on_epoch_begin(progress.epoch)
            order = np.arange(num_sequences)
            if config.shuffle:
                order = train_data.order_of_epoch(config.seed, progress.epoch)
            of_epoch = batches.of(order[progress.batch * config.batch_size :])
            with signals.deferred(), contextlib.closing(profiler.watch(of_epoch)) as watched:
                for batch in watched:
                    _check_step(update(batch), progress, order, config.batch_size)
                    progress.batch += 1
                    bar.update()
                    if signals.came:
                        break
                # Before the evaluation too, which takes its time and may be stopped at any moment.
                save()
            step = (progress.epoch + 1) * steps_per_epoch
            recorder.end_epoch(progress, step, time.monotonic() - start)
            with signals.deferred():
                progress.epoch, progress.batch = progress.epoch + 1, 0
                save()
            if after_epoch is not None:
                after_epoch(model, progress.epoch)
        if not profiler.is_done:
            bar.write("There were too few training steps left to profile any")
    if config.refine_epochs and distribution.is_chief:
        # A few minutes at most: if a signal ends it, it starts again from the checkpoint of the last epoch.
        recorder.refine(progress, config.num_epochs * steps_per_epoch, train_data, mask, start)
    return progress.best_epoch


def _check_step(metrics, progress, order, batch_size):
    """Raise TrainingError, naming step, terms and sequences, where a step's metrics are not finite."""
    if np.isfinite(metrics["total"]) and np.isfinite(metrics["gradient_norm"]):
        return
    broken = [f"{TAGS[name]} is {float(value)}" for name, value in metrics.items() if not np.isfinite(value)]
    steps_per_epoch = -(-len(order) // batch_size)
    first = progress.batch * batch_size
    numbers = ", ".join(map(str, order[first : first + batch_size]))
    raise TrainingError(
        f"Training broke in step {progress.epoch * steps_per_epoch + progress.batch + 1} (batch "
        f"{progress.batch + 1} of epoch {progress.epoch + 1}), as {', '.join(broken)}. The batch holds the "
        f"sequences {numbers}. What was saved before is whole. If there is nothing odd in them, {_REMEDY}"
    )


def _check_weights(model, epoch, read=keras.ops.convert_to_numpy):
    """Raise TrainingError rather than let broken weights replace the last good checkpoint."""
    for variable in model.trainable_variables:
        if not np.isfinite(read(variable)).all():
            raise TrainingError(f"{variable.path} is not finite any more in epoch {epoch}: {_REMEDY}")


def _duration(seconds):
    """Return a duration in words, such as 1 h 05 min."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds:02d} s"
