"""The paper's Figure 3, with its rivals beside it: one command trains, evaluates, and draws.

python -m experiments.reproduce --dataset box --seeds 3

For every model and seed there is one run of run_kvae.py in a folder of its own. A run that is there already
is used as it is, with or without its weights, one that was stopped goes on, one that is missing is made: so
the command, given again, picks up where it was. All errors are fractions of wrong pixels on the hidden frames
of the whole test set.
"""

import csv
import itertools
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from matplotlib.figure import Figure

from experiments import made_runs
from experiments.compare import REFERENCE, circumstances_of, command_of, read_curve, row_of
from experiments.perfect_observer import TITLES, csv_path
from experiments.trivial_fills import wrong_pixels
from kvae.errors import UserError
from kvae.plots import canvas
from kvae.plots.look import GREY, METHODS, looks_of
from kvae.system.files import replacing
from simulation.dataset import dataset_path

ROOT = Path(__file__).parent.parent
KEYS = {"planning": "hidden_steps", "random": "drop_probability"}
"""What results/reference calls the axis of a curve."""
LABELS = {
    ("kvae", "sampling"): "KVAE, posterior sampling",
    ("kvae", "smoothing"): "KVAE, smoothing",
    ("kvae", "filtering"): "KVAE, filtering",
    ("ae_rnn", "filtering"): "AE-RNN",
    ("vae_rnn", "filtering"): "VAE-RNN",
    ("kvae", "linear"): "linear motion of KVAE's codes",
    ("any", "last"): "last frame seen",
}
PAPER = {
    "kvae_smoothing": "KVAE, smoothing",
    "kvae_filtering": "KVAE, filtering",
    "ae_rnn": "AE-RNN",
    "vae_rnn": "VAE-RNN",
}
LIMIT = "perfect observer"
LIMIT_BY_METROPOLIS = "perfect observer, by Metropolis"
"""An earlier estimate, of results/reference; too high, see docs/results.md."""


@dataclass(frozen=True)
class Options:
    """Train what is missing, evaluate all models, print one table and draw one figure."""

    dataset: str = "box"
    """The world."""
    models: tuple[Literal["kvae", "ae_rnn", "vae_rnn"], ...] = ("kvae", "ae_rnn", "vae_rnn")
    """Models to train."""
    seeds: int = 1
    """Runs of each model, with the seeds 0, 1, ..; more than one give means and standard deviations."""
    preset: str = ""
    """Preset of run_kvae.py; empty: what the world and the model start from."""
    run_options: tuple[str, ...] = ()
    """More options of run_kvae.py for every run, such as num_epochs=20."""
    init_dir: Path | None = None
    """Folder of runs that this command made: train their models on, by their options where none are given."""
    log_dir: Path = Path("logs")
    """Folder of the runs."""
    data_dir: Path = Path("data")
    """Folder of the dataset."""
    quick: bool = False
    """Take the curve of posterior sampling from the runs, which judge it on a part of the test set, and leave
    the trivial fills out; else each run takes a quarter of an hour more."""
    output_dir: Path = Path("results/reproduce")
    """Where DATASET.md, DATASET.csv and DATASET.png go."""


class ReproduceError(UserError):
    """A run could not be made; its own message stands above."""


