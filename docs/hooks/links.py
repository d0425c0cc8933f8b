"""Leads the links of a page, written for GitHub, to pages of the site, or to files of the repository.

A hook of MkDocs, as `mkdocs.yml` names it.
"""

import posixpath
import re
from typing import TYPE_CHECKING

import repository

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

LINK = re.compile(r"(?P<text>!?\[[^\]]*\])\((?P<path>[^)#\s:]+)(?P<anchor>#[^)]*)?\)")
"""A link to a file beside the page: a relative path, which has no colon."""


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Name the repository, where its address is known."""
    config.repo_url = repository.url() or None
    return config


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Return the page with links that lead somewhere."""
    source = repository.source_of(page.file.src_uri)

    def led(link: re.Match) -> str:
        path = repository.joined(source, link["path"])
        target, anchor = repository.page_of(path), link["anchor"] or ""
        if files.get_file_from_path(target):
            start = posixpath.dirname(page.file.src_uri)
            return f"{link['text']}({posixpath.relpath(target, start)}{anchor})"
        if (repository.ROOT / path).exists():
            return in_repository(link, path, config.repo_url)
        # As it stands, for MkDocs to name.
        return link[0]

    return LINK.sub(led, markdown)


def in_repository(link: re.Match, path: str, url: str | None) -> str:
    """Return a link to what no page shows, or its text where nobody knows the repository's address."""
    if not url:
        return link["text"].removeprefix("[").removesuffix("]")
    kind = "tree" if (repository.ROOT / path).is_dir() else "blob"
    return f"{link['text']}({url}/{kind}/main/{path}{link['anchor'] or ''})"
