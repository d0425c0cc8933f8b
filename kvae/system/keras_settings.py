"""Keras before it is imported: its backend, and where it finds our classes. Imports neither."""

import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from kvae.errors import UserError

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
    else:
        sys.meta_path.insert(0, _AfterImport(homes))


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


class _AfterImport(importlib.abc.MetaPathFinder):
    """Registers once Keras' registry is imported: finds nothing itself, adds a step to what is found."""

    def __init__(self, homes: Mapping[str, str]):
        self.homes = homes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None but for that module."""
        if fullname != _REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(module, self.homes)

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
