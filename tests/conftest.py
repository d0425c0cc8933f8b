"""What the whole suite runs under; read before any test imports TensorFlow."""

import contextlib
import gc
import importlib
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


@contextlib.contextmanager
def _nothing_is_traced():
    import tensorflow as tf

    scans = importlib.import_module("kvae.inference.scan")
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        # It traces the step of each loop. It is tested in tests/kvae/inference, and in all that is traced.
        patch.setattr(scans, "_check_captures", lambda *arguments: None)
        yield
    # A test may be asked for it within a module that is.
    tf.config.run_functions_eagerly(before)


@pytest.fixture
def eagerly():
    """Run without tracing, which takes most of the time; what is computed is the same."""
    with _nothing_is_traced():
        yield


@pytest.fixture(scope="module")
def module_eagerly():
    """As `eagerly`, for a whole module."""
    with _nothing_is_traced():
        yield


@pytest.fixture
def without_xla(monkeypatch):
    """Leave the likelihood of the codes to TensorFlow: what XLA makes of it has tests of its own."""
    import tensorflow as tf

    from kvae.models.lgssm import MixtureStateSpaceModel

    compiled = MixtureStateSpaceModel._value_and_gradients
    plain = tf.function(compiled.python_function, autograph=False)
    monkeypatch.setattr(MixtureStateSpaceModel, "_value_and_gradients", plain)


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_looked_at_twice():
    """What a module leaves is left out of later garbage collections."""
    yield
    # TensorFlow keeps graphs with custom gradients for ever: every full collection would go through them all.
    gc.collect()
    gc.freeze()
