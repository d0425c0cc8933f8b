"""In which phase an epoch is, and with which learning rate."""

from typing import Any

import keras

from kvae.config import Config
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE


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
