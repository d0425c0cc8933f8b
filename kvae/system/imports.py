"""A step around the import of a module of somebody else's, which is not imported here and may never be."""

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def around(name: str, step: Callable[[Callable[[], None], ModuleType], None]) -> None:
    """Do something around the import of a module, once it is imported.

    Args:
        name: the module, which must not have been imported yet.
        step: called with what runs the module's code, which it must call, and with the module.
    """
    sys.meta_path.insert(0, _Around(name, step))


class _Around(importlib.abc.MetaPathFinder):
    """Finds nothing itself: adds a step to what others find."""

    def __init__(self, name: str, step: Callable[[Callable[[], None], ModuleType], None]):
        self.name, self.step = name, step

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None but for that module."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module
        step = self.step
        spec.loader.exec_module = lambda module: step(  # type: ignore[method-assign]
            lambda: execute(module), module
        )
        return spec
