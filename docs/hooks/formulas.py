"""Draws the formulas of a page as SVG, when the site is built: no script, no font, nothing from elsewhere.

A hook of MkDocs, as `mkdocs.yml` names it.
"""

import html
import re
from xml.etree import ElementTree

import ziamath

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
_SIZE = 16.0
"""Of a letter, in the units of a drawing."""

# Shapes where they stand: many formulas are on a page, and names of shapes would be there twice.
ziamath.config.svg2 = False


def on_page_content(content: str, **_: object) -> str:
    """Return the page's HTML with drawings in the place of LaTeX."""
    return _FORMULA.sub(_drawn, content)


def _drawn(found: re.Match) -> str:
    """Return a formula as large as the text around it, on its line; a screen reader says its LaTeX."""
    latex, is_inline = html.unescape(found["latex"]).strip(), found["tag"] == "span"
    drawing = ziamath.Latex(latex, size=_SIZE, color="currentColor", inline=is_inline).svgxml()
    _, top, width, height = (float(number) / _SIZE for number in drawing.attrib["viewBox"].split())
    drawing.attrib.update(
        {
            "width": f"{width:.3f}em",
            "height": f"{height:.3f}em",
            # The letters stand at 0.
            "style": f"vertical-align: {-(top + height):.3f}em",
            "role": "img",
            "aria-label": latex,
        }
    )
    tag, svg = found["tag"], ElementTree.tostring(drawing, encoding="unicode")
    return f'<{tag} class="formula">{svg}</{tag}>'
