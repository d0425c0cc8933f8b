"""What is published: of which folders, under which names, from which lists."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import kvae
import simulation

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, SETUPTOOLS = PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]
CITATION = (ROOT / "CITATION.cff").read_text()
MANIFEST = (ROOT / "MANIFEST.in").read_text()


def folder_of(package):
    """The folder of a package, as setuptools finds it."""
    for home, folder in SETUPTOOLS["package-dir"].items():
        if package == home or package.startswith(f"{home}."):
            return ROOT.joinpath(folder, *package.removeprefix(home).split(".")[1:])
    return ROOT.joinpath(*package.split("."))


def test_all_packages_are_installed_and_no_other():
    of_kvae = {path.parent for path in (ROOT / "kvae").rglob("*.py")} - {ROOT / "kvae" / "simulation"}
    of_simulation = {path.parent for path in (ROOT / "simulation").rglob("*.py")}
    folders = [folder_of(package) for package in SETUPTOOLS["packages"]]
    assert sorted(folders) == sorted({*of_kvae, *of_simulation, ROOT / "pretrained"})


def test_what_is_no_code_is_installed_too():
    patterns = {folder_of(package): names for package, names in SETUPTOOLS["package-data"].items()}
    named = {path for folder, names in patterns.items() for name in names for path in folder.glob(name)}
    there = {
        path
        for folder in ("kvae", "simulation", "pretrained")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path != ROOT / "pretrained" / "README.md"
    }
    assert named == there


def test_all_that_is_kept_is_in_the_sources():
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository")
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    grafted = tuple(f"{folder}/" for folder in re.findall(r"^graft (\S+)$", MANIFEST, re.M))
    named = {name for line in re.findall(r"^include (.*)$", MANIFEST, re.M) for name in line.split()}
    # What setuptools takes by itself.
    named |= {"LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
    left_out = {path for path in kept.split("\n") if path and not path.startswith(grafted)} - named
    assert left_out == {".gitignore"}


def test_the_version_is_one():
    assert SETUPTOOLS["dynamic"]["version"] == {"attr": "kvae.__version__"}
    assert f"version: {kvae.__version__}\n" in CITATION
    assert f"\n## {kvae.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_authors_and_licence_are_those_of_the_citation():
    names = re.search(r"^authors:\n((?:  .*\n)+)", CITATION, re.M)[1]
    assert re.findall(r'name: "(.*)"', names) == [author["name"] for author in PROJECT["authors"]]
    assert f"license: {PROJECT['license']}\n" in CITATION


def test_the_command_is_the_program():
    module, _, name = PROJECT["scripts"]["kvae"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_the_simulation_is_one_by_both_names():
    from kvae.simulation import make_world
    from kvae.simulation.worlds import registry
    from simulation.worlds import registry as same

    assert registry is same
    assert make_world is simulation.make_world
    assert importlib.import_module("kvae.simulation") is simulation
    assert simulation.worlds.box is importlib.import_module("kvae.simulation.worlds.box")


@pytest.fixture
def elsewhere(tmp_path):
    """Runs code in a folder from which Python finds `kvae` alone, as after pip install -e ."""
    (tmp_path / "kvae").symlink_to(ROOT / "kvae")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(code):
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_simulation_is_found_from_any_folder(elsewhere):
    done = elsewhere("from kvae.simulation.worlds import world_names; print(*world_names())")
    assert done.stdout.split() == ["box", "box_gravity", "polygon", "pong", "pendulum", "swinging_line"]


def test_another_simulation_is_not_taken_for_it(elsewhere, tmp_path):
    (tmp_path / "simulation.py").touch()
    done = elsewhere("import kvae.simulation")
    assert f"{tmp_path / 'simulation.py'} has the name of this program's simulation" in done.stderr
