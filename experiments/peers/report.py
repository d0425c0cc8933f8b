"""The page and the table of a task: our scores beside those of others, each with where it is from."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.compare import circumstances_of, command_of, row_of
from experiments.peers.scores import METHODS, Score
from experiments.peers.tasks import TASKS, Task
from kvae.errors import UserError
from kvae.system.files import replacing

TITLES = {
    "rkn": "Imputation of the recurrent Kalman network's pendulum",
    "cru": "Interpolation of CRU's pendulum",
}
MEASURES = {
    "rkn": ("cross_entropy", "nats a frame", 1.0),
    "cru": ("squared_error", "mean squared error, 1e-3", 1e3),
}
"""The field of a score that the yardstick is, what a column is called, and what it is multiplied by."""
TARGETS = {"rkn": 12.25, "cru": 0.45}
RULES = {
    "rkn": "Cross-entropy against grey frames, summed over the pixels, mean over ALL frames, seen ones as "
    "the decoder has them. Half of the 75 frames are hidden, the first five never; all training frames may "
    "be learned from.",
    "cru": "Mean squared error of the frames that exist and are not seen. Of 100 frames 50 exist, in "
    "training too, and of these about half are seen.",
}
PUBLISHED: dict[str, dict[str, tuple[float, str]]] = {
    "rkn": {
        "RKN": (12.78, "recalled, not read in a source here"),
        "KVAE as the RKN's authors ran it, smoother": (13.34, "recalled, not read in a source here"),
        "KVAE as the RKN's authors ran it, filter": (14.38, "recalled, not read in a source here"),
    },
    "cru": {
        "latent SDE on a homogeneous space": (8.15, "read in LatentSDEonHS's README: ten seeds, +- 0.06")
    },
}
LABELS = {
    "sampling": "**KVAE, sampling**",
    "smoothing": "**KVAE, smoothing**, the paper's procedure",
    "filtering": "**KVAE, filtering**, the paper's procedure",
}


def page(
    task: Task,
    commands: Sequence[str],
    folders: Sequence[Path],
    runs: Sequence[Mapping[str, Score]],
    others: Mapping[str, Score],
    num_test: int,
    picture: str,
    rival: Mapping[str, Any] | None = None,
) -> str:
    """Return the page.

    Args:
        task: the task.
        commands: what made it.
        folders: of the runs.
        runs: of each the scores by method.
        others: scores of those who were not trained.
        num_test: test sequences.
        picture: name of the strip.
        rival: a peer that was trained here, as `read_rival` returns it.
    """
    field, unit, factor = MEASURES[task.name]
    lines = [f"# {TITLES[task.name]}", "", "Made by", "", *(f"    {command}" for command in commands), ""]
    lines += ["which ran", ""]
    facts = [json.loads((folder / "config.json").read_text()) for folder in folders]
    for folder, fact in zip(folders, facts, strict=True):
        lines.append(f"    {command_of(fact['options'])}   # {_minutes(folder):.0f} minutes")
    seeds = ", ".join(str(fact["options"]["seed"]) for fact in facts)
    lines += ["", circumstances_of(facts[0]), "", f"{RULES[task.name]} {num_test:,} test sequences."]
    count = f"{len(runs)} seeds ({seeds}): mean, in brackets the standard deviation"
    lines += [count if len(runs) > 1 else f"One seed ({seeds})", ""]
    lines += [row_of("", [unit, "from"]), row_of("---", ["---", "---"])]
    rows = []
    for method in METHODS:
        values = [factor * getattr(scores[method], field) for scores in runs]
        rows.append((float(np.mean(values)), LABELS[method], _cell(values, task), "measured"))
    for name, score in others.items():
        value = factor * getattr(score, field)
        rows.append((value, name, _cell([value], task), "computed" if name == "floor" else "measured"))
    for name, (value, source) in PUBLISHED[task.name].items():
        rows.append((value, name, f"{value:.2f}", source))
    if rival is not None:
        value = factor * getattr(lowest(rival), field)
        rows.append((value, _of_rival(rival), _cell([value], task), _measured(rival, num_test)))
    lines += [
        row_of(label, [cell, source]) for _, label, cell, source in sorted(rows, key=lambda row: row[0])
    ]
    best = np.mean([factor * getattr(scores["sampling"], field) for scores in runs])
    target = TARGETS[task.name]
    said = "is met" if best <= target else "is missed"
    lines += [
        "",
        f"The target, {target:g}, {said}. {_spread(task, runs, others)}",
        "",
        f"![Strip]({picture})",
    ]
    lines += [
        "",
        "*The first test sequence: truth, what is seen, what sampling fills in, and its uncertainty.*",
        "",
    ]
    if rival is not None:
        lines += [*_curve(task, rival), ""]
    return "\n".join(lines)


def read_rival(path: Path) -> dict[str, Any] | None:
    """Return what `experiments.peers.rival` measured, or None where there is no such file.

    Raises:
        UserError: the file is another one.
    """
    try:
        found = json.loads(path.read_text())
        _of_rival(found), _measured(found, 0), _curve(TASKS["cru"], found)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UserError(f"{path} was not written by experiments.peers.rival: {error!r}") from error
    return found


def lowest(rival: Mapping[str, Any]) -> Score:
    """Return the score of a peer's evaluation with the smallest error."""
    return min((Score(**point["score"]) for point in rival["curve"]), key=lambda score: score.squared_error)


