"""The paper's second table on our own pendulum: KVAE, DVBF and DMM, by their bounds and what states tell.

python -m experiments.torque_pendulum
python -m experiments.torque_pendulum --models dmm --log_dir logs/trial_2 --run_options init_lr=0.003

For each model and seed it trains `run_kvae.py --dataset pendulum`, with the torques, and prints a table in
Markdown. What is there already is not made again: a run that was stopped goes on, as does this command.
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from numpy.typing import NDArray

from experiments import made_runs
from experiments.compare import circumstances_of, command_of, row_of
from kvae.errors import UserError
from kvae.system.command import guarded
from simulation.dataset import dataset_path

Name = Literal["kvae", "kvae_mlp", "dvbf", "dmm"]

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "kvae": ("--model", "kvae"),
    # As wide as the networks of the others' authors.
    "kvae_mlp": ("--model", "kvae", "--conv", "False", "--vae_num_units", "128"),
    # Three dimensions, as their authors have it.
    "dvbf": ("--model", "dvbf", "--dim_a", "3"),
    "dmm": ("--model", "dmm", "--dim_a", "3"),
}
"""What each model is, on top of what run_kvae.py starts from in this world."""
LABELS = {"kvae": "KVAE (CNN)", "kvae_mlp": "KVAE (MLP)", "dvbf": "DVBF", "dmm": "DMM"}
PAPER = {
    "kvae": (810.08, None),
    "kvae_mlp": (807.02, None),
    "dvbf": (798.56, (0.961, 0.982, 0.916)),
    "dmm": (784.70, (0.929, 0.979, 0.035)),
}
"""Bounds as the KVAE's paper has them, R2 as DVBF's, on their authors' data: the order alone carries."""
QUANTITIES = ("sin phi", "cos phi", "phi'")
SCORES = "torque_pendulum.json"
"""In a run's folder."""
BATCH = 100


@dataclass(frozen=True)
class Options:
    """Train models on the torque pendulum, and print bounds and what their states tell of its motion."""

    models: tuple[Name, ...] = ("kvae", "kvae_mlp", "dvbf", "dmm")
    """Which models."""
    seeds: int = 3
    """Runs of each, with the seeds 0, 1, .."""
    num_epochs: int = 0
    """Passes over the training data. 0: as many as the world has."""
    run_options: tuple[str, ...] = ()
    """More options of run_kvae.py for every run, such as init_lr=0.003: a trial, in a log_dir of its own."""
    data_dir: Path = Path("data")
    """Folder of the dataset, simulated where it is not there."""
    log_dir: Path = Path("logs/torque_pendulum")
    """Folder of the runs."""


@guarded
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    prog = "python -m experiments.torque_pendulum"
    options = tyro.cli(Options, prog=prog, args=given, use_underscores=True)
    try:
        _check(options)
        folders = {
            model: [
                made_runs.trained(options.log_dir / _name(model, seed), run_arguments(options, model, seed))
                for seed in range(options.seeds)
            ]
            for model in options.models
        }
        scores = {model: [scored(folder, options.data_dir) for folder in folders[model]] for model in folders}
        print(report(shlex.join([*prog.split(), *given]), folders, scores))
    except (UserError, OSError, json.JSONDecodeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options: Options) -> None:
    if not 1 <= options.seeds <= 1000:
        raise UserError(f"seeds must be between 1 and 1000. Received: {options.seeds}")
    if options.num_epochs < 0:
        raise UserError(f"num_epochs must not be negative. Received: {options.num_epochs}")
    if not options.models or len(set(options.models)) < len(options.models):
        raise UserError(f"models must be named, each once. Received: {' '.join(options.models) or 'none'}")


def _name(model: str, seed: int) -> str:
    """Return the name of a run's folder."""
    return f"{model}_{seed}_{OPTIONS[model][1]}"


def run_arguments(options: Options, model: str, seed: int) -> list[str]:
    """Return the arguments of run_kvae.py for one run."""
    words = ["--dataset", "pendulum", *OPTIONS[model], "--seed", str(seed)]
    if options.num_epochs:
        words += ["--num_epochs", str(options.num_epochs)]
    # Films and curves come once it is trained.
    words += ["--generate_step", "1000", "--display_step", "10"]
    words += [f"--{option}" for option in options.run_options]
    places = ["--data_dir", str(options.data_dir), "--log_dir", str(options.log_dir)]
    return [*words, *places, "--run_name", f"{model}_{seed}"]


