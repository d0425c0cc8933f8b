"""Plots of a model: its codes, its mixture weights, how well it fills in hidden frames.

Pure functions from arrays to `matplotlib.figure.Figure`. None of them touches pyplot, so no figure
outlives its last reference. Time steps are counted from 1.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from kvae.data.masks import hidden_steps
from kvae.system.files import replacing

MAX_PANELS = 4
"""Plots with a panel per sequence show this many sequences, the first ones."""

# Okabe and Ito's colours, which people of any colour vision can tell apart; yellow, too light for
# lines on white, comes last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442")
"""Of the first lines of a plot."""
_LINESTYLES: tuple[Any, ...] = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#6E6E6E"
_SHADE = "#E4E4E4"


def code_trajectories(trajectories: Mapping[str, np.ndarray], observed: np.ndarray | None = None) -> Figure:
    """Plot codes of up to four sequences, a panel each.

    Two-dimensional codes are drawn as trajectories in their plane, hollow markers at hidden steps;
    others over time, a colour per dimension and a linestyle per label, hidden steps shaded.

    Args:
        trajectories: Label ("encoded", "smoothed", "generated") to codes [N, T_label, dim_a].
        observed: [N, T_mask], 1 where the model saw the frame; steps after the mask's end count as
            hidden.

    Returns:
        The figure.

    Raises:
        ValueError: If ranks, numbers of sequences or dimensions do not fit together.
    """
    if not trajectories:
        raise ValueError("trajectories must map a label to codes. Received: none.")
    trajectories = {
        label: _checked(f"trajectories[{label!r}]", codes, "[N, T, dim_a]")
        for label, codes in trajectories.items()
    }
    if len({(codes.shape[0], codes.shape[2]) for codes in trajectories.values()}) > 1:
        raise ValueError(
            "All trajectories must have the same N and dim_a. Received: "
            + ", ".join(f"{label!r} {codes.shape}" for label, codes in trajectories.items())
        )
    num_sequences, _, dim_a = next(iter(trajectories.values())).shape
    num_steps = max(codes.shape[1] for codes in trajectories.values())
    hidden = hidden_steps(observed, num_sequences, num_steps)[:MAX_PANELS]
    if dim_a == 2:
        return _codes_in_plane(trajectories, hidden)
    return _codes_over_time(trajectories, hidden)


def alpha_over_time(alpha: np.ndarray, size: tuple[float, float] = (4.4, 2.1)) -> Figure:
    """Plot the mixture weights of up to four sequences over time, stacked, a panel each.

    Args:
        alpha: [N, T, K], in [0, 1], each row sums to 1.
        size: width and height of a panel, in inches.

    Returns:
        The figure.

    Raises:
        ValueError: If the rank is another.
    """
    alpha = _checked("alpha", alpha, "[N, T, K]")
    num_sequences, num_steps, num_mixtures = alpha.shape
    figure, panels = _panels(min(num_sequences, MAX_PANELS), max_columns=2, size=size)
    colours = _colours(num_mixtures)
    # Stairs, not slopes: a weight belongs to a step, and a single step must be seen too.
    edges = np.arange(num_steps + 1) + 0.5
    for index, axes in enumerate(panels):
        tops = np.cumsum(alpha[index], axis=-1)
        bottoms = tops - alpha[index]
        for k in range(num_mixtures):
            axes.stairs(tops[:, k], edges, baseline=bottoms[:, k], fill=True, color=colours[k], alpha=0.9)
        axes.grid(visible=False)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1)
        _tick_whole_steps(axes)
    _number_sequences(panels)
    _label_outer(panels, "time step $t$", r"weight $\alpha_t$")
    handles = [
        Patch(color=colour, alpha=0.9, label=rf"$\alpha^{{({k + 1})}}$") for k, colour in enumerate(colours)
    ]
    _legend_above(figure, handles)
    return figure


def alpha_plane(
    axis_0: np.ndarray, axis_1: np.ndarray, alpha: np.ndarray, codes: np.ndarray | None = None
) -> Figure:
    """Plot each mixture weight over the plane of codes, a panel per weight.

    Args:
        axis_0: [G0], increasing: the first dimension of the codes on the grid.
        axis_1: [G1], increasing: the second.
        alpha: [G0, G1, K], in [0, 1]: the weights after code (axis_0[i], axis_1[j]).
        codes: [M, 2], encoded frames, drawn as dots; those outside the grid are not shown.

    Returns:
        The figure.

    Raises:
        ValueError: If ranks or sizes do not fit together.
    """
    axis_0 = _checked("axis_0", axis_0, "[G0]")
    axis_1 = _checked("axis_1", axis_1, "[G1]")
    alpha = _checked("alpha", alpha, "[G0, G1, K]")
    if alpha.shape[:2] != (len(axis_0), len(axis_1)):
        raise ValueError(
            f"alpha must have shape [{len(axis_0)}, {len(axis_1)}, K], as the axes have. "
            f"Received: shape {alpha.shape}."
        )
    if codes is not None:
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != 2:
            raise ValueError(f"codes must have shape [M, 2]. Received: shape {codes.shape}.")
    edges_0, edges_1 = _edges("axis_0", axis_0), _edges("axis_1", axis_1)

    figure, panels = _panels(alpha.shape[2], max_columns=4, size=(2.7, 2.5))
    # Square panels leave room over, which would make the colour bar taller than they are.
    figure.set_layout_engine("compressed")
    for k, axes in enumerate(panels):
        mesh = axes.pcolormesh(
            edges_0, edges_1, alpha[:, :, k].T, vmin=0, vmax=1, cmap="viridis", rasterized=True
        )
        if codes is not None:
            # Thousands of dots must not hide the map, a dozen must be seen; a dark rim keeps them
            # in sight where the map is yellow.
            size = float(np.clip(90 / math.sqrt(max(len(codes), 1)), 1, 8))
            axes.scatter(
                codes[:, 0],
                codes[:, 1],
                s=size,
                facecolor="white",
                edgecolor="black",
                linewidth=size / 18,
                alpha=0.6,
            )
        axes.set_title(rf"$\alpha^{{({k + 1})}}$", fontsize=11)
        axes.set_xlim(edges_0[0], edges_0[-1])
        axes.set_ylim(edges_1[0], edges_1[-1])
        axes.set_box_aspect(1)
        axes.spines[:].set_visible(False)
    _label_outer(panels, "code $a_1$", "code $a_2$")
    bar = figure.colorbar(mesh, ax=panels, label="weight", fraction=0.05, aspect=25)
    bar.outline.set_visible(False)
    return figure


def imputation_curves(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    title: str,
    references: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    y_label: str = "fraction of wrong pixels",
) -> Figure:
    """Plot how many pixels of hidden frames are wrong, against how much was hidden.

    Args:
        curves: Label to (x, y), each [P]: x hidden steps or drop probability, y the fraction of
            wrong pixels on hidden frames, in [0, 1].
        x_label: What x is.
        title: The figure's title.
        references: Curves to compare with, drawn dashed; one that bears the label of a curve has
            its colour.
        y_label: What y is, where it is another error.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no curve, or x and y differ in length.
    """
    if not curves:
        raise ValueError("curves must map a label to (x, y). Received: none.")
    curves = {label: _checked_curve(label, curve) for label, curve in curves.items()}
    references = {label: _checked_curve(label, curve) for label, curve in (references or {}).items()}
    labels = list(dict.fromkeys([*curves, *references]))
    colours = dict(zip(labels, _colours(len(labels)), strict=True))
    markers = {label: _MARKERS[i % len(_MARKERS)] for i, label in enumerate(labels)}

    figure, (axes,) = _panels(1, max_columns=1, size=(6.6, 3.9))
    for label, (x, y) in references.items():
        axes.plot(
            x,
            y,
            linestyle="--",
            linewidth=1.4,
            color=colours[label],
            marker=markers[label],
            markersize=4.5,
            markerfacecolor="white",
            label=f"{label} (reference)" if label in curves else label,
        )
    for label, (x, y) in curves.items():
        axes.plot(
            x,
            y,
            linewidth=2,
            color=colours[label],
            marker=markers[label],
            markersize=5,
            label=label,
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=11)
    # The curves first, though drawn last, on top.
    handles, names = axes.get_legend_handles_labels()
    order = [*range(len(references), len(handles)), *range(len(references))]
    figure.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="outside right center",
        frameon=False,
    )
    return figure


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
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_GREY, labelcolor="black", labelsize=9)
    axes.set_axisbelow(True)
    axes.grid(color="#EBEBEB", linewidth=0.8)


def _codes_in_plane(trajectories: Mapping[str, np.ndarray], hidden: np.ndarray) -> Figure:
    figure, panels = _panels(len(hidden), max_columns=2, size=(3.6, 3.5), share=True)
    colours = _colours(len(trajectories))
    handles = []
    for index, axes in enumerate(panels):
        for order, (label, codes) in enumerate(trajectories.items()):
            path, unseen = codes[index], hidden[index, : codes.shape[1]]
            style = {
                "color": colours[order],
                "marker": _MARKERS[order % len(_MARKERS)],
                "markersize": 4,
                "linestyle": "none",
            }
            axes.plot(*path.T, color=colours[order], linewidth=1, alpha=0.45)
            axes.plot(*path[~unseen].T, **style)
            axes.plot(*path[unseen].T, **style, markerfacecolor="white", markeredgewidth=1)
            axes.plot(
                *path[0],
                color=colours[order],
                marker="*",
                markersize=14,
                markeredgecolor="white",
                markeredgewidth=0.8,
                zorder=5,
            )
            if index == 0:
                handles.append(Line2D([], [], **style | {"linestyle": "-"}, label=label))
        axes.set_box_aspect(1)
    handles.append(Line2D([], [], color=_GREY, marker="*", markersize=11, linestyle="none", label="start"))
    if hidden.any():
        handles.append(
            Line2D(
                [],
                [],
                color=_GREY,
                marker="o",
                markersize=5,
                markerfacecolor="white",
                linestyle="none",
                label="hidden step",
            )
        )
    _number_sequences(panels)
    _label_outer(panels, "code $a_1$", "code $a_2$")
    _legend_above(figure, handles)
    return figure


def _codes_over_time(trajectories: Mapping[str, np.ndarray], hidden: np.ndarray) -> Figure:
    figure, panels = _panels(len(hidden), max_columns=2, size=(4.4, 2.6), share=True)
    dim_a = next(iter(trajectories.values())).shape[2]
    colours = _colours(dim_a)
    for index, axes in enumerate(panels):
        for step in np.flatnonzero(hidden[index]) + 1:
            axes.axvspan(step - 0.5, step + 0.5, color=_SHADE, linewidth=0, zorder=0)
        for order, codes in enumerate(trajectories.values()):
            steps = np.arange(codes.shape[1]) + 1
            for dimension in range(dim_a):
                axes.plot(
                    steps,
                    codes[index, :, dimension],
                    color=colours[dimension],
                    linestyle=_LINESTYLES[order % len(_LINESTYLES)],
                    linewidth=1.5,
                    # A line through a single step has no length.
                    marker="." if len(steps) == 1 else None,
                )
        _tick_whole_steps(axes)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, linewidth=2.5, label=f"$a_{{{dimension + 1}}}$")
        for dimension, colour in enumerate(colours)
    ]
    handles += [
        Line2D(
            [],
            [],
            color=_GREY,
            linestyle=_LINESTYLES[order % len(_LINESTYLES)],
            linewidth=1.5,
            label=label,
        )
        for order, label in enumerate(trajectories)
    ]
    if hidden.any():
        handles.append(Patch(color=_SHADE, label="hidden step"))
    _number_sequences(panels)
    _label_outer(panels, "time step $t$", "code")
    _legend_above(figure, handles)
    return figure


def _panels(
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


def _tick_whole_steps(axes: Axes) -> None:
    """Put ticks at whole numbers of the x axis alone."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