def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        for model, seed in itertools.product(options.models, range(options.seeds)):
            _check(options, model, seed)
        runs = {
            model: [_run(options, model, seed) for seed in range(options.seeds)] for model in options.models
        }
        curves = _collect(options, runs)
    except (UserError, OSError, KeyError, json.JSONDecodeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    report = report_of(options, given, runs, curves)
    print(report)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    _write(options, report, curves)
    return 0


def run_arguments(options, model, seed):
    """Return the arguments of run_kvae.py for a run that is not there yet."""
    words = ["--dataset", options.dataset, "--seed", str(seed)]
    if options.init_dir:
        # Model and preset are those of the run.
        words += ["--init_model", str(options.init_dir / f"{_run_name(options, seed)}_{model}")]
    else:
        words += ["--model", model]
        if options.preset:
            words += ["--preset", options.preset]
    words += [f"--{option}" for option in options.run_options]
    places = ["--log_dir", str(options.log_dir), "--data_dir", str(options.data_dir)]
    return [*words, *places, "--run_name", _run_name(options, seed)]


def _run_name(options, seed):
    return "_".join(filter(None, ["reproduce", options.dataset, options.preset, str(seed)]))


def _folder(options, model, seed):
    return options.log_dir / f"{_run_name(options, seed)}_{model}"


def _run(options, model, seed):
    """Return the folder of a finished run, after making it or what is left of it."""
    return made_runs.trained(_folder(options, model, seed), run_arguments(options, model, seed))


def _check(options, model, seed):
    """Raise ReproduceError, before anything is trained, where a run cannot be used or made."""
    folder = _folder(options, model, seed)
    if (folder / "evaluation.json").exists():
        made_runs.check_options(folder, run_arguments(options, model, seed))
        if model == "kvae" and not options.quick:
            _check_weights(folder)
    elif folder.exists():
        if not (folder / "checkpoints" / "last.npz").exists():
            raise ReproduceError(f"{folder} holds a run that was stopped before its first epoch: delete it")
    elif options.init_dir:
        _check_beginning(options, model, seed)


def _check_beginning(options, model, seed):
    """Raise ReproduceError where the run that another is to begin with has no weights."""
    folder = options.init_dir / f"{_run_name(options, seed)}_{model}"
    if (folder / "model.keras").exists():
        return
    first = Options(dataset=options.dataset, preset=options.preset)
    raise ReproduceError(
        f"{folder} has no model.keras to begin with. To train such a model:  python run_kvae.py "
        f"{shlex.join(run_arguments(first, model, seed))}, and then name --init_dir {first.log_dir}"
    )


def _check_weights(folder):
    """Raise ReproduceError where curves on the whole test set are missing, and weights to make them with."""
    if _missing_curves(folder) and not (folder / "model.keras").exists():
        raise ReproduceError(
            f"{folder} has neither curves on the whole test set, whole_*.csv, nor a model.keras to make them "
            "with. --quick does without them; with another --log_dir this command trains the model again"
        )


def _missing_curves(folder):
    return [mask for mask in TITLES if not (folder / f"whole_{mask}.csv").exists()]


def _collect(options, runs):
    """Return mask -> (model, method) -> x -> errors, one for each seed."""
    curves = {mask: {} for mask in TITLES}
    for model, folders in runs.items():
        for seed, folder in enumerate(folders):
            if model == "kvae" and not options.quick:
                _evaluate_slowly(folder, options.data_dir)
            for mask, of_mask in curves.items():
                found = read_curve(folder / f"imputation_{mask}.csv")
                if model == "kvae" and not options.quick:
                    slow = read_curve(folder / f"whole_{mask}.csv")
                    # The sampling curve of the run itself is that of a part of the test set.
                    found |= slow if seed == 0 else {"sampling": slow["sampling"]}
                for method, values in found.items():
                    key = ("any" if method == "last" else model, method)
                    for x, (wrong, _) in values.items():
                        of_mask.setdefault(key, {}).setdefault(x, []).append(wrong)
    return curves


def _evaluate_slowly(folder, data_dir):
    """Write whole_MASK.csv: posterior sampling on the whole test set, and trivial fills."""
    missing = _missing_curves(folder)
    if not missing:
        return
    from kvae import data, evaluation
    from kvae.runs.load import load
    from kvae.runs.run_folder import RunFolder

    model = load(folder)
    test = data.load(dataset_path(data_dir, model.config.dataset, "test"))
    print(f"Evaluating {folder} on {len(test.images)} test sequences", flush=True)
    of_curves = {"planning": evaluation.planning_curve, "random": evaluation.random_curve}
    for mask in missing:
        curve = of_curves[mask](model, test, ("sampling",)) + _trivial_curve(model, test, mask)
        RunFolder(folder).write_curve(f"whole_{mask}", curve, "kvae")


def _trivial_curve(model, test, mask):
    """Return the points of the last frame seen, and of codes on a line between those around a gap."""
    from kvae import evaluation

    codes = np.concatenate(
        [model.reconstruct(test.images[i : i + 100]).codes.numpy() for i in range(0, len(test.images), 100)]
    )
    truth = test.images > 0
    points = []
    for x, observed in evaluation.masks_of_curve(model, test, mask):
        hidden = observed < 0.5
        steps = np.arange(observed.shape[1])
        last = np.maximum.accumulate(np.where(hidden, 0, steps), axis=1)
        lines = codes.copy()
        for n, row in enumerate(hidden):
            for i in range(codes.shape[-1]):
                lines[n, row, i] = np.interp(steps[row], steps[~row], codes[n, ~row, i])
        of_last = np.take_along_axis(truth, last[:, :, None, None], axis=1)[hidden]
        decoded = model.decode(lines[hidden][None]).mean().numpy()[0]
        for method, frames in (("last", of_last), ("linear", decoded)):
            error = evaluation.ImputationError(wrong_pixels(frames, truth[hidden]), float("nan"))
            points.append(evaluation.CurvePoint(x, method, error))
    return points


def _references(dataset, mask):
    """Return label -> x -> error: the paper's curves and the physical limit, where they are of this world."""
    found = {}
    if dataset == "box":
        key = KEYS[mask]
        paper = json.loads((REFERENCE / "figure3.json").read_text())[mask]
        limit = json.loads((REFERENCE / "limits.json").read_text())[mask]
        found = {
            f"paper: {label}": dict(zip(paper[key], paper[name], strict=True))
            for name, label in PAPER.items()
        }
        found[LIMIT_BY_METROPOLIS] = dict(zip(limit[key], limit["perfect_observer"], strict=True))
    path = csv_path(ROOT / "results" / "reproduce", dataset)
    if path.exists():
        with path.open() as file:
            rows = [row for row in csv.DictReader(file) if row["mask"] == mask]
        found[LIMIT] = {float(row["x"]): float(row["wrong_pixels"]) for row in rows}
    return found


def report_of(options, given, runs, curves):
    """Return the table as Markdown."""
    first = json.loads((next(iter(runs.values()))[0] / "config.json").read_text())
    lines = [f"# {options.dataset}: hidden frames", "", "Made by", ""]
    lines += [f"    {shlex.join(['python', '-m', 'experiments.reproduce', *given])}", ""]
    elsewhere = options.data_dir != Options.data_dir
    lines += [f"which ran, each with --data_dir {options.data_dir}," if elsewhere else "which ran", ""]
    for folders in runs.values():
        for folder in folders:
            facts = json.loads((folder / "config.json").read_text())
            evaluation = json.loads((folder / "evaluation.json").read_text())
            with (folder / "metrics.csv").open() as file:
                minutes = float(list(csv.DictReader(file))[-1]["train_time_seconds"]) / 60
            bound = evaluation["test_bound"]["total"]
            lines.append(
                f"    {command_of(facts['options'])}   # {minutes:.0f} minutes, test bound {bound:.2f}"
            )
    lines += ["", circumstances_of(first), ""]
    seeds = "one seed"
    if options.seeds > 1:
        seeds = f"means of {options.seeds} seeds, in brackets the standard deviation"
    part = ", but for sampling, a part of it" if options.quick else ""
    lines.append(f"Fraction of wrong pixels on hidden frames, whole test set{part}; {seeds}.")
    for mask, title in TITLES.items():
        of_mask, references = curves[mask], _references(options.dataset, mask)
        xs = sorted(next(iter(of_mask.values())))
        lines += ["", f"## By {title}", "", row_of("", xs), row_of("---", ["---"] * len(xs))]
        for key, label in LABELS.items():
            if key in of_mask:
                lines.append(row_of(f"**{label}**", [_cell(of_mask[key][x]) for x in xs]))
        for label, values in references.items():
            lines.append(row_of(label, [f"{values[x]:.4f}" if x in values else "" for x in xs]))
        lines += _ratios(of_mask, references, xs)
    return "\n".join(lines)


def _cell(values):
    deviation = f" ({np.std(values, ddof=1):.4f})" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{deviation}"


def _ratios(of_mask, references, xs):
    """Return rows that say how far sampling is from the paper's curve and from the limit."""
    lines = []
    for method in ("sampling", "smoothing"):
        for label in (f"paper: {PAPER['kvae_smoothing']}", LIMIT_BY_METROPOLIS, LIMIT):
            if ("kvae", method) in of_mask and label in references:
                values, other = of_mask["kvae", method], references[label]
                cells = [f"{np.mean(values[x]) / other[x]:.2f}" if x in other else "" for x in xs]
                lines.append(row_of(f"{method} / {label}", cells))
    return lines


def _write(options, report, curves):
    path = options.output_dir / options.dataset
    with replacing(path.with_suffix(".csv")) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mask", "x", "model", "method", "seed", "wrong_pixels"])
        for mask, of_mask in curves.items():
            for (model, method), values in of_mask.items():
                for x, errors in values.items():
                    for seed, error in enumerate(errors):
                        writer.writerow([mask, f"{x:g}", model, method, seed, f"{error:.6g}"])
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(f"{report}\n\n![curves]({options.dataset}.png)\n", encoding="utf-8")
    with replacing(path.with_suffix(".png")) as temporary:
        figure_of(options.dataset, curves).savefig(temporary, format="png", dpi=150)


def figure_of(dataset, curves):
    """Draw the curves of both masks side by side, seeds as a band of one standard deviation."""
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    handles, looks = {}, _looks()
    for axes, (mask, title) in zip(figure.subplots(1, 2, sharey=True), TITLES.items(), strict=True):
        for key, label in LABELS.items():
            # The trivial ones are so far off that they would press the others together.
            if key not in curves[mask] or key in (("any", "last"), ("kvae", "linear")):
                continue
            xs = sorted(curves[mask][key])
            errors = np.array([curves[mask][key][x] for x in xs])
            mean = errors.mean(axis=1)
            colour, marker = looks[label].colour, looks[label].marker
            (handles[label],) = axes.plot(xs, mean, marker=marker, markersize=5, color=colour, linewidth=2)
            if errors.shape[1] > 1:
                deviation = errors.std(axis=1, ddof=1)
                axes.fill_between(xs, mean - deviation, mean + deviation, color=colour, alpha=0.2)
        for label, values in _references(dataset, mask).items():
            if label == LIMIT_BY_METROPOLIS:
                continue
            name = label.removeprefix("paper: ")
            colour = GREY if label == LIMIT else looks[name].colour
            style = ":" if label == LIMIT else "--"
            points = zip(*values.items(), strict=True)
            (handles[label],) = axes.plot(*points, style, color=colour, linewidth=1.3)
        axes.set_xlabel(title)
        axes.set_xticks(xs)
        axes.xaxis.set_major_formatter("{x:g}")
        canvas.style_axes(axes)
    # After both, for a limit that is set stays where it is.
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    figure.axes[0].set_ylabel("wrong pixels")
    figure.suptitle(f"{dataset}: filling in hidden frames")
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    return figure


def _looks():
    """Return how each of `LABELS` is drawn: methods of a KVAE as in all pictures, rivals as what is left."""
    methods = {label: method for (model, method), label in LABELS.items() if model == "kvae"}
    looks = {label: METHODS.get(method) for label, method in methods.items()}
    others = [label for label in LABELS.values() if looks.get(label) is None]
    return {label: look for label, look in looks.items() if look} | looks_of(others)


if __name__ == "__main__":
    sys.exit(main())
