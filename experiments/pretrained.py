"""Keep trained models with the code: what a run folder needs for its model, and a table of all that are kept.

python -m experiments.pretrained logs/box_kvae logs/pendulum_kvae

Each run goes to pretrained/WORLD, in place of the model that was there. Options that say where things lie on
the machine of the run are set to their defaults; of the run that it began with, if it did, the name stays.
"""

import csv
import json
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.compare import PLACES, command_of, read_curve, row_of
from experiments.kept_runs import check_weights
from kvae.config import Config
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing

FILES = ("evaluation.json", "imputation_planning.csv", "imputation_random.csv", "metrics.csv", "model.keras")
LARGEST = 10**6
"""Bytes of a model."""
BEGINNINGS = {
    "box": """\
It began with a model of 5,000 sequences (36 minutes at commit 7fbc2c2, test bound -3.73), whose
encoder and decoder it has. Its dynamics were trained on with 50,000:

    python run_kvae.py --dataset box --run_name reproduce_box_0
    python -m simulation.generate --dataset box --num_train 50000 --data_dir big
    python run_kvae.py --dataset box --data_dir big --init_model logs/reproduce_box_0_kvae \\
        --num_epochs 0 --refine_epochs 75

Its `config.json` names the default `data_dir`, whose test sequences are the same. What the first
model can do is in [results/box.md](../results/box.md), what three seeds of both can in
[results/reproduce/box.md](../results/reproduce/box.md) and
[results/more_data/box.md](../results/more_data/box.md).
""",
}
"""Of the worlds whose model began with another's: how that was made, and with what it went on."""


@dataclass(frozen=True)
class Options:
    """Keep trained models with the code."""

    run_folders: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Run folders of run_kvae.py; without any the table alone is made anew."""
    output_dir: Path = Path("pretrained")
    """Where the models and README.md go."""


class PretrainedError(UserError):
    """A run cannot be kept; the message says why."""


def keep(run_folder, output_dir):
    """Copy what a model needs, and what is known of it, to the folder of its world."""
    facts = json.loads((run_folder / "config.json").read_text())
    check_weights(run_folder)
    if missing := [name for name in FILES if not (run_folder / name).exists()]:
        raise PretrainedError(f"{run_folder} has no {missing[0]}: is the run finished?")
    if (size := (run_folder / "model.keras").stat().st_size) > LARGEST:
        raise PretrainedError(f"The model of {run_folder} has {size:,} bytes, more than {LARGEST:,}")
    folder = output_dir / facts["options"]["dataset"]
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLACES:
        facts["options"][name] = getattr(Config, name)
    if began_with := facts["options"].get("init_model"):
        facts["options"]["init_model"] = f"{Config.log_dir}/{Path(began_with).name}"
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n")
    for name in FILES:
        with replacing(folder / name) as temporary:
            copy = _copy_model if name.endswith(".keras") else shutil.copyfile
            copy(run_folder / name, temporary)


def _copy_model(source, target):
    """Copy a saved model, whose own options say where things lie too."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for member in archive.infolist():
            content = archive.read(member)
            if member.filename == "config.json":
                saved = json.loads(content)
                options = saved["config"]["config"]
                options |= {name: getattr(Config, name) for name in PLACES if name in options}
                if began_with := options.get("init_model"):
                    options["init_model"] = f"{Config.log_dir}/{Path(began_with).name}"
                content = json.dumps(saved).encode()
            copy.writestr(member, content)


def table_of(output_dir):
    """Return README.md: the models that are kept, the commands that made them, and how good they are.

    Raises:
        PretrainedError: a model began with another, and `BEGINNINGS` does not say how that was made.
    """
    lines = [
        "# Trained models",
        "",
        "Weights, options and metrics, in folders that work as run folders do. Made by",
        "",
        "    python -m experiments.pretrained RUN_FOLDER ...",
        "",
        "of runs by the commands below, whose seed is 0 unless they say otherwise. Minutes are by the clock:",
        "the machine did other work beside, and some runs were paused. The bound is per frame of the test",
        "set; the fractions of wrong pixels are those of 1, 5, 9 and 13 hidden frames (`pendulum`: 1, 5 and",
        "9), which for grey pixels mean little: [its errors](../results/worlds/pendulum.md).",
        "",
        row_of("world", ["command", "commit", "minutes", "test bound", "sampling", "smoothing", "size"]),
        row_of("---", ["---"] * 7),
    ]
    beginnings = []
    for folder in sorted(path.parent for path in output_dir.glob("*/config.json")):
        facts = json.loads((folder / "config.json").read_text())
        with (folder / "metrics.csv").open() as file:
            minutes = float(list(csv.DictReader(file))[-1]["train_time_seconds"]) / 60
        bound = json.loads((folder / "evaluation.json").read_text())["test_bound"]["total"]
        curve = read_curve(folder / "imputation_planning.csv")
        size = (folder / "model.keras").stat().st_size
        cells = [
            f"`{command_of(facts['options'])}`",
            facts["git_commit"][:7],
            f"{minutes:.0f}",
            f"{bound:.2f}",
        ]
        cells += [_some(curve[method]) if method in curve else "" for method in ("sampling", "smoothing")]
        lines.append(row_of(f"`{folder.name}`", [*cells, f"{size / 1e6:.2f} MB"]))
        if began_with := facts["options"].get("init_model"):
            if folder.name not in BEGINNINGS:
                raise PretrainedError(
                    f"{folder} began with the model of {began_with}. How that was made, BEGINNINGS in "
                    "experiments/pretrained.py must say"
                )
            beginnings += ["", f"## {folder.name}", "", BEGINNINGS[folder.name].rstrip()]
    return "\n".join([*lines, *beginnings]) + "\n"


def _some(points):
    return " ".join(f"{points[x][0]:.4f}" for x in (1, 5, 9, 13) if x in points)


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        for run_folder in options.run_folders:
            keep(run_folder, options.output_dir)
        table = table_of(options.output_dir)
        with replacing(options.output_dir / "README.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
    except (UserError, OSError, KeyError, json.JSONDecodeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
