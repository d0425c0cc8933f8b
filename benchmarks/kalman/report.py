"""The table and the figure of `benchmarks.kalman`."""

import os
import platform

import numpy as np
from matplotlib.figure import Figure

from benchmarks.kalman.candidates import TASKS
from benchmarks.kalman.measure import TOLERANCE
from kvae.system.device import gpu_names


def cell_text(cell):
    """Return median and quartiles in milliseconds, or why there are none."""
    if np.isnan(cell.first):
        return "-"
    if not cell.seconds:
        return f"wrong by {cell.error:.0e}"
    low, middle, high = (f"{1e3 * s:.3g}" for s in np.percentile(cell.seconds, [25, 50, 75]))
    return f"{_plain(middle)} ({_plain(low)} - {_plain(high)})"


def _plain(number):
    """Write a number of three digits without an exponent."""
    return f"{float(number):.0f}" if float(number) >= 100 else number


def first_call_text(cell):
    """Return the seconds of the first call, or a dash."""
    return "-" if np.isnan(cell.first) else f"{cell.first:.2g}"


def markdown(table, text):
    """Return the table as Markdown, a row for each task and candidate, a column for each length.

    Args:
        table: what `benchmark` returns.
        text: a function from a `Measured` to what stands in its cell.
    """
    lengths = list(table)
    rows = [["", *(f"T = {length}" for length in lengths)]]
    for task in TASKS:
        rows.append([f"**{task}**", *[""] * len(lengths)])
        for key in table[lengths[0]]:
            if key[1] == task:
                rows.append([key[0], *(text(table[length][key]) for length in lengths)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(lengths) + 1)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def figure_of(table):
    """Plot the medians against the length, a panel for each task."""
    colours = {
        "ours, sequential": "#0072B2",
        "ours, parallel": "#56B4E9",
        "TFP, sequential": "#D55E00",
        "TFP, parallel": "#E69F00",
        "dynamax, sequential": "#009E73",
        "dynamax, parallel": "#CC79A7",
    }
    lengths = list(table)
    figure = Figure(figsize=(12.5, 4.6), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(TASKS), sharex=True, sharey=True)
    handles = {}
    for axes, task in zip(panels, TASKS, strict=True):
        for name, of_task in table[lengths[0]]:
            if of_task != task:
                continue
            cells = [table[length][name, task].seconds for length in lengths]
            medians = [1e3 * np.median(seconds) if seconds else np.nan for seconds in cells]
            (handles[name],) = axes.plot(
                lengths,
                medians,
                color=colours[name.removesuffix(", XLA")],
                linestyle="-" if name.endswith("XLA") or name.startswith("dynamax") else "--",
                marker="^" if "parallel" in name else "o",
                markersize=4.5,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(task, fontsize=11)
        axes.set_xlabel("steps $T$")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#EBEBEB", linewidth=0.8)
    panels[0].set_ylabel("milliseconds")
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=5, frameon=False, fontsize=9.5)
    return figure


def report_of(table, options, command, versions):
    """Return the text of kalman.md."""
    machine = ", ".join([platform.platform(), f"{os.cpu_count()} cores", *gpu_names()])
    models = "others A and C in every sequence and step"
    if options.one_model:
        models = (
            "the same A and C in all sequences and steps, which dynamax alone is told: what depends on no "
            "observation, such as a covariance, it computes once for all sequences"
        )
    notes = [
        f"Batch {options.batch_size}, states of {options.dim_z} dimensions, observations of {options.dim_y}, "
        f"float32 (inside, our filter computes in float64); {models}; every step observed, as dynamax "
        "knows no missing ones.",
        "The gradient is that of the summed log-likelihood with respect to y and A.",
        f"Everything timed agrees with a float64 filter to {TOLERANCE:g}, relative to the largest entry.",
        f"A dash: left out, as its first call would have taken more than {options.limit:g} s, or as a call "
        f"of dynamax did not come back within {2 * options.limit:g} s, at this length or a shorter one.",
        "TFP's parallel filter has no smoother, and its gradient is wrong in TFP 0.25.",
    ]
    if "dynamax" not in versions:
        notes.append("dynamax was left out: `--dynamax_env` was not given.")
    return "\n".join(
        [
            "# Kalman filters and smoothers\n",
            f"    {command}\n",
            f"{machine};",
            ", ".join(f"{name} {version}" for name, version in versions.items()) + ".\n",
            *(f"- {note}" for note in notes),
            "\n## Milliseconds: median (quartiles), run in turn\n",
            markdown(table, cell_text),
            "\n## Seconds of the first call, with tracing and compiling\n",
            markdown(table, first_call_text) + "\n",
        ]
    )
