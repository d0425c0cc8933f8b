"""Writes the tables of all options into the page of the options, from `kvae/config/options.py` as it stands.

A hook of MkDocs, as `mkdocs.yml` names it. The file is read and not imported: nothing else need be installed.
"""

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page
from repository import ROOT

MARK = "<!-- all options -->"
_FILE = ROOT / "kvae" / "config" / "options.py"


class Option(NamedTuple):
    """An option as its field says it is: `kind` in Python's words, `default` as it is written."""

    name: str
    kind: str
    default: str
    meaning: str


def on_page_markdown(markdown: str, page: "Page", **_: object) -> str:
    """Return the page with the tables where the mark is."""
    return markdown.replace(MARK, tables()) if MARK in markdown else markdown


def tables() -> str:
    """Return a section of Markdown for each group of options."""
    return "\n".join(_section(*group) for group in groups())


def groups() -> Iterator[tuple[str, str, list[Option]]]:
    """Yield each group's name, what it says of itself, and its options, in the order of the file."""
    module = ast.parse(_FILE.read_text())
    # What an annotation may stand for there, such as Activation.
    names = {
        node.targets[0].id: node.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in module.body:
        if isinstance(node, ast.ClassDef) and (options := list(_options(node, names))):
            yield node.name, ast.get_docstring(node) or "", options


def _options(group: ast.ClassDef, names: dict[str, ast.expr]) -> Iterator[Option]:
    for field, text in zip(group.body, group.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.value:
            kind, default = _kind(field.annotation, names), ast.unparse(field.value)
            meaning = " ".join(ast.literal_eval(ast.unparse(text)).split())
            yield Option(field.target.id, kind, default, meaning)


def _kind(annotation: ast.expr, names: dict[str, ast.expr]) -> str:
    """Return a type in words: what stands beside it in Annotated left out, choices one by one."""
    if isinstance(annotation, ast.Name):
        return _kind(names[annotation.id], names) if annotation.id in names else annotation.id
    assert isinstance(annotation, ast.Subscript)
    inner = annotation.slice
    if ast.unparse(annotation.value) == "Annotated":
        assert isinstance(inner, ast.Tuple)
        return _kind(inner.elts[0], names)
    if ast.unparse(annotation.value) == "Literal":
        choices = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return ", ".join(ast.unparse(choice) for choice in choices)
    return ast.unparse(annotation)


def _section(name: str, meaning: str, options: list[Option]) -> str:
    title = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
    rows = [f"| `{o.name}` | `{o.kind}` | `{o.default}` | {_cell(o.meaning)} |" for o in options]
    head = ["| option | is | default | what |", "| --- | --- | --- | --- |"]
    return "\n".join([f"### {title}", "", meaning, "", *head, *rows, ""])


def _cell(text: str) -> str:
    """Return a text for a cell: nothing in it ends the cell, or is taken for HTML or emphasis."""
    return re.sub(r"([|<*])", r"\\\1", text)
