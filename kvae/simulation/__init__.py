"""The simulated worlds, by the name that they have where kvae is installed.

In the repository `simulation` stands beside this package, and this file leads there; an installed package has
that folder in the place of this one, see `package-dir` in pyproject.toml. So `kvae.simulation` is right in
both, and nothing is ever loaded twice: a world that is registered by one name is known by the other.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation import *  # noqa: F403

_ROOT = Path(__file__).resolve().parents[2]


class _Beside(MetaPathFinder, Loader):
    """Finds `kvae.simulation.worlds`, and all else in there, where `simulation.worlds` is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_loader(name, self) if name.startswith(f"{__name__}.") else None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = _beside(module.__name__)


def _beside(name: str) -> ModuleType:
    return importlib.import_module(name.removeprefix("kvae."))


def _whole() -> ModuleType:
    """Return the package `simulation`, or raise ImportError where another one has its name."""
    # After pip install -e . the repository need not be where Python looks. Last there: much else is in it.
    if not any(Path(folder).resolve() == _ROOT for folder in sys.path):
        sys.path.append(str(_ROOT))
    found = _beside(__name__)
    if _ROOT not in Path(found.__file__ or "").resolve().parents:
        raise ImportError(
            f"{found.__file__} has the name of this program's simulation: uninstall that one, work in "
            f"{_ROOT}, or install this program without -e"
        )
    return found


sys.modules[__name__] = _whole()
sys.meta_path.insert(0, _Beside())
