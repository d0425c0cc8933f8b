"""The site: every page is in its menu, what is generated is right, and it builds without a warning."""

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import kvae
from kvae.config import options as groups_of_options

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WITHIN = ["CHANGELOG.md", "CONTRIBUTING.md", "notebooks/tour.ipynb", "pretrained/README.md"]


class _Loader(yaml.SafeLoader):
    """As MkDocs reads it, without the environment."""


_Loader.add_constructor("!ENV", lambda loader, node: None)
CONFIG = yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)


@pytest.fixture
def hook(monkeypatch):
    """A hook's module, which finds the one beside it as it does when MkDocs loads it."""
    monkeypatch.syspath_prepend(DOCS / "hooks")
    yield importlib.import_module
    for path in (DOCS / "hooks").glob("*.py"):
        sys.modules.pop(path.stem, None)


def pages_in_menu(entries=CONFIG["nav"]):
    for entry in entries:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages_in_menu(target) if isinstance(target, list) else [target]


def test_every_page_is_in_the_menu_and_nothing_else_is(hook):
    page_of = hook("repository").page_of
    pages = [path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")]
    pages += [path.relative_to(ROOT).as_posix() for path in (ROOT / "results").rglob("*.md")]
    assert sorted(map(page_of, pages + WITHIN)) == sorted(pages_in_menu())


def test_a_newcomer_finds_the_beginning_first():
    assert list(pages_in_menu())[:2] == ["index.md", "start.md"]


def test_a_page_has_one_source_and_a_source_one_page(hook):
    repository = hook("repository")
    for page in pages_in_menu():
        source = repository.source_of(page)
        assert (ROOT / source).is_file()
        assert repository.page_of(source) == page


def test_all_options_are_written_down(hook):
    found = {name: (meaning, options) for name, meaning, options in hook("options").groups()}
    assert len(found) == 5
    for name, (meaning, options) in found.items():
        group = getattr(groups_of_options, name)
        assert meaning == group.__doc__
        own = [field for field in dataclasses.fields(group) if field.name in group.__annotations__]
        assert [option.name for option in options] == [field.name for field in own]
        for option, field in zip(options, own, strict=True):
            assert eval(option.default) == field.default
            assert option.meaning.endswith((".", ")"))
    names = [option.name for _, options in found.values() for option in options]
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(kvae.Config))


@pytest.mark.parametrize(
    "row",
    [
        "| `dim_z` | `int` | `4` | Dimension of the dynamics' state. |",
        "| `channels` | `'auto', 1, 3` | `'auto'` | 1: grey frames,",
        "| `activation` | `'relu', 'leaky_relu', 'tanh', 'elu'` | `'relu'` | Activation of",
        "| `num_filters` | `tuple[int, ...]` | `()` | Filters of each",
        r"| `use_vae` | `bool` | `True` | Draw codes from q(a\|x); False",
    ],
)
def test_a_row_says_what_a_field_says(hook, row):
    assert f"\n{row}" in hook("options").tables()


def test_the_page_of_the_options_has_the_mark(hook):
    options = hook("options")
    text = (DOCS / "options.md").read_text()
    assert text.count(options.MARK) == 1
    assert options.MARK not in options.on_page_markdown(text, page=None)
    assert options.on_page_markdown("another page", page=None) == "another page"


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("limits.md", "[a](how_it_works.md#b)", "[a](how_it_works.md#b)"),
        ("limits.md", "![a](../results/b.png)", "![a](results/b.png)"),
        ("api/kvae.md", "[a](../../CONTRIBUTING.md)", "[a](../contributing.md)"),
        ("results/box.md", "[a](../docs/limits.md)", "[a](../limits.md)"),
        ("changelog.md", "[a](CONTRIBUTING.md#b)", "[a](contributing.md#b)"),
        ("tour.md", "[a](../docs/limits.md)", "[a](limits.md)"),
        ("limits.md", "[a](../kvae/errors.py)", "[a](URL/blob/main/kvae/errors.py)"),
        ("limits.md", "[a](../kvae)", "[a](URL/tree/main/kvae)"),
        ("limits.md", "[a](https://b.c)", "[a](https://b.c)"),
        ("limits.md", "[a](not_there.md)", "[a](not_there.md)"),
    ],
)
def test_links_lead_to_pages_or_to_the_repository(hook, page, link, expected):
    there = {"how_it_works.md", "limits.md", "contributing.md", "results/b.png"}
    files = SimpleNamespace(get_file_from_path=lambda path: path in there)
    config = SimpleNamespace(repo_url="URL")
    found = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hook("links").on_page_markdown(link, found, config, files) == expected


