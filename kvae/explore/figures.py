"""Plots of what a model makes of one sequence: its codes in the plane, alpha over time."""

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse, Patch

from kvae.explore.plane import Plane
from kvae.explore.session import Future, Look
from kvae.plots import canvas, figures
from kvae.plots.films import HIDDEN_COLOUR
from kvae.plots.look import GREY, METHODS

IMAGINED, POSTERIOR = METHODS["generation"].colour, METHODS["sampling"].colour
HIDDEN = "#{:02x}{:02x}{:02x}".format(*HIDDEN_COLOUR)

_RADIUS = np.sqrt(-2 * np.log(0.1))
"""Of the ellipse that holds nine tenths of a Gaussian in the plane, in standard deviations."""
_CLOUD, _INK = "#D9D9D9", "#2D2D2D"


def code_plane(plane: Plane, look: Look, all_codes: np.ndarray, future: Future | None = None) -> Figure:
    """Plot the codes of one sequence: encoded, filtered, and their posterior with its uncertainty.

    Args:
        plane: what to show them in.
        look: what the model makes of the sequence.
        all_codes: [N, T, dim_a], codes of many frames, drawn as dots: where codes lie.
        future: how the model goes on, if that is to be shown.
    """
    figure = Figure(figsize=(6.2, 4.4), dpi=110)
    axes = figure.subplots()
    # Fixed: to find the margins costs as much time as to draw.
    figure.subplots_adjust(left=0.1, right=0.99, bottom=0.12, top=0.86)
    cloud = plane.points(all_codes).reshape(-1, 2)
    cloud = cloud[np.isfinite(cloud).all(axis=1)]
    axes.scatter(cloud[:, 0], cloud[:, 1], s=5, color=_CLOUD, linewidth=0)
    # The frame is that of the cloud: it stays where it is, whatever is hidden.
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    if future is not None and len(look.encoded[0]) == 1:
        high[0] += future.codes.shape[1]
    margin = 0.12 * (high - low) + 1e-3
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])

    hidden, steps = look.hidden, len(look.hidden)
    mean = plane.points(look.mean)
    for point, cov in zip(mean, plane.covariances(look.cov), strict=True):
        axes.add_patch(_ellipse(point, cov))
    handles: list[Artist] = []
    truth: dict[str, Any] = {"color": GREY, "linewidth": 5, "alpha": 0.35}
    axes.plot(*plane.points(look.encoded).T, **truth, solid_capstyle="round")
    handles.append(Line2D([], [], **truth, label="encoded (truth)"))
    for label, codes, method, line in (
        ("filtering", look.filtered_codes, METHODS["filtering"], ":"),
        ("posterior", look.mean, METHODS["sampling"], "-"),
    ):
        points = plane.points(codes)
        style: dict[str, Any] = {"color": method.colour, "marker": method.marker, "markersize": 4.5}
        axes.plot(*points.T, color=method.colour, linewidth=1.3, linestyle=line, alpha=0.7)
        axes.plot(*points[~hidden].T, **style, linestyle="none")
        axes.plot(*points[hidden].T, **style, linestyle="none", markerfacecolor="white")
        handles.append(Line2D([], [], **style | {"linestyle": line}, label=label))
    handles.append(Patch(color=POSTERIOR, alpha=0.3, label="90 % of the posterior"))
    handles.append(_hollow("hidden frame"))
    if future is not None:
        for codes in future.codes:
            points = plane.points(codes, first_step=steps + 1)
            axes.plot(*np.concatenate([mean[-1:], points]).T, color=IMAGINED, linewidth=1, alpha=0.55)
        handles.append(Line2D([], [], color=IMAGINED, linewidth=1.4, label="imagined on"))
    star: dict[str, Any] = {"color": _INK, "marker": "*", "linestyle": "none"}
    axes.plot(*mean[0], **star, markersize=13, markeredgecolor="white", zorder=5)
    handles.append(Line2D([], [], **star, markersize=10, label="start"))
    canvas.style_axes(axes)
    axes.set_xlabel(plane.labels[0])
    axes.set_ylabel(plane.labels[1])
    figure.legend(handles=handles, loc="upper center", ncols=4, frameon=False, fontsize=9, columnspacing=1.2)
    return figure


def alpha_over_time(look: Look) -> Figure:
    """Plot the posterior mean of alpha, stacked, with an orange bar over hidden steps."""
    figure = figures.alpha_over_time(look.alpha[None], size=(5.6, 2.0))
    (axes,) = figure.axes
    for step in np.flatnonzero(look.hidden):
        axes.axvspan(step + 0.5, step + 1.5, 1.02, 1.06, color=HIDDEN, linewidth=0, clip_on=False)
    return figure


def _ellipse(center: np.ndarray, cov: np.ndarray) -> Ellipse:
    variances, vectors = np.linalg.eigh(cov)
    width, height = 2 * _RADIUS * np.sqrt(np.maximum(variances, 0))
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    return Ellipse(tuple(center), width, height, angle=angle, color=POSTERIOR, alpha=0.16, linewidth=0.8)


def _hollow(label: str) -> Line2D:
    return Line2D(
        [], [], color=GREY, marker="o", markersize=5, markerfacecolor="white", linestyle="none", label=label
    )
