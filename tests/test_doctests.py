"""The examples in docstrings run, and what users call has one."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import kvae
import simulation

pytestmark = pytest.mark.filterwarnings("ignore:Even though the .* option is set")
ROOT = Path(__file__).parent.parent
PACKAGES = (kvae, simulation)


def _file(module):
    name = module.name.split(".")[-1]
    return (name, "__init__.py") if module.ispkg else (f"{name}.py",)


MODULES = [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith("__main__")
    and ">>>" in Path(module.module_finder.path, *_file(module)).read_text()
]
EXTRAS = ("gradio",)
METHODS = "compile elbo encode decode reconstruct infer filter smooth impute generate sample export".split()


def _examples(module):
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        pytest.skip(f"{module} needs {error.name}, which is not installed")
    return [test for test in doctest.DocTestFinder().find(found) if test.examples]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, monkeypatch, request):
    monkeypatch.chdir(ROOT)
    # What is traced takes most of the time. The export is of what is traced.
    if module.startswith(("kvae.models", "kvae.training")):
        request.getfixturevalue("eagerly")
    runner, said = doctest.DocTestRunner(), []
    for test in _examples(module):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
    assert runner.tries > 0


def _has_example(item):
    """Whether a docstring has an example, or names what has one."""
    named = re.search(r"Example: see `(?:kvae\.)?(\w+)`", item.__doc__)
    if not named:
        return ">>>" in item.__doc__
    other = getattr(kvae, named[1])
    return other is not item and ">>>" in other.__doc__


def test_what_users_call_has_an_example():
    public = [item for name in kvae.__all__ if not inspect.ismodule(item := getattr(kvae, name))]
    public += [getattr(kvae.KVAE, name) for name in METHODS] + [kvae.Tracker.update]
    assert [item.__qualname__ for item in public if not _has_example(item)] == []