def test_a_link_to_the_repository_is_text_where_no_address_is_known(hook):
    files = SimpleNamespace(get_file_from_path=lambda path: False)
    found = SimpleNamespace(file=SimpleNamespace(src_uri="limits.md"))
    config = SimpleNamespace(repo_url=None)
    markdown = "see [its file](../kvae/errors.py), or not"
    assert hook("links").on_page_markdown(markdown, found, config, files) == "see its file, or not"


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/someone/kvae.git", "https://github.com/someone/kvae"),
        ("git@github.com:someone/kvae.git", "https://github.com/someone/kvae"),
        ("/srv/kvae.git", ""),
        ("https://someone:secret@github.com/someone/kvae", ""),
        ("", ""),
    ],
)
def test_the_repository_is_where_git_says(hook, monkeypatch, remote, expected):
    repository = hook("repository")
    monkeypatch.delenv("REPOSITORY_URL", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=f"{remote}\n"))
    assert repository.url() == expected
    monkeypatch.setenv("REPOSITORY_URL", "https://example.org/kvae/")
    assert repository.url() == "https://example.org/kvae"


def test_formulas_are_drawn(hook):
    pytest.importorskip("ziamath", reason='needs pip install -e ".[docs]"')
    content = (
        'so <span class="arithmatex">\\(a_t &lt; 1\\)</span>, <div class="arithmatex">\\[\\sum_k\\]</div>'
    )
    found = hook("formulas").on_page_content(content)
    assert re.findall(r'aria-label="(.*?)"', found) == ["a_t &lt; 1", r"\sum_k"]
    assert found.startswith('so <span class="formula"><svg ')
    assert found.count("<path") >= 4
    # Of the colour of the text, in light and in dark.
    assert "currentColor" in found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for name in ("mkdocs", "material", "mkdocstrings_handlers", "nbconvert", "ziamath"):
        pytest.importorskip(name, reason='needs pip install -e ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.findall(r"^(?:WARNING|ERROR).*$", done.stderr, re.M)
    return folder


def test_it_fetches_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="?https?:', text), path
        assert not re.findall(r'<link[^>]*rel="?(?:stylesheet|preconnect)[^>]*href="?https?:', text), path


def test_what_is_public_is_in_the_reference_with_its_example(site):
    text = "".join(path.read_text() for path in (site / "api").rglob("*.html"))
    names = set(kvae.__all__) - {"data", "kalman", "masks"}
    assert [name for name in names if f'id="kvae.{name}"' not in text] == []
    for module in ("kvae.data.Dataset", "kvae.kalman.filter", "kvae.masks.planning_mask"):
        assert f'id="{module}"' in text
    # Drawn as code, not as a quotation.
    assert text.count('<span class="gp">&gt;&gt;&gt; </span>') > 50
    assert "<blockquote>" not in text


def test_all_options_are_on_their_page(site):
    text = (site / "options" / "index.html").read_text()
    for field in dataclasses.fields(kvae.Config):
        assert f"<td><code>{field.name}</code></td>" in text


def test_formulas_and_pictures_are_there(site):
    text = (site / "how_it_works" / "index.html").read_text()
    assert text.count("<svg") > 40
    assert "$" not in re.sub(r"<(script|style|code)\b.*?</\1>|<[^>]*>", "", text, flags=re.S)
    for path in site.rglob("*.html"):
        for source in re.findall(r'<img[^>]*src="?([^">\s]+)', path.read_text()):
            assert source.startswith("data:") or (path.parent / source).exists(), (path, source)
