"""The Kalman variational auto-encoder (Fraccaro et al., NIPS 2017) on TensorFlow 2 and Keras 3.

What is for everybody is here by name, all of it in `dir(kvae)`: `Config`, `KVAE`, `Schedule`, `Tracker`;
`train`, `load`, `pretrained`, `export`, `load_weights`, `save_weights`; `register_alpha_network`,
`register_likelihood`; and the modules `kalman`, `masks`, `data`.
TensorFlow is imported when the first of them that needs it is used.
"""

import importlib
import os
import platform
from typing import TYPE_CHECKING, Any

from kvae.system import console as _console
from kvae.system import keras_settings as _keras_settings

if TYPE_CHECKING:
    from kvae import data as data
    from kvae.apply.tracker import Tracker as Tracker
    from kvae.config import Config as Config
    from kvae.data import masks as masks
    from kvae.inference import kalman as kalman
    from kvae.models.kvae import KVAE as KVAE
    from kvae.models.own_parts import register_alpha_network as register_alpha_network
    from kvae.models.own_parts import register_likelihood as register_likelihood
    from kvae.runs.export import export as export
    from kvae.runs.load import load as load
    from kvae.runs.pretrained import pretrained as pretrained
    from kvae.runs.weights import load_weights as load_weights
    from kvae.runs.weights import save_weights as save_weights
    from kvae.training.from_arrays import train as train
    from kvae.training.schedule import Schedule as Schedule

__version__ = "0.1.0"
"""The one place that says it: pyproject.toml reads it here."""

if platform.machine() in ("x86_64", "AMD64"):
    # TensorFlow's convolutions from oneDNN, which it chooses by itself on the latest processors alone. Where
    # there is no AVX-512 they are faster too: `python -m benchmarks.training_step`, once with the variable
    # set to 0. Read when TensorFlow is imported.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_console.without_talk()

_HOMES = {
    "Config": "kvae.config",
    "KVAE": "kvae.models.kvae",
    "Schedule": "kvae.training.schedule",
    "Tracker": "kvae.apply.tracker",
    "data": "kvae",
    "export": "kvae.runs.export",
    "kalman": "kvae.inference",
    "load": "kvae.runs.load",
    "load_weights": "kvae.runs.weights",
    "masks": "kvae.data",
    "pretrained": "kvae.runs.pretrained",
    "register_alpha_network": "kvae.models.own_parts",
    "register_likelihood": "kvae.models.own_parts",
    "save_weights": "kvae.runs.weights",
    "train": "kvae.training.from_arrays",
}
"""Where a public name lives: in a module, or as a module of a package."""

_ON_TENSORS_ALONE = {"Config", "data", "kalman", "masks", "pretrained"}
"""Names that need no Keras."""
_WITHOUT_TENSORFLOW = {"Config", "data", "masks", "pretrained"}
"""Names that need no TensorFlow either."""

__all__ = sorted(_HOMES)

# So that `keras.models.load_model` knows what a saved model is, though nothing of it is imported yet.
_keras_settings.register_when_imported(
    {
        "kvae>KVAE": "kvae.models.kvae",
        "kvae>DeepMarkovModel": "kvae.models.rivals",
        "kvae>DeepVariationalBayesFilter": "kvae.models.rivals",
        "kvae>RecurrentAutoencoder": "kvae.models.rivals",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kvae' has no attribute {name!r}. Public are: {', '.join(__all__)}")
    if name not in _ON_TENSORS_ALONE:
        _keras_settings.check_backend()
    if name not in _WITHOUT_TENSORFLOW:
        importlib.import_module("kvae.system.device").look()
    home = _HOMES[name]
    if name in ("data", "kalman", "masks"):
        return importlib.import_module(f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
