"""Set a run beside the paper's figures and a run of the original code, as a table in Markdown.

python -m experiments.compare results/runs/reproduce_box_0_kvae > results/box.md
"""

import csv
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from kvae.config import Config
from kvae.config.all_options import RETIRED, marked
from kvae.config.marks import Mark
from kvae.config.start import first_phases_over, preset_options, trained_on
from kvae.system.command import guarded

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
PLACES = marked(Mark.PLACE)
# What a run has in place of `auto`, where its frames are those of the worlds as they are.
OF_GREY_32X32 = {"channels": 1, "num_filters": [32, 32, 32]}
# Ways to fill in hidden frames; a run need not have them all.
METHODS = ("sampling", "smoothing", "filtering", "generation")


@dataclass(frozen=True)
class Options:
    """Print a run's results beside the paper's and the original code's."""

    run_folder: Annotated[Path, tyro.conf.Positional]
    """A run folder of run_kvae.py."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    folder = tyro.cli(Options, args=arguments).run_folder
    try:
        text = table(folder)
    except (OSError, KeyError, json.JSONDecodeError) as error:
        print(f"Error: {folder} is not the folder of a finished run: {error!r}", file=sys.stderr)
        return 2
    print(text)
    return 0


def table(folder):
    """Return the results of the run in a folder, as Markdown."""
    facts = json.loads((folder / "config.json").read_text())
    evaluation = json.loads((folder / "evaluation.json").read_text())
    options = facts["options"]
    with (folder / "metrics.csv").open() as file:
        minutes = float(list(csv.DictReader(file))[-1]["train_time_seconds"]) / 60
    paper = json.loads((REFERENCE / "figure3.json").read_text())
    original = json.loads((REFERENCE / "original_run.json").read_text())
    world = options["dataset"]
    bound = evaluation["test_bound"]
    rest = bound["total"] - bound["state_space"]
    lines = [
        f"# {world}",
        "",
        "Made by",
        "",
        f"    {command_of(options)}",
        f"    python -m experiments.compare {folder}",
        "",
        circumstances_of(facts),
        "",
        f"- Training: {minutes:.0f} minutes for {epochs_of(options)}, evaluations on the way "
        f"included (the original code: {original['training_minutes']} minutes).",
        f"- {chosen_by(options)}, the one evaluated here: {evaluation['best_epoch']}.",
        f"- Test bound per frame: {rest + bound['exact']:.2f} with the exact state space term, "
        f"{rest + bound['sampled']:.2f} with the sampled one"
        + (f" (the original code, sampled: {original['test_bound_per_frame']})." if world == "box" else "."),
    ]
    # Sequences of less than 16 frames have none.
    if evaluation["baseline"] is not None:
        lines.append(
            f"- Distance between early and late frames: {evaluation['baseline']:.4f} of the pixels"
            + (f" (original: {original['baseline']})." if world == "box" else ".")
        )
    for name, title, x_key in (
        ("planning", "hidden frames after the first 4", "hidden_steps"),
        ("random", "probability of hiding a frame after the first 4", "drop_probability"),
    ):
        ours = read_curve(folder / f"imputation_{name}.csv")
        xs = sorted(next(iter(ours.values())))
        lines += ["", f"## Fraction of wrong pixels on hidden frames, by {title}", ""]
        lines += [row_of("", xs), row_of("---", ["---"] * len(xs))]
        for method, values in ours.items():
            part = ", on a part of the test set" if method == "sampling" else ""
            lines.append(row_of(f"**this run, {method}**{part}", [f"{values[x][0]:.4f}" for x in xs]))
        references = {f"paper, {m}": (paper[name], f"kvae_{m}") for m in ("smoothing", "filtering")}
        if world == "box":
            for method in ("smoothing", "filtering", "generation"):
                if method in original[name]:
                    references[f"original code, {method}"] = (original[name], method)
        for label, (source, key) in references.items():
            at = dict(zip(source[x_key], source[key], strict=True))
            label = label if world == "box" else f"{label} (on box)"
            lines.append(row_of(label, [f"{at[x]:.4f}" if x in at else "" for x in xs]))
        lines += ["", "Error of the codes (RMSE over their standard deviation):", ""]
        lines += [row_of("", xs), row_of("---", ["---"] * len(xs))]
        for method, values in ours.items():
            lines.append(row_of(f"**this run, {method}**", [f"{values[x][1]:.3f}" for x in xs]))
        codes = "normalised_rmse_of_smoothed_codes"
        if world == "box" and codes in original[name]:
            at = dict(zip(original[name][x_key], original[name][codes], strict=True))
            lines.append(row_of("original code, smoothing", [f"{at[x]:.3f}" for x in xs]))
    return "\n".join(lines)


def circumstances_of(facts):
    """Return the sentence on when and where a run was made, from its config.json."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"at commit {facts['git_commit']}, on {facts['machine']['processor']}, convolutions in "
        f"{facts['precision']}; {versions}."
    )


def chosen_by(options):
    """Say which epoch's model a run has kept, by its options."""
    if "validation_split" not in options:
        # A run of before sequences were held out.
        return "Best epoch by test bound"
    return "Best epoch by validation bound" if options["validation_split"] else "Last epoch"


def epochs_of(options):
    """Return how many epochs a run's options ask for, in words."""
    refined = options.get("refine_epochs", 0)
    return f"{options['num_epochs']} epochs" + (f" and {refined} of the dynamics alone" if refined else "")


def command_of(options):
    """Return the command that a run's options belong to: those that are not the defaults.

    Of a run that began with another's model: if that one had the defaults.
    """
    retired = {name: options[name] for name in RETIRED if name in options}
    present = {name: value for name, value in options.items() if name not in retired}
    of_run = Config.from_dict(present).to_dict() | retired
    preset = preset_options(of_run["preset"], of_run["dataset"], of_run)
    defaults = Config(**preset).to_dict() | RETIRED
    words = ["python run_kvae.py --dataset", of_run["dataset"]]
    implied = {"dataset", *PLACES}
    if of_run["init_model"]:
        # Those come with the model.
        implied |= trained_on()
        defaults |= first_phases_over()
    for name, value in of_run.items():
        if name not in implied and value not in (defaults[name], OF_GREY_32X32.get(name)):
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words.append(f"--{name} {shlex.quote(text)}")
    return " ".join(words)


def read_curve(path):
    """Return method -> x -> (wrong pixels, normalised RMSE)."""
    curves = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            point = (float(row["wrong_pixels"]), float(row["normalised_rmse"]))
            curves.setdefault(row["method"], {})[float(row["x"])] = point
    return curves


def row_of(label, cells):
    """Return a row of a table in Markdown."""
    texts = [f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in cells]
    return f"| {label} | " + " | ".join(texts) + " |"


if __name__ == "__main__":
    sys.exit(main())
