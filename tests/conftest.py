"""What the whole suite runs under; read before any test imports TensorFlow."""

import os
import sys

import pytest
from hypothesis import settings

# `make test-xla` sets it to nothing, for the part of the suite that runs at the level that users get.
# Most of the suite's time goes into compiling small models, each used for a moment. Half of XLA's is spent on
# making fast what it compiles. Processes that a test starts inherit this.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# What is compiled for the first time takes seconds, and a test that failed is to fail again.
settings.register_profile("suite", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _nobody_is_trusted(monkeypatch):
    """Modules that a test trusts are gone after it, as its folder is, and no process imports them."""
    from simulation.worlds import registry

    trusted = set()
    monkeypatch.setattr(registry, "_trusted", trusted)
    yield
    for name in trusted:
        sys.modules.pop(name, None)
