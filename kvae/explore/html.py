"""Frames as HTML: a strip that can be clicked and, above it, screens that play it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from kvae.plots import canvas
from kvae.plots.films import BLANK_COLOUR


class Row(NamedTuple):
    """One row of a strip.

    Attributes:
        label: what it shows.
        frames: [T, H, W] or [T, H, W, 3] in [0, 1].
        bordered: [T] bool, True where a frame has the border of hidden ones.
        colour: of the row in the other pictures, in CSS; empty: it is not in them.
        blank: show nothing at bordered frames.
    """

    label: str
    frames: np.ndarray
    bordered: np.ndarray
    colour: str = ""
    blank: bool = False


def film(rows: Sequence[Row], first_step: int = 1, clickable: str = "") -> str:
    """Lay out rows of frames as a strip, and a screen for each that page.js plays.

    Args:
        rows: the rows, of the same number of frames.
        first_step: the number of the first frame.
        clickable: label of the row whose frames are buttons; a click on any frame of the strip counts.
    """
    num_steps = len(rows[0].frames)
    screens = "".join(
        f'<figure data-row="{i}"><img class="cell" alt=""><figcaption>{_label(row)}</figcaption></figure>'
        for i, row in enumerate(rows)
    )
    lines = []
    for i, row in enumerate(rows):
        lines.append(f'<div class="label">{_label(row)}</div>')
        for step in range(num_steps):
            lines.append(_cell(row, i, step, first_step, is_button=row.label == clickable))
    # Small cells have no room for every number.
    every = 1 if num_steps <= 20 else 5
    shown = [number if number % every == 0 else "" for number in range(first_step, first_step + num_steps)]
    numbers = "".join(f"<div>{number}</div>" for number in shown)
    return (
        f'<div class="film" data-first="{first_step}"><div class="screens">{screens}'
        '<div><button class="play" type="button"></button><div class="clock"></div></div></div>'
        f'<div class="strip" style="grid-template-columns: max-content repeat({num_steps}, minmax(0, 1fr))">'
        f'{"".join(lines)}<div class="label">t</div>{numbers}</div></div>'
    )


def picture(figure: Figure, alt: str) -> str:
    """Return a plot as an `img`; `alt` describes it to those who cannot see it."""
    encoded = base64.b64encode(canvas.encode_png(figure)).decode()
    return f'<img class="plot" alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'


def steps_in_words(hidden: np.ndarray) -> str:
    """Return the hidden steps of [T] bool, counted from 1, as text such as `3, 5-8`; `none`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    runs = [(first + 1, end) for first, end in edges.reshape(-1, 2)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"


def _label(row: Row) -> str:
    dot = f'<i style="background: {row.colour}"></i>' if row.colour else ""
    return f"{dot}{escape(row.label)}"


def _cell(row: Row, index: int, step: int, first_step: int, is_button: bool) -> str:
    bordered = bool(row.bordered[step])
    classes = "cell hidden" if bordered else "cell"
    is_blank = row.blank and bordered
    image = (
        f'<img class="{classes}" data-row="{index}" data-step="{step}" alt="" draggable="false" '
        f'src="{_source(row.frames[step], is_blank)}">'
    )
    if not is_button:
        return image
    what = f"frame {step + first_step}, {'hidden: click to show' if bordered else 'seen: click to hide'}"
    return f'<button type="button" data-step="{step}" title="{what}" aria-label="{what}">{image}</button>'


def _source(frame: np.ndarray, is_blank: bool) -> str:
    if is_blank:
        image = Image.new("RGB", (1, 1), BLANK_COLOUR)
    else:
        image = Image.fromarray(np.rint(255 * np.clip(np.nan_to_num(frame), 0, 1)).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
