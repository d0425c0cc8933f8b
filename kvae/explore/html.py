"""Frames and plots as HTML: a strip that can be clicked and, above it, screens that play it."""

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from kvae.explore.figures import CLOUD, INK, PAPER
from kvae.plots.films import BLANK_COLOUR
from kvae.plots.look import GREY

_COLOURS = {
    **{CLOUD: "cloud", INK: "ink", "#000000": "ink", PAPER: "paper"},
    **{GREY: "line", "#EBEBEB": "grid"},
}
"""Colours of plots that page.css has others for where the page is dark, by its names of them."""


class Row(NamedTuple):
    """One row of a strip.

    Attributes:
        label: what it shows.
        frames: [T, H, W] or [T, H, W, 3] in [0, 1]; rows may end before others do.
        bordered: [T] bool, True where a frame has the border of hidden ones.
        colour: of the row in the other pictures, in CSS; empty: it is not in them.
        blank: show nothing at bordered frames.
    """

    label: str
    frames: np.ndarray
    bordered: np.ndarray
    colour: str = ""
    blank: bool = False


def film(rows: Sequence[Row], clickable: str = "", query: str = "") -> str:
    """Lay out rows of frames as a strip, and a screen for each that page.js plays.

    Args:
        rows: the rows; what is longer than the first is imagined from there on.
        clickable: label of the row whose frames are buttons; a click on any frame of the strip counts.
        query: what the page's address is to end in, which page.js sees to.
    """
    num_seen, num_steps = len(rows[0].frames), max(len(row.frames) for row in rows)
    screens = "".join(
        f'<figure data-row="{i}"><img class="cell" alt=""><figcaption>{_label(row)}</figcaption></figure>'
        for i, row in enumerate(rows)
    )
    lines = []
    for i, row in enumerate(rows):
        lines.append(f'<div class="label">{_label(row)}</div>')
        is_button = row.label == clickable
        lines += [_cell(row, i, step, step >= num_seen, is_button) for step in range(len(row.frames))]
    numbers = "".join(
        f'<div class="number{" after" if number > num_seen else ""}">{number}</div>'
        for number in range(1, num_steps + 1)
    )
    # What can be scrolled can be reached by the keyboard too.
    return (
        f'<div class="film" data-query="{escape(query)}" data-seen="{num_seen}" data-steps="{num_steps}" '
        f'data-blank="{_source(rows[0].frames[0], is_blank=True)}">'
        f'<div class="screens">{screens}<div class="player"><button class="play" type="button"></button>'
        '<div class="clock"></div></div></div>'
        '<div class="scroll" role="region" aria-label="All frames, step by step" tabindex="0">'
        f'<div class="strip" style="--steps: {num_steps}">{"".join(lines)}'
        f'<div class="label">frame</div>{numbers}</div></div></div>'
    )


def plot(figure: Figure, alt: str) -> str:
    """Return a plot as an `svg` in the colours of the page; `alt` describes it to who cannot see it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    # Without what is there for a file of its own, and styles, which would be those of the whole page.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for colour, name in _COLOURS.items():
        svg = svg.replace(colour.lower(), f"var(--{name})")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg ", f'<svg class="plot" role="img" aria-label="{escape(alt)}" ', 1)


def _label(row: Row) -> str:
    dot = f'<i style="background: {row.colour}" aria-hidden="true"></i>' if row.colour else ""
    return f"{dot}{escape(row.label)}"


def _cell(row: Row, index: int, step: int, imagined: bool, is_button: bool) -> str:
    bordered = bool(row.bordered[step])
    kind = " imagined" if imagined else " hidden" if bordered else ""
    alt = "" if is_button else f"{escape(row.label)}, frame {step + 1}{',' if kind else ''}{kind}"
    image = (
        f'<img class="cell{kind}" data-row="{index}" data-step="{step}" alt="{alt}" draggable="false" '
        f'src="{_source(row.frames[step], row.blank and bordered)}">'
    )
    if not is_button:
        return image
    # What the button does stays its name; whether it has done so is `aria-pressed`.
    return (
        f'<button type="button" data-step="{step}" aria-label="Hide frame {step + 1}" '
        f'aria-pressed="{str(bordered).lower()}" title="{"Show" if bordered else "Hide"} frame {step + 1}">'
        f"{image}</button>"
    )


def _source(frame: np.ndarray, is_blank: bool) -> str:
    if is_blank:
        image = Image.new("RGB", (1, 1), BLANK_COLOUR)
    else:
        image = Image.fromarray(np.rint(255 * np.clip(np.nan_to_num(frame), 0, 1)).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
