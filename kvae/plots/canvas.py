"""What all plots here have in common: colours, panels, axes and legends; and figures as pixels."""

import io
import math
import os
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kvae.plots.look import GREY, MIXTURE
from kvae.system.files import replacing

# Okabe and Ito's colours, which people of any colour vision can tell apart; yellow, too light for
# lines on white, comes last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
"""Of the dimensions of a code."""
LINESTYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
SHADE = "#E4E4E4"


def encode_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def save_png(path: str | os.PathLike, figure: Figure) -> None:
    """Write the figure as PNG, all of it or nothing; its folder is made where there is none."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(figure))


def to_image(figure: Figure) -> np.ndarray:
    """Return the figure as pixels, uint8 [height, width, 3]."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def style_axes(axes: Axes) -> None:
    """Make axes look like those of all plots here: no box, a light grid behind the lines."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelcolor="black", labelsize=9)
    axes.set_axisbelow(True)
    axes.grid(color="#EBEBEB", linewidth=0.8)


def panels(
    count: int, max_columns: int, size: tuple[float, float], share: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, row by row, each about `size` (width, height) in inches."""
    rows = math.ceil(count / max_columns)
    # Six panels are two rows of three, not four and two.
    columns = math.ceil(count / rows)
    # Room for a legend or a colour bar beside the panels.
    figure = Figure(figsize=(columns * size[0] + 0.6, rows * size[1] + 0.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.remove()
    for axes in panels[:count]:
        style_axes(axes)
    return figure, panels[:count]


def tick_whole_steps(axes: Axes) -> None:
    """Put ticks at whole numbers of the x axis alone."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def label_outer(panels: Sequence[Axes], x_label: str, y_label: str) -> None:
    """Label the left and the lowest axes only: what every panel would repeat is said once."""
    for axes in panels:
        place = axes.get_subplotspec()
        # All panels stand in a grid.
        assert place is not None
        if place.is_first_col():
            axes.set_ylabel(y_label)
        columns = place.get_gridspec().ncols
        # In a grid that is not full the last panel of a column may stand above the last row.
        if place.num1 + columns >= len(panels):
            axes.set_xlabel(x_label)
            axes.tick_params(labelbottom=True)


def number_sequences(panels: Sequence[Axes], pad: float = 4) -> None:
    """Say above each panel which sequence it shows, where there are several; `pad` points above it."""
    if len(panels) > 1:
        for index, axes in enumerate(panels):
            axes.set_title(f"sequence {index + 1}", fontsize=9, color=GREY, loc="left", pad=pad)


def legend_above(figure: Figure, handles: Sequence) -> None:
    """Put one legend above all panels, in as many rows as the figure's width asks for."""
    rows = math.ceil(len(handles) / max(1, round(figure.get_figwidth() / 1.25)))
    columns = math.ceil(len(handles) / rows)
    figure.legend(
        # A legend fills its columns first; people read rows.
        handles=[handle for column in range(columns) for handle in handles[column::columns]],
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        fontsize=9.5,
        handletextpad=0.5,
        columnspacing=1.4,
    )


def legend_beside(figure: Figure, handles: Sequence) -> None:
    """Put one legend right of all panels, the first handle at the bottom: as things are stacked in them."""
    rows = max(1, math.floor(figure.get_figheight() / 0.24))
    figure.legend(
        handles=list(handles)[::-1],
        loc="outside right center",
        ncols=math.ceil(len(handles) / rows),
        frameon=False,
        fontsize=9.5,
        handletextpad=0.5,
        handlelength=1.2,
        columnspacing=1.0,
    )


def label_ends(figure: Figure, axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write what lines are beside their right ends, one above the other where they come close.

    Args:
        figure: what holds the axes, and nothing else.
        axes: their limits are final.
        ends: y, label and colour of each line.
    """
    low, high = axes.get_ylim()
    # The height of a line of text, as a share of the axes.
    step = 15 / (72 * figure.get_figheight() * 0.8)
    order = sorted(range(len(ends)), key=lambda i: ends[i][0])
    places = [(ends[i][0] - low) / (high - low) for i in order]
    for _ in range(100):
        for below in range(len(places) - 1):
            missing = step - (places[below + 1] - places[below])
            if missing > 1e-6:
                places[below] -= missing / 2
                places[below + 1] += missing / 2
        if places:
            # All stay inside.
            places = list(np.array(places) + max(0, -places[0]) - max(0, places[-1] - 1))
    for place, i in zip(places, order, strict=True):
        _, label, colour = ends[i]
        axes.annotate(
            label,
            (1, place),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9.5,
            annotation_clip=False,
        )


def colours_of(count: int) -> list:
    """Return so many colours of the dimensions of a code; of many, a scale from dark to light."""
    return _colours(COLOURS, count)


def colours_of_mixture(count: int) -> list:
    """Return so many colours of the models of a mixture; of more than nine, a scale from dark to light."""
    return _colours(MIXTURE, count)


def _colours(chosen: Sequence[str], count: int) -> list:
    if count <= len(chosen):
        return list(chosen[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.95, count)))
