"""Training from the first epoch, or from a checkpoint, to the last one and the refinement after it."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from kvae.config import Config
from kvae.data import masks
from kvae.data.batches import Batches, batches_of
from kvae.data.dataset import Dataset
from kvae.data.identity import digest
from kvae.data.shards import Shards
from kvae.models import adaptation
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.new_dynamics import with_new_dynamics
from kvae.runs import checkpoint
from kvae.runs.options import read_identity
from kvae.runs.run_folder import RunFolder
from kvae.system.signals import StopSignals
from kvae.training import refinement, search
from kvae.training.distribution import Batch, Distribution, Metrics
from kvae.training.health import check_step, check_weights
from kvae.training.profiling import Profiler
from kvae.training.progress import Progress
from kvae.training.recorder import Recorder
from kvae.training.schedule import Schedule

AfterEpoch = Callable[[SequenceAutoencoder, int], object]
Update = Callable[[Batch], Metrics]


def train(
    model: SequenceAutoencoder,
    train_data: Dataset | Shards,
    test_data: Dataset | None,
    folder: RunFolder,
    signals: StopSignals,
    after_epoch: AfterEpoch | None = None,
    distribution: Distribution | None = None,
    validation: Dataset | None = None,
    draws: bool = True,
) -> int:
    """Train a built model as its configuration says, recording into a run folder.

    If the folder holds a checkpoint, training goes on from there: the same weights, moments, order of the
    data and draws as if it had never stopped. A checkpoint is written after every epoch, and when a
    signal comes.

    Args:
        model: a `KVAE` or a rival, see `kvae.models.rivals`.
        train_data: what it learns from.
        test_data: what it is judged by; None: nothing.
        folder: a `RunFolder`.
        signals: a `StopSignals`.
        after_epoch: called with the model and the number of epochs completed, after each one's evaluation.
        distribution: the `Distribution` in whose scope the model was built, by default none.
        validation: sequences by whose bound the model that is kept is chosen; None: it is the last one.
        draws: whether to draw on the way what the model makes of them.

    Returns:
        The epoch of the model that is kept, the one in the folder's model.keras; 0: the one of
        config.init_model that training began with.

    Raises:
        TrainingError: the bound is not finite any more.
        Stopped: a signal came; the checkpoint has been written.
    """
    distribution = distribution or Distribution()
    # Through tqdm, which keeps lines and its progress bar apart.
    recorder = Recorder(model, folder, test_data, validation, tqdm.write, distribution, draws)
    training = _Training(model, train_data, folder, signals, recorder, distribution)
    training.restore()
    training.run_epochs(after_epoch)
    training.refine()
    return training.progress.best_epoch


class _Training:
    """What is trained, on what, and where that stands; arguments as `train`, and the `Recorder`."""

    def __init__(
        self,
        model: SequenceAutoencoder,
        train_data: Dataset | Shards,
        folder: RunFolder,
        signals: StopSignals,
        recorder: Recorder,
        distribution: Distribution,
    ):
        self.model, self.config, self.data = model, model.config, train_data
        self.folder, self.signals, self.recorder, self.distribution = folder, signals, recorder, distribution
        self.schedule = Schedule(self.config)
        self.schedule.set_model(model)
        self.progress = Progress()
        self.steps_per_epoch = -(-train_data.shape[0] // self.config.batch_size)
        self.mask = _training_mask(self.config, train_data.shape)
        self._start = time.monotonic()
        self._has_compiled = False

    @property
    def seconds(self) -> float:
        """Time spent so far, before an interruption too."""
        return time.monotonic() - self._start

    def restore(self) -> None:
        """Prepare the model to be trained, from where the folder's checkpoint stands if there is one."""
        with self.distribution.scope():
            self.model.compile()
            self.model.optimizer.build(self.model.trainable_variables)
        path = self.folder.checkpoint
        is_resumed = path.exists()
        if not is_resumed and self.model.needs_adapting:
            with self.distribution.scope():
                adaptation.adapt(self.model, batches_of(self.data, self.config.batch_size, self.mask).of())
        if is_resumed:
            self.progress = Progress.from_dict(checkpoint.restore(path, self.model), path)
            self._start -= self.progress.seconds
        data = read_identity(self.folder.path)
        expected = digest(data) if data else ""
        if self.progress.data and expected and self.progress.data != expected:
            raise checkpoint.CheckpointError(f"{path} is of a training on other data than config.json says")
        self.progress.data = expected or self.progress.data
        if self.distribution.is_chief:
            self.folder.cut_back(self.progress.file_sizes)
            if not is_resumed:
                self.folder.events.add_options(self.config)

    def run_epochs(self, after_epoch: AfterEpoch | None) -> None:
        """Train, evaluate and record epoch after epoch until config.num_epochs are done."""
        config, progress = self.config, self.progress
        profiles = config.profile and self.distribution.is_chief
        profiler = Profiler(self.folder.path / "train" if profiles else None, self.recorder.say)
        batches = batches_of(self.data, config.batch_size, self.mask)
        update = self.distribution.step(self.model.train_step, self.model.jit_compile)
        if config.init_model and not self.folder.checkpoint.exists():
            self.recorder.begin(progress)
            # What it began with is not needed any more; and a refinement alone has no epoch to save one.
            self._save()
        with self._bar() as bar:
            while progress.epoch < config.num_epochs:
                with self.signals.deferred():
                    self._run_epoch(batches, update, profiler, bar)
                    # Before the evaluation too, which takes its time and may be stopped at any moment.
                    self._save()
                step = (progress.epoch + 1) * self.steps_per_epoch
                bar.set_description("evaluating")
                self.recorder.end_epoch(progress, step, self.seconds)
                bar.set_description("training")
                with self.signals.deferred():
                    progress.epoch, progress.batch = progress.epoch + 1, 0
                    self._save()
                if after_epoch is not None:
                    after_epoch(self.model, progress.epoch)
        if not profiler.is_done:
            self.recorder.say("There were too few training steps left to profile any")

    def _run_epoch(self, batches: Batches, update: Update, profiler: Profiler, bar: tqdm) -> None:
        """Train on the batches that are left of an epoch, or until a signal comes."""
        config, progress = self.config, self.progress
        if progress.batch == 0:
            self.model.reset_metrics()
            self.schedule.on_epoch_begin(progress.epoch)
        order = np.arange(self.data.shape[0])
        if config.shuffle:
            order = self.data.order_of_epoch(config.seed, progress.epoch)
        of_epoch = batches.of(order[progress.batch * config.batch_size :])
        with contextlib.closing(profiler.watch(of_epoch)) as watched:
            for batch in watched:
                check_step(update(batch), progress, order, config.batch_size)
                progress.batch += 1
                bar.update()
                if not self._has_compiled:
                    self._has_compiled = True
                    self.recorder.begin_steps(progress.epoch, self.seconds)
                    bar.set_description("training")
                if self.signals.came:
                    break

    def refine(self) -> None:
        """Train the dynamics alone for config.refine_epochs, see `kvae.training.refinement`, and record that.

        It takes a few minutes at most: if a signal ends it, it starts again from the checkpoint of the last
        epoch. Once it is done the checkpoint says so, and it is not done again. Of several workers the chief
        alone does it. With config.search the dynamics are others, if that finds better ones; and if they are
        kept, config.json says so.
        """
        config = self.config
        if not config.refine_epochs or self.progress.refinement or not self.distribution.is_chief:
            return
        model = self.recorder.local_model()
        codes = refinement.encode(model, self.data, masks.both(self.data.mask, self.mask))
        held_out = self.recorder.validation
        validation = None if held_out is None else refinement.encode(model, held_out, held_out.mask)
        if config.search:
            model = self._found(codes)
        updates = refinement.refine(model, codes, config.refine_epochs, config.init_lr, validation)
        check_weights(model, config.num_epochs + config.refine_epochs)
        if model.config == config and model is not self.model:
            # Where replicas share the training it was a copy that was refined.
            pairs = zip(self.model.dynamics_variables, model.dynamics_variables, strict=True)
            for variable, refined in pairs:
                variable.assign(refined.numpy())
        step = config.num_epochs * self.steps_per_epoch + updates
        with self.signals.deferred():
            self.recorder.end_refinement(model, self.progress, step, self.seconds)
            if model.config != config:
                self._keep(model)
            self.progress.refinement = updates
            self._save()

    def _found(self, codes: refinement.EncodedSequences) -> SequenceAutoencoder:
        """Return the model with the dynamics that a search finds, which know nothing yet; itself if none is.

        Args:
            codes: those of the training sequences.
        """
        trials = search.search(self.model, codes, self.recorder.say)
        self.folder.write_text("search.md", "\n".join([*search.HEAD, "", *search.table_of(trials), ""]))
        if not trials[-1].changes:
            self.recorder.say("search: nothing is better than the options as they are")
            return self.model
        found = with_new_dynamics(self.model, search.with_changes(self.config, trials[-1].changes))
        found.compile()
        return found

    def _keep(self, model: SequenceAutoencoder) -> None:
        """Go on with a model of other dynamics, if it was found to be the best."""
        if self.progress.best_epoch != self.config.num_epochs + self.config.refine_epochs:
            self.recorder.say("By the bound these dynamics are not better: those before stay")
            return
        self.folder.replace_options(model.config)
        model.optimizer.build(model.trainable_variables)
        self.model = model

    def _save(self) -> None:
        """Write the checkpoint; of several workers the chief alone does."""
        read = self.distribution.read
        check_weights(self.model, self.progress.epoch + 1, read)
        if not self.distribution.is_chief:
            return
        self.progress.seconds = self.seconds
        self.progress.file_sizes = self.folder.file_sizes()
        checkpoint.save(self.folder.checkpoint, self.model, asdict(self.progress), read)

    def _bar(self) -> tqdm:
        return tqdm(
            total=self.config.num_epochs * self.steps_per_epoch,
            initial=self.progress.epoch * self.steps_per_epoch + self.progress.batch,
            unit="step",
            desc="compiling",
            # None: it shows itself on a terminal alone.
            disable=self.config.quiet or None,
            smoothing=0.02,
            dynamic_ncols=True,
        )


def _training_mask(config: Config, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return [N, T], 1 where training may see a frame of sequences [N, T, H, W]; None: all of them."""
    if not config.train_miss_prob:
        return None
    num_sequences, num_steps = shape[:2]
    return masks.random_mask(
        num_sequences, num_steps, config.t_init_train_miss, config.train_miss_prob, config.seed
    )
