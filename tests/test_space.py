"""What makes Explore a Hugging Face Space."""

import re
import runpy
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kvae.explore import __main__ as explore

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_it_is_imported_without_a_server_and_serves_as_a_program(monkeypatch):
    done = []

    class Page:
        def block_thread(self):
            done.append("waits")

    monkeypatch.setattr(explore, "serve", lambda *given: done.append(given) or Page())
    path = str(ROOT / "space" / "app.py")
    runpy.run_path(path, run_name="app")
    assert done == []
    runpy.run_path(path, run_name="__main__")
    assert done == [("box",), "waits"]


def test_it_asks_for_what_the_page_needs():
    (line,) = (ROOT / "space" / "requirements.txt").read_text().split()
    requirement = Requirement(line)
    assert requirement.name == PROJECT["name"]
    assert requirement.extras == {"explore"}


def test_its_front_matter_is_right():
    (block,) = re.findall(
        r"^```yaml\n---\n(.*?)---\n```", (ROOT / "docs" / "explore.md").read_text(), re.M | re.S
    )
    found = yaml.safe_load(block)
    assert (ROOT / "space" / found["app_file"]).is_file()
    assert found["sdk"] == "gradio"
    (gradio,) = map(Requirement, PROJECT["optional-dependencies"]["explore"])
    assert found["sdk_version"] in gradio.specifier
    assert found["python_version"] in SpecifierSet(PROJECT["requires-python"])
    assert found["license"].upper() == PROJECT["license"]