def scored(folder: Path, data_dir: Path) -> dict[str, float]:
    """Return the test bound of a finished run, and the R2 of each of `QUANTITIES`; kept in its folder."""
    path = folder / SCORES
    if path.exists():
        return json.loads(path.read_text())
    from kvae.data.dataset import load as load_data
    from kvae.runs.load import load
    from kvae.system.files import replacing

    print(f"Scoring {folder}", flush=True)
    model = load(folder)
    train, test = (load_data(dataset_path(data_dir, "pendulum", split)) for split in ("train", "test"))
    bound = json.loads((folder / "evaluation.json").read_text())["test_bound"]["total"]
    means = [latent_means(model, data.images, data.controls) for data in (train, test)]
    found = linear_r2(means[0], quantities(train.states), means[1], quantities(test.states))
    scores = {"bound": bound, **dict(zip(QUANTITIES, map(float, found), strict=True))}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(scores, indent=2), encoding="utf-8")
    return scores


def latent_means(model, images: NDArray, controls: NDArray) -> NDArray:
    """Return the means of smoothed states [N, T, D], of a KVAE or of a rival whose states are decoded."""
    found = []
    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        features = model.features(images[part], model.seeds(0))
        found.append(model.infer_codes(features, None, controls[part]).smoothed_states.mean.numpy())
    return np.concatenate(found)


def quantities(states: NDArray) -> NDArray:
    """Return sin phi, cos phi and phi' [N, T, 3] of states phi, phi' [N, T, 2]."""
    phi, speed = states[..., 0], states[..., 1]
    return np.stack([np.sin(phi), np.cos(phi), speed], axis=-1)


def linear_r2(inputs: NDArray, targets: NDArray, of_inputs: NDArray, of_targets: NDArray) -> NDArray:
    """Return the R2 [Q] of a linear regression with an offset.

    Args:
        inputs: [N, T, D], which it is fitted on.
        targets: [N, T, Q].
        of_inputs: [M, T, D], which it is judged on.
        of_targets: [M, T, Q].
    """
    flat, judged = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (inputs, of_inputs))
    wanted, truth = (array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (targets, of_targets))
    weights, *_ = np.linalg.lstsq(_with_ones(flat), wanted, rcond=None)
    rest = truth - _with_ones(judged) @ weights
    return 1 - (rest**2).mean(axis=0) / truth.var(axis=0)


def _with_ones(values: NDArray) -> NDArray:
    return np.concatenate([values, np.ones([len(values), 1])], axis=1)


def report(
    command: str,
    folders: Mapping[str, Sequence[Path]],
    scores: Mapping[str, Sequence[Mapping[str, float]]],
) -> str:
    """Return the page: the commands, and a table with a row for each model.

    Args:
        command: what made it.
        folders: of each model's runs.
        scores: of each model, what `scored` says of its runs.
    """
    lines = ["# The torque pendulum", "", "Made by", "", f"    {command}", "", "which ran", ""]
    facts = [
        json.loads((folder / "config.json").read_text())
        for of_model in folders.values()
        for folder in of_model
    ]
    lines += [f"    {command_of(of_run['options'])}" for of_run in facts]
    lines += ["", circumstances_of(facts[0]), ""]
    seeds = max(map(len, scores.values()))
    lines.append(
        "Test bound of log p(x | u) per frame, in nats, and R2 on test data of a linear regression, fitted "
        "on training data, from the means of the states, given all frames. "
        + (f"{seeds} seeds: mean, in brackets the standard deviation." if seeds > 1 else "One seed.")
    )
    lines.append(
        "In the last columns the bound in the KVAE's paper and the R2 in DVBF's, on their authors' data: the "
        "order alone can be compared."
    )
    columns = ["test bound", *QUANTITIES, "paper: bound", "R2"]
    lines += ["", row_of("", columns), row_of("---", ["---"] * len(columns))]
    for model, runs in scores.items():
        bound, r2 = PAPER[model]
        cells = [_cell([run[name] for run in runs], 2 if name == "bound" else 3) for name in runs[0]]
        of_paper = [f"{bound:.2f}", ", ".join(f"{value:.3f}" for value in r2) if r2 else ""]
        lines.append(row_of(LABELS[model], [*cells, *of_paper]))
    return "\n".join([*lines, ""])


def _cell(values: Sequence[float], digits: int) -> str:
    deviation = f" ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


if __name__ == "__main__":
    sys.exit(main())
