"""The README is short, what it says runs, and PyPI can show it."""

import importlib
import re
import sys
from pathlib import Path

import imageio.v3 as imageio
import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
# Of a release, whose links are absolute already, the address that they have.
REPOSITORY = next(iter(re.findall(r"\]\((https://\S+)/raw/main/", README)), "https://github.com/someone/kvae")


@pytest.fixture
def absolute(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "hooks")
    yield importlib.import_module("absolute_links")
    sys.modules.pop("absolute_links")


def test_it_is_one_screen_or_two():
    assert len(README.encode()) <= 8 * 1024


def test_the_example_is_short_and_fills_a_gap(tmp_path, monkeypatch, capsys):
    assert sum(bool(line.strip()) for line in EXAMPLE.splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLE, "README.md", "exec"), {})
    wrong = float(capsys.readouterr().out.split("%")[0])
    # Of twelve hidden frames, 1,000 sequences: 0.0034 (results/more_data/box.md); without the ball 0.03.
    assert 0.05 < wrong < 1
    assert imageio.imread("filled.gif").shape == (20, 4 * 32, 2 * 32, 3)


def test_it_names_the_two_commands_of_the_repository():
    commands = re.findall(r"^    (python .*?)(?:  .*)?$", README, re.M)
    assert any(command.startswith("python run_kvae.py --dataset box_gravity") for command in commands)
    assert any(command.startswith("python -m simulation.generate") for command in commands)
    assert "tensorboard --logdir logs" in README


def test_its_table_is_that_of_the_results():
    of_box = README.split("\n## Results")[1].split("\nOn other people's data")[0]
    rows = dict(re.findall(r"^\| (.*?) \| (0\..*?) \|$", of_box, re.M))
    made = (ROOT / "results" / "reproduce" / "box.md").read_text().split("\n## ")[1]
    kept = dict(re.findall(r"^\| (.*?) \| (0\..*?) \|$", re.sub(r" \([\d.]+\)", "", made), re.M))
    names = {
        "**sampling**": "**KVAE, posterior sampling**",
        "**smoothing**": "**KVAE, smoothing**",
        "**filtering**": "**KVAE, filtering**",
        "the paper's smoothing": "paper: KVAE, smoothing",
        "last frame seen": "**last frame seen**",
        "a perfect observer": "perfect observer",
    }
    assert rows == {name: kept[theirs] for name, theirs in names.items()}


def test_its_table_of_other_peoples_data_is_that_of_the_results():
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \|$", README.split("\nOn other people's data")[1], re.M)
    made = (ROOT / "results" / "peers" / "cru.md").read_text()
    kept = re.findall(r"^\| ([^|]+?) (?:\\\*)?(?:, [^|]+)?\| ([\d.]+)", made, re.M)
    assert len(rows) == 5
    for name, error in rows:
        words = name.removesuffix(", the best that is published")
        assert [value for of, value in kept if of.startswith(words)] == [error]


def test_its_links_become_absolute(absolute):
    found = re.findall(r"\]\(([^)]+)\)", absolute.absolute(README, "README.md", REPOSITORY))
    assert len(found) > 20
    assert [target for target in found if not target.startswith("https://")] == []
    ours = [target.removeprefix(f"{REPOSITORY}/") for target in found if target.startswith(REPOSITORY)]
    assert "actions/workflows/ci.yml/badge.svg" in ours
    assert "raw/main/results/box/filling.gif" in ours
    for target in ours:
        kind, _, path = target.split("#")[0].partition("/main/")
        if kind in ("raw", "blob"):
            assert (ROOT / path).exists(), target
        else:
            assert (
                ROOT / ".github" / Path(target.removeprefix("actions/").removesuffix("/badge.svg"))
            ).exists()


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](b.md#c)", f"[a]({REPOSITORY}/blob/main/docs/b.md#c)"),
        ("![a](../results/b.png)", f"![a]({REPOSITORY}/raw/main/results/b.png)"),
        ("[a](https://b.c/d)", "[a](https://b.c/d)"),
        ("[a](#c)", "[a](#c)"),
    ],
)
def test_a_link_is_seen_from_its_page(absolute, link, expected):
    assert absolute.absolute(link, "docs/page.md", REPOSITORY) == expected


@pytest.mark.parametrize("arguments", [[], ["README.md"], ["README.md", "kvae"], ["a", "b", "c"]])
def test_without_an_address_nothing_is_written(absolute, arguments, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert absolute.main(arguments) == 2
    assert "https://github.com/NAME/REPOSITORY" in capsys.readouterr().err
    assert (ROOT / "README.md").read_text() == README


def test_a_page_is_rewritten(absolute, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("[a](b.md)\n")
    assert absolute.main(["README.md", f"{REPOSITORY}/"]) == 0
    assert (tmp_path / "README.md").read_text() == f"[a]({REPOSITORY}/blob/main/b.md)\n"
