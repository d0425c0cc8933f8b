"""In which phase an epoch is, and with which learning rate."""

from typing import Any

import keras

from kvae.config import Config
from kvae.config.options import LATENT
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE

LEAST_WEIGHT = 0.01
"""Of the codes in the objective, while it warms up."""


class Schedule(keras.callbacks.Callback):
    """Train the parts of a KVAE in phases, with a learning rate that falls in a staircase.

    First, for config.only_vae_epochs, encoder and decoder alone; then, for config.kf_update_steps, A, B,
    C and a_0 too; then everything. Each phase starts its optimizer afresh. The learning rate is
    init_lr * decay_rate^(epoch // decay_steps), whatever the phase.

    Args:
        config: a `Config`.

    Examples:
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

    def code_weight(self, epoch: int) -> float:
        """Return the weight of log p(a) - log q(a|x) in the objective of an epoch, counted from 0.

        For a fifth of config.warm_up it is hardly any, and then it rises to 1 as a parabola. From the start,
        codes that no frame is decoded from yet would be told to be all the same, and obey: see Sonderby et
        al., "Ladder variational autoencoders", NIPS 2016, whose weight rises on a line. With no weight at all
        nothing would keep the variance of q(a|x) above zero. DVBF's and DMM's rises on a line, as their
        authors have it, but in every epoch and not in every update.

        Examples:
            >>> from kvae.config import Config
            >>> schedule = Schedule(Config(num_epochs=20, warm_up=0.5))
            >>> [round(schedule.code_weight(epoch), 2) for epoch in (0, 2, 6, 10)]
            [0.01, 0.01, 0.25, 1.0]
        """
        epochs = self.config.warm_up * self.config.num_epochs
        if not epochs:
            return 1.0
        if self.config.model in LATENT:
            return min(1.0, LEAST_WEIGHT + epoch / epochs)
        return min(1.0, max(LEAST_WEIGHT, max(0.0, (epoch / epochs - 0.2) / 0.8) ** 2))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the phase and the learning rate."""
        optimizer = self.model.optimizer
        phase = self.phase(epoch)
        if phase != int(self.model.phase.read_value()):
            self.model.phase.assign(phase)
            for variable in optimizer.variables:
                variable.assign(keras.ops.zeros_like(variable))
        optimizer.learning_rate = self.learning_rate(epoch)
        self.model.code_weight.assign(self.code_weight(epoch))
