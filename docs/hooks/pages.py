"""Adds to the site what lies elsewhere in the repository: results, trained models, the tour, the changelog.

A hook of MkDocs, as `mkdocs.yml` names it. What is there twice, on GitHub and on the site, is one file.
"""

import nbconvert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from repository import ROOT, page_of

_COPIED = ("CHANGELOG.md", "CONTRIBUTING.md", "pretrained/README.md")
_SHOWN = (".md", ".png", ".gif", ".txt")
"""Of results/: pages and what they show. Numbers of runs stay in the repository."""
_TOUR = "notebooks/tour.ipynb"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures to those of docs/."""
    results = sorted((ROOT / "results").rglob("*"))
    copied = [ROOT / name for name in _COPIED] + [path for path in results if path.suffix in _SHOWN]
    for path in copied:
        page = page_of(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, page, abs_src_path=str(path)))
    for page, content in _tour().items():
        files.append(File.generated(config, page, content=content))
    return files


def _tour() -> dict[str, str | bytes]:
    """Return the notebook as a page, and its pictures."""
    page = page_of(_TOUR)
    folder = page.removesuffix(".md") + "_pictures"
    markdown, extracted = nbconvert.MarkdownExporter().from_filename(
        ROOT / _TOUR, resources={"output_files_dir": folder}
    )
    return {page: markdown, **extracted["outputs"]}
