"""The Kalman variational auto-encoder (Fraccaro et al., NIPS 2017) on TensorFlow 2 and Keras 3.

`Config`, `KVAE`, `Schedule`, `load`, `load_weights` and `save_weights` are here by name; TensorFlow is
imported when the first of them that needs it is used.
"""

import importlib

_HOMES = {
    "Config": "kvae.config",
    "KVAE": "kvae.model",
    "Schedule": "kvae.training",
    "load": "kvae.run_folder",
    "load_weights": "kvae.weights",
    "save_weights": "kvae.weights",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'kvae' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
