"""The model of a configuration."""

from typing import Any

from kvae.config import ModelOptions
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.kvae import KVAE
from kvae.models.rivals import DeepMarkovModel, DeepVariationalBayesFilter, RecurrentAutoencoder

_MODELS: tuple[type[SequenceAutoencoder], ...] = (
    KVAE,
    RecurrentAutoencoder,
    DeepVariationalBayesFilter,
    DeepMarkovModel,
)


def make_model(config: ModelOptions, **kwargs: Any) -> SequenceAutoencoder:
    """Return a new model, a `KVAE` or a rival; further arguments are those of `keras.Model`."""
    (of_kind,) = (model for model in _MODELS if config.model in model.kinds)
    return of_kind(config, **kwargs)
