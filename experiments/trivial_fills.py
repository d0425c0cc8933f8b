"""Set a run on any world beside trivial fills, rules that see the frames around a gap as it does.

python -m experiments.trivial_fills logs/pong_kvae --output_dir results/worlds

The ball worlds: linear motion. It is told the true positions in the frames that are seen, moves the ball in a
straight line through the gap, and has the simulator draw it: a generous rule. The pendulum: the last frame
seen, and a cross-fade from it to the first one after the gap.

Of a world of black and white frames the run's errors are those in its folder, and its weights are not needed.
"""

import csv
import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.compare import chosen_by, circumstances_of, command_of, epochs_of, read_curve, row_of
from experiments.kept_runs import load_model
from kvae.config import Config
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing
from simulation import make_world
from simulation.dataset import dataset_path
from simulation.dataset_file import read_metadata

PICTURES = {"films/final_imputation_strip.png": "strip", "plots/final_codes.png": "codes"}
"""Those of a run that --output_dir copies, and what they are called there."""


@dataclass(frozen=True)
class Options:
    """Print a run's errors on hidden frames beside those of trivial fills."""

    run_folder: Annotated[Path, tyro.conf.Positional]
    """A run folder of run_kvae.py."""
    data_dir: Path | None = None
    """Where the run's test data lie now, by default where they were."""
    output_dir: Path | None = None
    """Where to write WORLD.md, WORLD.png with the curves, and pictures of the run."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        if options.output_dir is not None:
            _check_pictures(options.run_folder)
        facts = json.loads((options.run_folder / "config.json").read_text())
        evaluation = json.loads((options.run_folder / "evaluation.json").read_text())
        with (options.run_folder / "metrics.csv").open() as file:
            seconds = float(list(csv.DictReader(file))[-1]["train_time_seconds"])
        curves, measure = curves_of(options.run_folder, options.data_dir)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except (OSError, KeyError, IndexError, json.JSONDecodeError) as error:
        print(f"Error: {options.run_folder} is not the folder of a finished run: {error!r}", file=sys.stderr)
        return 2
    report = report_of(options.run_folder, facts, evaluation, seconds, curves, measure)
    print(report)
    if options.output_dir is not None:
        _write(options, facts["options"]["dataset"], report, curves, measure)
    return 0


def linear_motion(states, observed):
    """Return states in which all that is hidden lies on a line between what was seen before and after.

    Args:
        states: [N, T, S], the true ones.
        observed: [T], 1 = seen. After the last frame seen, everything stays.

    Returns:
        [N, T, S].
    """
    steps = np.arange(states.shape[1])
    seen = steps[observed > 0]
    flat = states.swapaxes(1, 2).reshape(-1, states.shape[1])
    lines = np.stack([np.interp(steps, seen, row[seen]) for row in flat])
    return lines.reshape(states.shape[0], states.shape[2], -1).swapaxes(1, 2)


def last_seen(frames, observed):
    """Return [N, T, H, W] in which what is hidden shows the last frame that was seen."""
    last = np.maximum.accumulate(np.where(observed > 0, np.arange(len(observed)), 0))
    return frames[:, last]


def cross_fade(frames, observed):
    """Return [N, T, H, W] in which what is hidden fades from the frame seen before to the one seen after."""
    steps = np.arange(len(observed))
    seen = steps[observed > 0]
    before = np.maximum.accumulate(np.where(observed > 0, steps, 0))
    after = seen[np.minimum(np.searchsorted(seen, steps), len(seen) - 1)]
    share = np.where(after > before, (steps - before) / np.maximum(after - before, 1), 0.0)
    share = share[:, None, None]
    return (1 - share) * frames[:, before] + share * frames[:, after]


def wrong_pixels(frames, truth):
    """Return the fraction of pixels on the wrong side of 0.5."""
    return float(((frames > 0.5) != (truth > 0.5)).mean())


def squared_error(frames, truth):
    """Return the mean squared error of pixels in [0, 1]."""
    return float(((frames - truth) ** 2).mean())


def curves_of(run_folder, data_dir=None):
    """Return the errors of the run and of trivial fills on the test set, by the number of hidden frames.

    Those of the run on binary frames are the ones in its folder.

    Args:
        run_folder: a run folder.
        data_dir: folder of the test data, by default the run's.

    Returns:
        {method: (numbers of hidden frames, errors)}, and what the error is.
    """
    from kvae.data import masks
    from kvae.data.dataset import load
    from kvae.runs.options import read_options

    config = Config.from_dict(read_options(run_folder))
    path = dataset_path(data_dir or config.data_dir, config.dataset, "test")
    test = load(path, config.use_controls)
    if test.mask is not None:
        raise UserError(
            f"{path} has missing frames: trivial fills are set beside runs on whole sequences alone"
        )
    num_sequences, num_steps = test.shape[:2]
    counts = list(range(1, num_steps - config.t_init_mask, 2))
    observed = [
        masks.planning_mask(num_sequences, num_steps, config.t_init_mask, count)[0] for count in counts
    ]
    if config.is_binary:
        measure = "fraction of wrong pixels"
        of_run = read_curve(run_folder / "imputation_planning.csv")
        found = {method: [error for error, _ in curve.values()] for method, curve in of_run.items()}
        found["linear motion"] = linear_errors(path, test, observed)
    else:
        measure = "mean squared error of a pixel"
        found = _squared_errors(load_model(run_folder), test, observed)
    return {method: (counts, errors) for method, errors in found.items()}, measure


def linear_errors(path, test, masks):
    """Return the wrong pixels of linear motion under each mask [T]."""
    metadata = read_metadata(path)
    world = make_world(metadata["world"], **metadata["options"])
    errors = []
    for observed in masks:
        hidden = observed < 0.5
        # Whole sequences, for paddles of pong are where they followed the ball to.
        frames = world.render(linear_motion(test.states, observed))[:, hidden]
        errors.append(wrong_pixels(frames / 255.0, test.images[:, hidden] / 255.0))
    return errors


def _squared_errors(model, test, masks):
    """Return method -> errors, one for each mask [T], of the model and of trivial fills on grey frames."""
    images = test.images
    controls = test.controls if test.dim_u else None
    truth = images / 255.0
    found = {}
    for observed in masks:
        hidden = observed < 0.5
        mask = np.tile(observed, [len(images), 1])
        guesses = {
            "smoothing": model.smooth(images, mask, controls).images.numpy(),
            "filtering": model.filter(images, mask, controls).images.numpy(),
            "generation": model.generate(images, images.shape[1], controls=controls).images.numpy(),
            "last frame seen": last_seen(truth, observed),
            "cross-fade": cross_fade(truth, observed),
        }
        for method, frames in guesses.items():
            found.setdefault(method, []).append(squared_error(frames[:, hidden], truth[:, hidden]))
    return found


def report_of(run_folder, facts, evaluation, seconds, curves, measure):
    """Return the table as Markdown."""
    options, bound = facts["options"], evaluation["test_bound"]
    rest = bound["total"] - bound["state_space"]
    counts = next(iter(curves.values()))[0]
    lines = [
        f"# {options['dataset']}",
        "",
        "Made by",
        "",
        f"    {command_of(options)}",
        f"    {shlex.join(['python', '-m', 'experiments.trivial_fills', str(run_folder)])}",
        "",
        circumstances_of(facts),
        "",
        f"- Training: {seconds / 60:.0f} minutes for {epochs_of(options)}, evaluations and pauses on the way "
        "included.",
        f"- {chosen_by(options)}, the one evaluated here: {evaluation['best_epoch']}.",
        f"- Test bound per frame: {rest + bound['exact']:.2f} with the exact state space term, "
        f"{rest + bound['sampled']:.2f} with the sampled one.",
        "",
        f"## Error on hidden frames ({measure}), by hidden frames after the first {options['t_init_mask']}",
        "",
        row_of("", counts),
        row_of("---", ["---"] * len(counts)),
    ]
    for method, (_, values) in curves.items():
        ours = method in ("sampling", "smoothing", "filtering", "generation")
        label = f"**{method}**" if ours else method
        label += ", on a part of the test set" if method == "sampling" else ""
        lines.append(row_of(label, [f"{value:.4f}" for value in values]))
    return "\n".join(lines)


def _check_pictures(run_folder):
    if missing := [name for name in PICTURES if not (run_folder / name).exists()]:
        raise UserError(
            f"{run_folder} has no {missing[0]}, which --output_dir copies; without that the table is printed"
        )


def _write(options, world, report, curves, measure):
    from kvae.plots import canvas, figures

    figure = figures.imputation_curves(
        {method: values for method, values in curves.items() if method != "generation"},
        "hidden frames",
        f"{world}: hidden frames",
        y_label="wrong pixels" if measure.endswith("wrong pixels") else measure,
    )
    canvas.save_png(options.output_dir / f"{world}.png", figure)
    for source, name in PICTURES.items():
        shutil.copyfile(options.run_folder / source, options.output_dir / f"{world}_{name}.png")
        report += f"\n\n![{name}]({world}_{name}.png)"
    with replacing(options.output_dir / f"{world}.md") as path:
        path.write_text(f"{report}\n\n![curves]({world}.png)\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
