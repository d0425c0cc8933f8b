"""The model of a configuration."""

from kvae.autoencoder import SequenceAutoencoder
from kvae.baselines import RecurrentAutoencoder
from kvae.config import Config
from kvae.model import KVAE


def make_model(config: Config, **kwargs) -> SequenceAutoencoder:
    """Return a new model, a `KVAE` or a rival; further arguments are those of `keras.Model`."""
    return (KVAE if config.model == "kvae" else RecurrentAutoencoder)(config, **kwargs)
