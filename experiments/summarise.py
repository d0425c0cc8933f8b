"""Set trials side by side: a row for each run, with the options in which they differ, as Markdown.

python -m experiments.summarise logs/trial_* > results/worlds/pendulum_trials.md
"""

import csv
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.compare import METHODS, PLACES, read_curve, row_of
from kvae.config import Config
from kvae.system.command import guarded

SEEN = {"explained": 3, "unseen": 3, "alive": 0}
"""What an evaluation says of motion and codes, see `kvae.evaluation.motion`, and with how many digits."""


@dataclass(frozen=True)
class Options:
    """Print a table of finished runs, the best test bound first."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders of run_kvae.py."""
    title: str = "Trials"
    """Heading of the table."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        text = table(options.runs, options.title)
    except (OSError, KeyError, IndexError, json.JSONDecodeError) as error:
        print(f"Error: not the folder of a finished run: {error!r}", file=sys.stderr)
        return 2
    print(text)
    return 0


def table(runs, title):
    """Return the table of the runs in these folders."""
    # Through Config, as a run of an older version lacks the options that came later.
    of_runs = [
        Config.from_dict(json.loads((run / "config.json").read_text())["options"]).to_dict() for run in runs
    ]
    common = {
        name: value
        for name, value in of_runs[0].items()
        if name not in PLACES and all(options.get(name) == value for options in of_runs)
    }
    differing = [name for name in of_runs[0] if name not in (*common, *PLACES)]
    rows = [
        ([options[name] for name in differing], *_results(run))
        for options, run in zip(of_runs, runs, strict=True)
    ]
    rows.sort(key=lambda row: -row[1])
    shared = ("dataset", "preset", "num_epochs", "batch_size", "seed")
    what = ", ".join(f"{name} {common[name]}" for name in shared if common.get(name) not in ("", None))
    columns = [*differing, "test bound per frame", *METHODS, *SEEN, "best epoch", "minutes"]
    lines = [
        f"# {title}",
        "",
        "    " + shlex.join(["python", "-m", "experiments.summarise", *map(str, runs)]),
        "",
        f"All with {what}; {', '.join(METHODS)} are fractions of wrong pixels on hidden frames, means over "
        "the planning curve (1, 3, .. hidden frames); sampling was judged on a part of the test set. Of all "
        "motion `explained` is explained, and of `unseen` of the moving pixels less than half; `alive` codes "
        "vary.",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
    ]
    for values, bound, errors, seen, best_epoch, minutes in rows:
        cells = [*values, f"{bound:.2f}", *errors, *seen, best_epoch, f"{minutes:.0f}"]
        lines.append(row_of(cells[0], cells[1:]))
    return "\n".join(lines)


def _results(run):
    evaluation = json.loads((run / "evaluation.json").read_text())
    bound = evaluation["test_bound"]
    with (run / "metrics.csv").open() as file:
        minutes = float(list(csv.DictReader(file))[-1]["train_time_seconds"]) / 60
    curve = read_curve(run / "imputation_planning.csv")
    means = {method: np.mean([wrong for wrong, _ in values.values()]) for method, values in curve.items()}
    errors = [f"{means[method]:.4f}" if method in means else "" for method in METHODS]
    motion = evaluation.get("motion", {})
    seen = [f"{motion[name]:.{digits}f}" if name in motion else "" for name, digits in SEEN.items()]
    bound = bound["total"] - bound["state_space"] + bound["exact"]
    return bound, errors, seen, evaluation["best_epoch"], minutes


if __name__ == "__main__":
    sys.exit(main())
