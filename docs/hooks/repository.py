"""Which file of the repository is which page of the site, and where the repository is."""

import os
import posixpath
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

_ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "notebooks/tour.ipynb": "tour.md",
}
"""Pages that lie neither in docs/ nor where the site has them."""


def page_of(path: str) -> str:
    """Return the path within the site's pages of a file, whose path is from the repository's root."""
    # A README would be the first page of its whole section of the menu.
    return _ELSEWHERE.get(path) or re.sub("/README.md$", ".md", path).removeprefix("docs/")


def source_of(page: str) -> str:
    """Return the path from the repository's root of a page, the inverse of `page_of`."""
    if found := next((path for path, known in _ELSEWHERE.items() if known == page), None):
        return found
    candidates = (f"docs/{page}", f"{page.removesuffix('.md')}/README.md")
    return next((path for path in candidates if (ROOT / path).exists()), page)


def joined(source: str, link: str) -> str:
    """Return the path from the repository's root that a relative link in a file leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def url() -> str:
    """Return the repository's address, REPOSITORY_URL or that of git's remote `origin`, or nothing."""
    if found := os.environ.get("REPOSITORY_URL"):
        return found.rstrip("/")
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    address = done.stdout.strip().removesuffix(".git")
    if address.startswith("git@"):
        address = "https://" + address.removeprefix("git@").replace(":", "/", 1)
    # A folder, or a machine of one's own, is no address for others; nor is what stands before an @ for them.
    return address if address.startswith("https://") and "@" not in address else ""
