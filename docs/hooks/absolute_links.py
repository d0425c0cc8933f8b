"""Makes the relative links of a page absolute, for where it is shown without the files beside it, as on PyPI.

    python docs/hooks/absolute_links.py README.md https://github.com/NAME/REPOSITORY

In the repository they are relative, so that they lead somewhere in a clone and in a fork too.
"""

import posixpath
import re
import sys
from pathlib import Path

_LINK = re.compile(r"\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)]*)?\)")
_PICTURES = (".png", ".gif", ".svg")
_SUCH_AS = "https://github.com/NAME/REPOSITORY"


def absolute(markdown: str, page: str, url: str) -> str:
    """Return a page with absolute links: pictures as they are, else what GitHub shows of a file.

    Args:
        markdown: the page.
        page: its path from the repository's root.
        url: the repository's address.

    Raises:
        ValueError: that is no address of a repository.
    """
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2}", url):
        raise ValueError(f"The repository's address is needed, {_SUCH_AS}. Received: {url!r}")

    def led(link: re.Match) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["path"]))
        # GitHub's own pages lie above the files: ../../actions is /NAME/REPOSITORY/actions.
        if path.startswith("../../"):
            return f"]({url}/{path.removeprefix('../../')})"
        kind = "raw" if path.endswith(_PICTURES) else "blob"
        return f"]({url}/{kind}/main/{path}{link['anchor'] or ''})"

    return _LINK.sub(led, markdown)


def main(arguments: list[str]) -> int:
    """Rewrite a page in place; 2 where the arguments are none."""
    if len(arguments) != 2:
        print(f"A page and the repository's address are needed, URL={_SUCH_AS}", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        path.write_text(absolute(path.read_text(), arguments[0], arguments[1].rstrip("/")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
