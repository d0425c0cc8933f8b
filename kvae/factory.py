"""The model of a configuration."""

from kvae.baselines import RecurrentAutoencoder
from kvae.model import KVAE


def make_model(config, **kwargs):
    """Return a new model, a `KVAE` or a rival; further arguments are those of `keras.Model`."""
    return (KVAE if config.model == "kvae" else RecurrentAutoencoder)(config, **kwargs)
