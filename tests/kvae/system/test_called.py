import sys
from types import ModuleType, SimpleNamespace

import pytest

from kvae.system import called

COMMANDS = ["train", "apply", "explore", "generate"]
IN_REPOSITORY = [
    "python run_kvae.py",
    "python -m kvae.apply",
    "python -m kvae.explore",
    "python -m simulation.generate",
]


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As in site-packages, where run_kvae.py is not beside the package."""
    monkeypatch.setattr(called, "_ROOT", tmp_path)


def test_in_the_repository_commands_are_files_and_modules():
    assert [called.command(name) for name in COMMANDS] == IN_REPOSITORY
    assert called.install("explore") == 'pip install -e ".[explore]"'


def test_what_is_installed_names_no_file_of_the_repository(installed):
    expected = ["kvae train", *IN_REPOSITORY[1:3], "kvae generate"]
    assert [called.command(name) for name in COMMANDS] == expected
    assert called.install("explore") == 'pip install "kalman-vae[explore]"'


@pytest.mark.parametrize("path", ["/usr/bin/kvae", "kvae", "kvae.exe"])
def test_who_typed_kvae_reads_kvae(path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [path, "train"])
    assert [called.command(name) for name in COMMANDS] == [f"kvae {name}" for name in COMMANDS]


def test_who_typed_the_module_reads_the_module(monkeypatch):
    main = ModuleType("__main__")
    main.__spec__ = SimpleNamespace(name="kvae.__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert called.command("train") == "python -m kvae train"


def test_a_program_that_embeds_python_has_no_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", [])
    assert called.command("train") == "python run_kvae.py"
