"""Keras before it is imported: its backend, and where it finds our classes. Imports neither."""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from kvae.errors import UserError
from kvae.system import imports

_REGISTRY = "keras.src.saving.object_registration"
"""The module of Keras that maps names in a saved file to classes."""


class BackendError(UserError):
    """Keras is set to compute with something else than TensorFlow; the message says by what."""


def check_backend() -> None:
    """Raise BackendError unless Keras computes, or will once it is imported, with TensorFlow.

    As Keras itself looks: at KERAS_BACKEND, then at keras.json in KERAS_HOME or ~/.keras.
    """
    config = sys.modules.get("keras.src.backend.config")
    file = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / "keras.json"
    if config is not None and hasattr(config, "backend"):
        backend, said_by = config.backend(), "Keras, which is imported already"
    elif os.environ.get("KERAS_BACKEND"):
        backend, said_by = os.environ["KERAS_BACKEND"], "the variable KERAS_BACKEND"
    else:
        backend, said_by = _backend_of(file), str(file)
    if backend != "tensorflow":
        raise BackendError(
            f"kvae runs on Keras' backend tensorflow alone. Received: {backend}, from {said_by}. "
            "Set KERAS_BACKEND=tensorflow"
        )


def _backend_of(file: Path) -> Any:
    try:
        return json.loads(file.read_text()).get("backend", "tensorflow")
    # Keras too passes over a file that it cannot read.
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def register_when_imported(homes: Mapping[str, str]) -> None:
    """Let Keras load saved models of classes whose modules are not imported yet, and import neither now.

    Args:
        homes: the module of each class, by the name that Keras knows it by, `package>Class`.
    """
    registry = sys.modules.get(_REGISTRY)
    if registry is not None:
        _register(registry, homes)
        return

    def execute_and_register(execute: Callable[[], None], module: ModuleType) -> None:
        execute()
        _register(module, homes)

    imports.around(_REGISTRY, execute_and_register)


def _register(registry: ModuleType, homes: Mapping[str, str]) -> None:
    for name, module in homes.items():
        # What the class itself has registered stays.
        registry.GLOBAL_CUSTOM_OBJECTS.setdefault(name, _Later(module, name.rpartition(">")[2]))


class _Later:
    """Stands for a class in Keras' registry until it is asked for; the class then registers itself."""

    def __init__(self, module: str, name: str):
        self.module, self.__name__ = module, name

    def from_config(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the class makes of a saved configuration."""
        return getattr(importlib.import_module(self.module), self.__name__).from_config(*args, **kwargs)