def _label_outer(panels: Sequence[Axes], x_label: str, y_label: str) -> None:
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


def _number_sequences(panels: Sequence[Axes]) -> None:
    if len(panels) > 1:
        for index, axes in enumerate(panels):
            axes.set_title(f"sequence {index + 1}", fontsize=9, color=_GREY, loc="left", pad=4)


def _legend_above(figure: Figure, handles: Sequence) -> None:
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


def _colours(count: int) -> list:
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return list(matplotlib.colormaps["viridis"](np.linspace(0, 0.95, count)))


def _edges(name: str, centres: np.ndarray) -> np.ndarray:
    """Return the [G + 1] borders of the cells around increasing centres [G]."""
    steps = np.diff(centres)
    if not (steps > 0).all():
        raise ValueError(f"{name} must be increasing. Received: {centres}")
    if not len(steps):
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = centres[:-1] + steps / 2
    return np.concatenate(
        [[centres[0] - steps[0] / 2], middles, [centres[-1] + steps[-1] / 2]],
    )


def _checked(name: str, array: np.ndarray, shape: str) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != shape.count(",") + 1 or not array.size:
        raise ValueError(
            f"{name} must have shape {shape}, each size at least 1. Received: shape {array.shape}."
        )
    return array


def _checked_curve(label: str, curve: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if len(curve) != 2:
        raise ValueError(f"A curve must be a pair (x, y). Received: {label!r} with {len(curve)} values.")
    x, y = (np.asarray(values) for values in curve)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            "A curve must be (x, y), two arrays of the same shape [P]. "
            f"Received: {label!r} with shapes {x.shape} and {y.shape}."
        )
    return x, y
