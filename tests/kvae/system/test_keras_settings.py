import json
import os
import subprocess
import sys

import pytest

from kvae.system import keras_settings
from kvae.system.keras_settings import BackendError, check_backend


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )


@pytest.fixture
def not_imported(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "keras.src.backend.config", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def test_another_backend_is_refused_wherever_it_is_set(not_imported, monkeypatch):
    check_backend()
    for passed_over in ("", "no json", "[]", json.dumps({"backend": "tensorflow"})):
        not_imported.write_text(passed_over)
        check_backend()
    not_imported.write_text(json.dumps({"backend": "torch"}))
    with pytest.raises(BackendError, match=r"tensorflow alone. Received: torch, from .*keras\.json"):
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(BackendError, match="Received: jax, from the variable KERAS_BACKEND"):
        check_backend()


def test_importing_kvae_imports_neither_and_refuses_a_backend_before_it_does():
    code = """if True:
        import sys, kvae
        for name in ("KVAE", "load"):
            try: getattr(kvae, name)
            except ValueError as error: print(error)
        try: import kvae.models.rivals
        except ValueError as error: print(error)
        print("keras" in sys.modules, "tensorflow" in sys.modules)"""
    done = run(code, KERAS_BACKEND="jax")
    *messages, loaded = done.stdout.splitlines()
    assert len(messages) == 3
    assert all("Set KERAS_BACKEND=tensorflow" in message for message in messages)
    assert loaded == "False False", done.stderr


@pytest.mark.parametrize("order", ["import kvae, keras", "import keras, kvae"])
def test_keras_loads_a_saved_model_once_kvae_is_imported(order):
    code = f"{order}\nprint(keras.models.load_model('pretrained/box/model.keras').config.K)"
    done = run(code, KERAS_BACKEND="tensorflow")
    assert done.stdout.split() == ["9"], done.stderr


def test_what_a_class_registered_itself_stays():
    import keras

    from kvae.models.kvae import KVAE

    keras_settings.register_when_imported({"kvae>KVAE": "nowhere"})
    assert keras.saving.get_registered_object("kvae>KVAE") is KVAE
