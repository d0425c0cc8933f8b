"""Set the mean imputation curves of some runs beside those of others, as a table in Markdown.

python -m experiments.compare_means --runs logs/bfloat16/* --others logs/float32/* > results/precision.md
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from experiments.compare import METHODS, command_of, read_curve, row_of
from kvae.system.command import guarded

CURVES = {
    "planning": "hidden frames after the first 4",
    "random": "probability of hiding a frame after the first 4",
}


@dataclass(frozen=True)
class Options:
    """Print the mean curves of some runs beside those of others."""

    runs: tuple[Path, ...]
    """Run folders of run_kvae.py."""
    others: tuple[Path, ...]
    """Those to compare them with."""
    title: str = "Mean curves"
    """Heading of the table."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        text = table(options)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        print(f"Error: not the folder of a finished run: {error}", file=sys.stderr)
        return 2
    print(text)
    return 0


def table(options):
    """Return the comparison as Markdown."""
    groups = {"runs": options.runs, "others": options.others}
    lines = [f"# {options.title}", ""]
    for name, folders in groups.items():
        lines += [f"{name.capitalize()}:", ""]
        for folder in folders:
            facts = json.loads((folder / "config.json").read_text())
            lines.append(f"    {command_of(facts['options'])}   # convolutions in {facts['precision']}")
        lines.append("")
    lines += ["Compared by", "", f"    {_command(options)}", ""]
    bounds = {name: [_bound(folder) for folder in folders] for name, folders in groups.items()}
    lines.append(
        "Test bound per frame, exact state space term, run by run: "
        + "; ".join(f"{name} {', '.join(f'{b:.2f}' for b in of)}" for name, of in bounds.items())
        + "."
    )
    worst = {}
    for curve, title in CURVES.items():
        xs, runs = _curves(options.runs, curve)
        _, others = _curves(options.others, curve)
        lines += ["", f"## Fraction of wrong pixels on hidden frames, by {title}", ""]
        lines += [row_of("", xs), row_of("---", ["---"] * len(xs))]
        for method in (m for m in METHODS if m in runs and m in others):
            means = {"runs": runs[method].mean(axis=0), "others": others[method].mean(axis=0)}
            for name, values in means.items():
                lines.append(row_of(f"{method}, {name}", [f"{value:.4f}" for value in values]))
            excess = means["runs"] / means["others"] - 1
            lines.append(row_of(f"**{method}, runs above others**", [f"{e:+.1%}" for e in excess]))
            error = _standard_error(runs[method], others[method]) / means["others"]
            lines.append(row_of("standard error of that", [f"{e:.1%}" for e in error]))
            worst[curve, method] = max(excess)
    lines += ["", "Largest excess of the runs' error, at any point of a curve:", ""]
    lines += [f"- {curve}, {method}: {excess:+.1%}" for (curve, method), excess in worst.items()]
    return "\n".join(lines)


def _curves(folders, curve):
    """Return the xs, and method -> the fractions of wrong pixels [run, x], for what all runs have."""
    curves = [read_curve(folder / f"imputation_{curve}.csv") for folder in folders]
    xs = sorted(next(iter(curves[0].values())))
    shared = [method for method in METHODS if all(method in of_run for of_run in curves)]
    return xs, {
        method: np.array([[of_run[method][x][0] for x in xs] for of_run in curves]) for method in shared
    }


def _standard_error(runs, others):
    """Return how far two such means would be apart by chance; NaN for groups of one run."""
    if min(len(runs), len(others)) < 2:
        return np.full(runs.shape[1], np.nan)
    return np.sqrt(sum(np.var(group, axis=0, ddof=1) / len(group) for group in (runs, others)))


def _bound(folder):
    bound = json.loads((folder / "evaluation.json").read_text())["test_bound"]
    return bound["total"] - bound["state_space"] + bound["exact"]


def _command(options):
    words = ["python", "-m", "experiments.compare_means", "--runs", *map(str, options.runs)]
    return shlex.join([*words, "--others", *map(str, options.others), "--title", options.title])


if __name__ == "__main__":
    sys.exit(main())
