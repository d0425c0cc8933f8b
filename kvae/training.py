"""Training: the schedule of phases and learning rates, and what a run records on its way."""

import time

import keras
import numpy as np
from tqdm import tqdm

from kvae import data, evaluation, masks, reporting
from kvae.errors import UserError
from kvae.model import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE


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

    def __init__(self, config):
        super().__init__()
        self.config = config

    def phase(self, epoch):
        """Return the phase of an epoch, counted from 0."""
        if epoch < self.config.only_vae_epochs:
            return PHASE_VAE
        if epoch < self.config.only_vae_epochs + self.config.kf_update_steps:
            return PHASE_DYNAMICS
        return PHASE_ALL

    def learning_rate(self, epoch):
        """Return the learning rate of an epoch, counted from 0."""
        return self.config.init_lr * self.config.decay_rate ** (epoch // self.config.decay_steps)

    def on_epoch_begin(self, epoch, logs=None):
        """Set the phase and the learning rate."""
        optimizer = self.model.optimizer
        phase = self.phase(epoch)
        if phase != int(self.model.phase):
            self.model.phase.assign(phase)
            for variable in optimizer.variables:
                variable.assign(keras.ops.zeros_like(variable))
        optimizer.learning_rate = self.learning_rate(epoch)


class Recorder(keras.callbacks.Callback):
    """Write into the run's folder while a model learns, and tell how it goes.

    After every config.display_step epochs: the test bound, a row of metrics.csv, TensorBoard's scalars,
    a line of progress; model.keras where the test bound is the best so far; a checkpoint. After the
    first epoch and every config.generate_step: films and plots, and the imputation of the first test
    batch. The last epoch's films are left to the final evaluation, which uses the best model.

    Args:
        config: a `Config`.
        folder: the `RunFolder`.
        test: the test `data.Dataset`.
    """

    def __init__(self, config, folder, test):
        super().__init__()
        self.config, self.folder, self.test = config, folder, test
        self.best = (-np.inf, 0)

    def on_train_begin(self, logs=None):
        """Start the clock and the progress bar, which shows itself on a terminal alone."""
        self.start = time.monotonic()
        total = self.params["epochs"] * self.params["steps"]
        self.bar = tqdm(total=total, unit="step", disable=None, smoothing=0.02, dynamic_ncols=True)

    def on_train_batch_end(self, batch, logs=None):
        """Move the progress bar."""
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        """Evaluate and record, if it is time for it."""
        done, last = epoch + 1, epoch + 1 == self.config.num_epochs
        self._check_finite("training", logs["total"], done)
        look = done == 1 or done % self.config.generate_step == 0 or last
        if not (look or done % self.config.display_step == 0):
            return
        step = done * self.params["steps"]
        test = evaluation.test_bound(self.model, self.test)
        self._check_finite("test", test["total"], done)
        if test["total"] > self.best[0]:
            self.best = (test["total"], done)
            self.folder.save_model(self.model)
        if look:
            test |= self._imputation()
            if not last:
                reporting.picture(self.model, self.test, self.folder, step, f"epoch_{done:03d}_")
        seconds = time.monotonic() - self.start
        # In training, `sampled` is `state_space` under another name where it is there at all.
        train = {name: value for name, value in logs.items() if name != "sampled"} | {
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": seconds,
        }
        self.folder.record(done, step, train, test)
        self.folder.save_checkpoint(self.model)
        left = seconds / done * (self.config.num_epochs - done)
        self.bar.write(
            f"epoch {done:3d}/{self.config.num_epochs}   bound {logs['total']:9.3f}   "
            f"test {test['total']:9.3f}   {_duration(seconds)} gone, {_duration(left)} left"
        )

    def on_train_end(self, logs=None):
        """Close the progress bar."""
        self.bar.close()

    def _check_finite(self, split, total, done):
        # Before anything is saved: the last good model and checkpoint stay.
        if not np.isfinite(total):
            raise TrainingError(
                f"The {split} bound became {total} in epoch {done}: "
                "try a smaller --init_lr or --max_grad_norm"
            )

    def _imputation(self):
        size = self.config.batch_size
        first = data.Dataset(self.test.images[:size], self.test.controls[:size], None)
        mask = masks.planning_mask(*first.images.shape[:2], self.config.t_init_mask, self.config.t_steps_mask)
        errors = evaluation.imputation_errors(self.model, first, [mask])[0]
        return {method: error.wrong_pixels for method, error in errors.items()}


class TrainingError(UserError):
    """Training cannot go on; the message says why, and what to try."""


def train(model, train_data, test_data, folder):
    """Train a built `KVAE` as its configuration says, recording into a run folder.

    Args:
        model: a `KVAE`.
        train_data: a `data.Dataset`.
        test_data: a `data.Dataset`.
        folder: a `RunFolder`.

    Returns:
        The epoch whose model was the best by test bound, the one in the folder's model.keras.

    Raises:
        TrainingError: the bound is not finite any more.
    """
    config = model.config
    mask = None
    if config.train_miss_prob > 0:
        mask = masks.random_mask(
            *train_data.images.shape[:2], config.t_init_train_miss, config.train_miss_prob, config.seed
        )
    batches = data.batches(train_data, config.batch_size, mask, config.seed if config.shuffle else None)
    recorder = Recorder(config, folder, test_data)
    model.compile()
    model.fit(
        batches, epochs=config.num_epochs, callbacks=[Schedule(config), recorder], verbose=0, shuffle=False
    )
    return recorder.best[1]


def _duration(seconds):
    """Return a duration in words, such as 1 h 05 min."""
    minutes, seconds = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {seconds:02d} s"