def _of_rival(rival: Mapping[str, Any]) -> str:
    return f"trained here: {rival['peer']}"


def _measured(rival: Mapping[str, Any], num_test: int) -> str:
    """Say how a peer's figure was come by."""
    last, threads = rival["curve"][-1], rival["num_threads"]
    spent = f"{last['processor_seconds'] / 60:.0f} minutes of "
    spent += "one core" if threads == 1 else f"processor time on {threads} cores"
    words = f"measured here: {last['epoch']:,} epochs of {rival['published_epochs']:,}, {spent}"
    if len(rival["curve"]) > 1:
        words += f"; the lowest of {len(rival['curve'])} evaluations"
    return words + (f"; {rival['num_test']:,} test sequences" if rival["num_test"] != num_test else "")


def _curve(task: Task, rival: Mapping[str, Any]) -> list[str]:
    """Return a section on how a peer came to its figure."""
    field, unit, factor = MEASURES[task.name]
    versions = ", ".join(f"{name} {version}" for name, version in rival["versions"].items())
    threads, last = rival["num_threads"], rival["curve"][-1]
    spent = [f"{last[name] / 60:.0f}" for name in ("seconds", "processor_seconds")]
    lines = [
        "## A peer, trained here",
        "",
        f"The {rival['peer']} by its authors' code ({rival['code']}, commit {rival['peer_commit']}), on "
        f"the same frames and masks, with the settings of its README and seed {rival['seed']}, in an "
        f"environment of its own: {versions}. Made by",
        "",
        f"    {rival['command']}",
        "",
        f"{rival['machine']}; {threads} {'thread' if threads == 1 else 'threads'}, {spent[0]} minutes, "
        f"evaluations included, and in these {spent[1]} minutes of processor time. What it filled in for "
        f"{rival['num_test']:,} test sequences was scored as above; the table has the lowest, chosen in its "
        f"favour. Its README trains for {rival['published_epochs']:,} epochs: this says how far it comes in "
        "the time, not what it can do. Its learning rate falls to nought within 30 epochs, rises for 30, and "
        "so on: a curve that flattens before the 30th is not at its end.",
        "",
        row_of("epochs", ["minutes", "training loss", unit]),
        row_of("---", ["---", "---", "---"]),
    ]
    for point in rival["curve"]:
        value = factor * getattr(Score(**point["score"]), field)
        cells = [f"{point['seconds'] / 60:.1f}", f"{point['train_loss']:.4f}", _cell([value], task)]
        lines.append(row_of(str(point["epoch"]), cells))
    return lines


def _cell(values: Sequence[float], task: Task) -> str:
    digits = 2 if task.name == "rkn" else 3
    deviation = f" ({np.std(values, ddof=1):.{digits}f})" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}"


def _spread(task: Task, runs: Sequence[Mapping[str, Score]], others: Mapping[str, Score]) -> str:
    """Say what the mean hides."""
    ours, theirs = runs[0]["sampling"], others["perfect observer"]
    return (
        f"Mean squared error of a hidden frame by sampling {1e3 * ours.squared_error:.3f}e-3 (standard error "
        f"over sequences {1e3 * ours.standard_error:.3f}e-3, median {1e3 * ours.median:.3f}e-3), of the "
        f"perfect observer {1e3 * theirs.squared_error:.3f}e-3 (median {1e3 * theirs.median:.3f}e-3)."
    )


def _minutes(folder: Path) -> float:
    with (folder / "metrics.csv").open() as file:
        return float(list(csv.DictReader(file))[-1]["train_time_seconds"]) / 60


def table(
    runs: Mapping[int, Mapping[str, Score]],
    others: Mapping[str, Score],
    rival: Mapping[str, Any] | None = None,
) -> str:
    """Return all scores as text of a CSV file; who was not trained has no seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["who", "seed", *Score._fields])
    for seed, scores in runs.items():
        for method, score in scores.items():
            writer.writerow([method, seed, *(f"{value:.6g}" for value in score)])
    for name, score in others.items():
        writer.writerow([name, "", *(f"{value:.6g}" for value in score)])
    if rival is not None:
        writer.writerow([_of_rival(rival), rival["seed"], *(f"{value:.6g}" for value in lowest(rival))])
    return text.getvalue()


def write(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
