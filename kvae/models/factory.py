"""The model of a configuration."""

from typing import Any

from kvae.config import ModelOptions
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.kvae import KVAE
from kvae.models.rivals import RecurrentAutoencoder


def make_model(config: ModelOptions, **kwargs: Any) -> SequenceAutoencoder:
    """Return a new model, a `KVAE` or a rival; further arguments are those of `keras.Model`."""
    return (KVAE if config.model == "kvae" else RecurrentAutoencoder)(config, **kwargs)
