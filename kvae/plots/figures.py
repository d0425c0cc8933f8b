"""Plots of a model: its codes, its mixture weights, how well it fills in hidden frames.

Pure functions from arrays to `matplotlib.figure.Figure`. None of them touches pyplot, so no figure
outlives its last reference. Time steps are counted from 1.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from kvae.data.masks import hidden_steps
from kvae.plots import canvas
from kvae.plots.look import GREY, Look, looks_of, method_of

MAX_PANELS = 4
"""Plots with a panel per sequence show this many sequences, the first ones."""

_GUESS = "careless guess"
_MARK: dict[str, Any] = {
    "color": "black",
    "marker": "v",
    "markersize": 5,
    "linestyle": "none",
    "clip_on": False,
}


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


def alpha_over_time(
    alpha: np.ndarray, size: tuple[float, float] = (4.4, 2.1), marked: np.ndarray | None = None
) -> Figure:
    """Plot the mixture weights of up to four sequences over time, stacked, a panel each.

    Args:
        alpha: [N, T, K], in [0, 1], each row sums to 1.
        size: width and height of a panel, in inches.
        marked: [N, T], True at steps that have a mark above them: where a ball has bounced.

    Returns:
        The figure.

    Raises:
        ValueError: If the rank is another.
    """
    alpha = _checked("alpha", alpha, "[N, T, K]")
    num_sequences, num_steps, num_mixtures = alpha.shape
    figure, panels = canvas.panels(min(num_sequences, MAX_PANELS), max_columns=2, size=size)
    colours = canvas.colours_of_mixture(num_mixtures)
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
        canvas.tick_whole_steps(axes)
        if marked is not None:
            steps = np.flatnonzero(marked[index]) + 1
            axes.plot(steps, np.full(len(steps), 1.04), **_MARK, transform=axes.get_xaxis_transform())
    canvas.number_sequences(panels, pad=4 if marked is None else 12)
    canvas.label_outer(panels, "time step $t$", r"weight $\alpha_t$")
    handles: list[Patch | Line2D] = [
        Patch(color=colour, alpha=0.9, label=rf"$\alpha^{{({k + 1})}}$") for k, colour in enumerate(colours)
    ]
    if marked is not None and np.any(marked[: len(panels)]):
        handles.append(Line2D([], [], **_MARK, label="bounce"))
    canvas.legend_beside(figure, handles)
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

    figure, panels = canvas.panels(alpha.shape[2], max_columns=4, size=(2.7, 2.5))
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
    canvas.label_outer(panels, "code $a_1$", "code $a_2$")
    bar = figure.colorbar(mesh, ax=panels, label="weight", fraction=0.05, aspect=25)
    bar.outline.set_visible(False)
    return figure


def motion_explained(variance: np.ndarray, error: np.ndarray, moving: np.ndarray) -> Figure:
    """Plot where pixels move, and how much of that is explained.

    Args:
        variance: [H, W], of each pixel over time.
        error: [H, W], mean squared error of its reconstruction.
        moving: [H, W], boolean: the pixels that move at all; the others are left blank.

    Returns:
        The figure.

    Raises:
        ValueError: If the rank is another.
    """
    variance, error = _checked("variance", variance, "[H, W]"), _checked("error", error, "[H, W]")
    share = np.clip(1 - error / np.where(variance > 0, variance, 1), 0, 1)
    shown = {
        "standard deviation of a pixel": (np.sqrt(variance), None),
        "share of its motion that is explained": (np.where(moving, share, np.nan), 1),
    }
    figure, panels = canvas.panels(2, max_columns=2, size=(3.4, 2.8))
    for axes, (title, (values, most)) in zip(panels, shown.items(), strict=True):
        image = axes.imshow(values, vmin=0, vmax=most, cmap="viridis", interpolation="nearest")
        axes.set_title(title, fontsize="medium")
        axes.grid(visible=False)
        axes.set_facecolor("0.85")
        figure.colorbar(image, ax=axes)
    return figure


def imputation_curves(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    title: str,
    references: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    y_label: str = "wrong pixels",
    guess: float | None = None,
) -> Figure:
    """Plot how many pixels of hidden frames are wrong, against how much was hidden.

    Each line has its name at its end.

    Args:
        curves: Label to (x, y), each [P]: x hidden steps or drop probability, y the fraction of
            wrong pixels on hidden frames, in [0, 1], shown in per cent.
        x_label: What x is.
        title: The figure's title.
        references: Curves to compare with, drawn dashed; one that bears the label of a curve has
            its colour.
        y_label: What y is; any other than the default is an error that is shown as it is.
        guess: What a careless guess has wrong, a line across.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no curve, or x and y differ in length.
    """
    if not curves:
        raise ValueError("curves must map a label to (x, y). Received: none.")
    curves = {label: _checked_curve(label, curve) for label, curve in curves.items()}
    references = {label: _checked_curve(label, curve) for label, curve in (references or {}).items()}
    looks = looks_of(dict.fromkeys([*curves, *references]))

    figure, (axes,) = canvas.panels(1, max_columns=1, size=(6.6, 3.9))
    ends = []
    for label, (x, y) in references.items():
        name, look = f"{label} (reference)" if label in curves else label, looks[label]
        axes.plot(x, y, **_line(look), linestyle="--", linewidth=1.4, markerfacecolor="white", label=name)
        ends.append((float(y[-1]), name, look.colour))
    for label in (label for label in looks if label in curves):
        (x, y), look = curves[label], looks[label]
        axes.plot(x, y, **_line(look), linewidth=2, label=label)
        ends.append((float(y[-1]), label, look.colour))
    if guess is not None:
        axes.axhline(guess, color=GREY, linewidth=1.2, linestyle=":", label=_GUESS)
        ends.append((guess, _GUESS, GREY))
    axes.set_ylim(bottom=0)
    canvas.label_ends(figure, axes, ends)
    # Ticks where there is something, and not in between.
    axes.set_xticks(
        sorted({float(value) for x, _ in (*curves.values(), *references.values()) for value in x})
    )
    axes.xaxis.set_major_formatter("{x:g}")
    if y_label == "wrong pixels":
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, fontsize=11)
    return figure


def _line(look: Look) -> dict[str, Any]:
    return {"color": look.colour, "marker": look.marker, "markersize": 5}


def _codes_in_plane(trajectories: Mapping[str, np.ndarray], hidden: np.ndarray) -> Figure:
    figure, panels = canvas.panels(len(hidden), max_columns=2, size=(3.6, 3.5), share=True)
    looks = looks_of(trajectories)
    handles = []
    for index, axes in enumerate(panels):
        for label, look in looks.items():
            path = trajectories[label][index]
            unseen = hidden[index, : len(path)]
            # What the frames themselves say lies beneath all others.
            is_truth = method_of(label) in ("truth", "reconstruction")
            line: dict[str, Any] = {"linewidth": 5 if is_truth else 1, "alpha": 0.35 if is_truth else 0.6}
            style = _line(look) | {"markersize": 0 if is_truth else 4, "linestyle": "none"}
            axes.plot(*path.T, color=look.colour, **line, solid_capstyle="round")
            axes.plot(*path[~unseen].T, **style)
            axes.plot(*path[unseen].T, **style, markerfacecolor="white", markeredgewidth=1)
            if index == 0:
                of_legend = style | line | {"linestyle": "-"}
                handles.append(Line2D([], [], **of_legend, label=label))
        first = next(iter(looks))
        star: dict[str, Any] = {"marker": "*", "markersize": 14, "markeredgecolor": "white"}
        axes.plot(*trajectories[first][index][0], color=looks[first].colour, **star, zorder=5)
        axes.set_box_aspect(1)
    x_limits, y_limits = _square(trajectories)
    # Of all panels, which share them.
    panels[0].set_xlim(*x_limits)
    panels[0].set_ylim(*y_limits)
    handles.append(Line2D([], [], color=GREY, marker="*", markersize=11, linestyle="none", label="start"))
    if hidden.any():
        hollow: dict[str, Any] = {"marker": "o", "markersize": 5, "markerfacecolor": "white"}
        handles.append(Line2D([], [], color=GREY, **hollow, linestyle="none", label="hidden step"))
    canvas.number_sequences(panels)
    canvas.label_outer(panels, "code $a_1$", "code $a_2$")
    canvas.legend_above(figure, handles)
    return figure


def _square(trajectories: Mapping[str, np.ndarray]) -> list[tuple[float, float]]:
    """Return limits of both axes, equally far apart, that hold all codes [N, T, 2] in the panels."""
    points = np.concatenate([codes[:MAX_PANELS].reshape(-1, 2) for codes in trajectories.values()])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return [(-1.0, 1.0)] * 2
    low, high = points.min(axis=0), points.max(axis=0)
    half = 0.55 * max(float((high - low).max()), 1e-6)
    return [(float(middle - half), float(middle + half)) for middle in (low + high) / 2]


def _codes_over_time(trajectories: Mapping[str, np.ndarray], hidden: np.ndarray) -> Figure:
    figure, panels = canvas.panels(len(hidden), max_columns=2, size=(4.4, 2.6), share=True)
    dim_a = next(iter(trajectories.values())).shape[2]
    colours = canvas.colours_of(dim_a)
    for index, axes in enumerate(panels):
        for step in np.flatnonzero(hidden[index]) + 1:
            axes.axvspan(step - 0.5, step + 0.5, color=canvas.SHADE, linewidth=0, zorder=0)
        for order, codes in enumerate(trajectories.values()):
            steps = np.arange(codes.shape[1]) + 1
            for dimension in range(dim_a):
                axes.plot(
                    steps,
                    codes[index, :, dimension],
                    color=colours[dimension],
                    linestyle=canvas.LINESTYLES[order % len(canvas.LINESTYLES)],
                    linewidth=1.5,
                    # A line through a single step has no length.
                    marker="." if len(steps) == 1 else None,
                )
        canvas.tick_whole_steps(axes)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, linewidth=2.5, label=f"$a_{{{dimension + 1}}}$")
        for dimension, colour in enumerate(colours)
    ]
    handles += [
        Line2D(
            [],
            [],
            color=GREY,
            linestyle=canvas.LINESTYLES[order % len(canvas.LINESTYLES)],
            linewidth=1.5,
            label=label,
        )
        for order, label in enumerate(trajectories)
    ]
    if hidden.any():
        handles.append(Patch(color=canvas.SHADE, label="hidden step"))
    canvas.number_sequences(panels)
    canvas.label_outer(panels, "time step $t$", "code")
    canvas.legend_above(figure, handles)
    return figure


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
