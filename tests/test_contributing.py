"""What CONTRIBUTING, the pages, the Makefile, CI and the configuration say of the same thing is the same."""

import importlib.metadata
import itertools
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci" / "run").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
(ROOMS,) = (c["layers"] for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["id"] == "rooms")
# Whatever room stands in one of them, for which no order is asked.
LAYERS = [[name.strip() for name in re.split(r"[|:]", layer)] for layer in ROOMS]


def commands(text):
    """The indented commands of a page, without what is said beside them."""
    return [line.split("  #")[0].strip() for line in re.findall(r"^    (\S.*)$", text, re.M)]


def test_the_default_suite_is_one_command():
    """With --durations beside it, which only tells more."""
    (suite,) = (line for line in commands(CONTRIBUTING) if "pytest -n" in line)
    arguments = shlex.split(suite)[1:]
    # Said once: a page that says it too says the same.
    assert all(line == suite for page in PAGES.values() for line in commands(page) if "pytest -n" in line)
    for text, python in ((CI, "python"), (MAKEFILE, "$(PYTHON)")):
        (line,) = (line for line in text.splitlines() if "pytest -n" in line)
        assert [word for word in line.split() if "--durations" not in word] == [python, *arguments]


def test_the_slow_suite_has_a_command_and_a_mark():
    assert "python -m pytest -m slow" in commands(CONTRIBUTING)
    slow = [line for page in PAGES.values() for line in commands(page) if "pytest -m slow" in line]
    assert all(line.startswith("python -m pytest -m slow") for line in slow)
    options = PYPROJECT["tool"]["pytest"]["ini_options"]
    assert [mark.split(":")[0] for mark in options["markers"]] == ["slow"]
    assert "-m 'not slow'" in options["addopts"]


def test_ci_installs_and_runs_what_contributors_are_told_to():
    (install,) = (line for line in commands(CONTRIBUTING) if line.startswith("pip install"))
    assert "test" in Requirement(f"here{shlex.split(install)[-1][1:]}").extras
    (in_ci,) = (line for line in CI.splitlines() if line.startswith("pip install"))
    assert in_ci.replace(" --quiet", "") == install
    targets = set(re.findall(r"^(\w[\w-]*):", MAKEFILE, re.M))
    words = [word for line in commands(CONTRIBUTING) if line.startswith("make") for word in line.split()[1:]]
    named = {word for word in words if "=" not in word}
    assert named <= targets
    assert set(re.findall(r"^make (\S+)$", CI, re.M)) <= named
    assert set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)[1].split()) == targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", ".ci/run", "docs"])
def test_extras_that_are_named_are_there(page):
    path = ROOT / page
    text = "".join(p.read_text() for p in path.rglob("*.md")) if path.is_dir() else path.read_text()
    for names in re.findall(r'(?:-e "\.|"kalman-vae)\[([^]]*)\]"', text):
        assert set(names.split(",")) <= set(EXTRAS)


def test_rooms_are_the_folders_and_the_table():
    in_layers = {room for layer in LAYERS for room in layer}
    there = {path.stem for path in (ROOT / "kvae").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert in_layers == there - {"__init__", "__pycache__", "py"}
    table = re.findall(r"^\| (`.*?`) \|", CONTRIBUTING, re.M)
    rows = [
        [name.removesuffix("/").removesuffix(".py") for name in re.findall(r"`(\S+?)`", row)] for row in table
    ]
    assert rows.pop() == ["run_kvae"]
    rank = {room: -number for number, layer in enumerate(LAYERS) for room in layer}
    assert {room for row in rows for room in row} == in_layers
    # From those that all may import to those that none may.
    ranks = [[rank[room] for room in row] for row in rows]
    assert all(max(above) <= min(below) for above, below in itertools.pairwise(ranks))


def test_versions_that_run_here_are_those_that_are_asked_for():
    python = SpecifierSet(PYPROJECT["project"]["requires-python"])
    classified = [c.split()[-1] for c in PYPROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    for page in (README, PAGES[ROOT / "docs" / "start.md"]):
        (said,) = re.findall(r"^Python (3\.\d+), (3\.\d+) or (3\.\d+),", page, re.M)
        assert [*said] == classified
    assert re.findall(r'"(3\.\d+)"', WORKFLOW) == classified
    for version in ("3.10", "3.11", "3.12", "3.13", "3.14"):
        assert (Version(version) in python) == (version in classified)
    runtime = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
    wanted = runtime + [Requirement(text) for text in EXTRAS["test"]]
    for requirement in [*runtime, *(Requirement(text) for texts in EXTRAS.values() for text in texts)]:
        # Bounded from above: what comes later was not tried.
        assert any(part.operator in ("<", "==") for part in requirement.specifier), requirement
    for requirement in wanted:
        found = importlib.metadata.version(requirement.name)
        assert requirement.specifier.contains(found, prereleases=True), requirement


def test_one_command_sets_up_the_repository():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-e .[test]"]
    names = {Requirement(text).name for text in PYPROJECT["project"]["dependencies"]}
    assert not names & {Requirement(text).name for text in EXTRAS["test"]}


def test_linters_have_one_version_each():
    pinned = re.findall(r"^(\w+) \?= (\S+)==(\S+)$", MAKEFILE, re.M)
    assert [name for name, *_ in pinned] == ["RUFF", "MYPY", "IMPORT_LINTER"]
    workflows = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    for text in (CI, CONTRIBUTING, *PAGES.values(), *workflows):
        assert not re.search(r"(ruff|mypy|import-linter)==", text)
