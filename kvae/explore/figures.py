"""Plots of what a model makes of one sequence: its codes in the plane, alpha over time."""

import itertools
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
from kvae.plots.look import GREY, METHODS, method_of

IMAGINED, POSTERIOR = METHODS["generation"].colour, METHODS["sampling"].colour
HIDDEN = "#{:02x}{:02x}{:02x}".format(*HIDDEN_COLOUR)

_RADIUS = np.sqrt(-2 * np.log(0.1))
"""Of the ellipse that holds nine tenths of a Gaussian in the plane, in standard deviations."""
CLOUD, INK, PAPER = "#D9D9D9", "#2D2D2D", "#FFFFFF"
"""Of what bears no method's colour; a page that is dark has others in their place."""
_SIZE, _INCHES = np.array([4.7, 3.5]), np.array([4.15, 2.5])
"""Of the plane of codes, and of its axes."""
_MOST_IN_CLOUD = 500
"""Dots of the cloud: each is an element of the page."""


def code_plane(plane: Plane, look: Look, all_codes: np.ndarray, future: Future | None = None) -> Figure:
    """Plot the codes of one sequence: encoded, filtered, and their posterior with its uncertainty.

    Args:
        plane: what to show them in.
        look: what the model makes of the sequence.
        all_codes: [N, T, dim_a], codes of many frames, drawn as dots: where codes lie.
        future: how the model goes on, if that is to be shown.
    """
    figure = Figure(figsize=(_SIZE[0], _SIZE[1]))
    # Fixed: to find the margins costs as much time as to draw.
    left, bottom = 0.5 / _SIZE
    width, height = _INCHES / _SIZE
    axes = figure.add_axes((left, bottom, width, height))
    cloud = plane.points(all_codes).reshape(-1, 2)
    cloud = cloud[np.isfinite(cloud).all(axis=1)]
    dots = cloud[:: -(-len(cloud) // _MOST_IN_CLOUD)]
    axes.scatter(dots[:, 0], dots[:, 1], s=5, color=CLOUD, linewidth=0)
    # The frame is that of the cloud: it stays where it is, whatever is hidden.
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    if future is not None and len(look.encoded[0]) == 1:
        high[0] += future.codes.shape[1]
    centre, half = (high + low) / 2, 0.56 * (high - low) + 1e-3
    if look.encoded.shape[-1] > 1:
        # Both axes are of the same length on paper.
        half = _INCHES * (half / _INCHES).max()
    axes.set_xlim(centre[0] - half[0], centre[0] + half[0])
    axes.set_ylim(centre[1] - half[1], centre[1] + half[1])

    hidden, steps = look.hidden, len(look.hidden)
    mean = plane.points(look.mean)
    for point, cov in zip(mean, plane.covariances(look.cov), strict=True):
        axes.add_patch(_ellipse(point, cov))
    truth: dict[str, Any] = {"color": GREY, "linewidth": 5, "alpha": 0.35}
    axes.plot(*plane.points(look.encoded).T, **truth, solid_capstyle="round")
    handles: list[Artist] = [Line2D([], [], **truth, label="truth")]
    for label, codes, line in (("filtering", look.filtered_codes, ":"), ("posterior", look.mean, "-")):
        method = METHODS[method_of(label)]
        points = plane.points(codes)
        style: dict[str, Any] = {"color": method.colour, "marker": method.marker, "markersize": 4.5}
        axes.plot(*points.T, color=method.colour, linewidth=1.3, linestyle=line, alpha=0.7)
        axes.plot(*points[~hidden].T, **style, linestyle="none")
        axes.plot(*points[hidden].T, **style, linestyle="none", markerfacecolor=PAPER)
        handles.append(Line2D([], [], **style | {"linestyle": line}, label=label))
    star: dict[str, Any] = {"color": INK, "marker": "*", "linestyle": "none"}
    axes.plot(*mean[0], **star, markersize=13, markeredgecolor=PAPER, zorder=5)
    handles += [
        Patch(color=POSTERIOR, alpha=0.3, label="90 % of it"),
        _hollow("hidden frame"),
        Line2D([], [], **star, markersize=10, label="start"),
    ]
    if future is not None:
        for codes in future.codes:
            points = plane.points(codes, first_step=steps + 1)
            axes.plot(*np.concatenate([mean[-1:], points]).T, color=IMAGINED, linewidth=1, alpha=0.55)
        handles.append(Line2D([], [], color=IMAGINED, linewidth=1.4, label="imagined on"))
    canvas.style_axes(axes)
    axes.set_xlabel(plane.labels[0])
    axes.set_ylabel(plane.labels[1])
    # In two rows.
    columns = -(-len(handles) // 2)
    figure.legend(
        handles=handles, loc="upper center", ncols=columns, frameon=False, fontsize=9, columnspacing=1.2
    )
    return figure


def alpha_over_time(look: Look) -> Figure:
    """Plot the posterior mean of alpha, stacked, with an orange bar over hidden steps."""
    figure = figures.alpha_over_time(look.alpha[None], size=(4.1, 1.15))
    (axes,) = figure.axes
    for step in np.flatnonzero(look.hidden):
        axes.axvspan(step + 0.5, step + 1.5, 1.02, 1.06, color=HIDDEN, linewidth=0, clip_on=False)
    return figure


def codes_in_words(hidden: str, imagined: bool) -> str:
    """Return what the plane of codes shows, for those who cannot see it; `hidden` names the hidden frames."""
    on = ", and the samples imagined on" if imagined else ""
    return (
        "Codes of the frames in the plane: the truth as a thick grey line, over it filtering and the "
        f"posterior with the region that holds nine tenths of it, hollow at hidden frames ({hidden}){on}"
    )


def alpha_in_words(alpha: np.ndarray, hidden: str) -> str:
    """Return which weight of alpha [T, K] is the largest in which frames, for those who cannot see the plot.

    Example:
        >>> alpha_in_words(np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]), "none")
        'Weights of the mixture over time, the largest: model 1 in frames 1-2, model 2 in 3; hidden: none'
    """
    runs = itertools.groupby(enumerate(alpha.argmax(axis=-1), start=1), key=lambda pair: pair[1])
    parts = []
    for model, pairs in runs:
        steps = [step for step, _ in pairs]
        parts.append(f"model {model + 1} in {steps[0]}" + (f"-{steps[-1]}" if len(steps) > 1 else ""))
    largest = ", ".join(parts).replace(" in ", " in frames ", 1)
    return f"Weights of the mixture over time, the largest: {largest}; hidden: {hidden}"


def _ellipse(center: np.ndarray, cov: np.ndarray) -> Ellipse:
    variances, vectors = np.linalg.eigh(cov)
    width, height = 2 * _RADIUS * np.sqrt(np.maximum(variances, 0))
    angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
    return Ellipse(tuple(center), width, height, angle=angle, color=POSTERIOR, alpha=0.16, linewidth=0.8)


def _hollow(label: str) -> Line2D:
    return Line2D(
        [], [], color=GREY, marker="o", markersize=5, markerfacecolor=PAPER, linestyle="none", label=label
    )
