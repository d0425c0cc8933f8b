"""What a model knows: where the ball is, how sure it is, and how long it can go on.

python -m experiments.analyse logs/box_kvae --output_dir results/analysis

Three measurements on a KVAE of a world with one ball:

- disentanglement: how much of the ball's true position and velocity a linear map finds in codes and states;
- calibration: how often a pixel is white where the model says so with some probability;
- long generation: how far the imagined ball drifts from the true one, and how many frames hold a ball.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import tyro
from matplotlib.figure import Figure
from scipy import ndimage

from experiments.compare import circumstances_of, command_of, row_of
from experiments.kept_runs import load_model
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing
from simulation import make_world
from simulation.dataset import dataset_path
from simulation.dataset_file import read_metadata
from simulation.sampling import simulate

BATCH = 50
QUANTITIES = ("x", "y", "vx", "vy")


@dataclass(frozen=True)
class Options:
    """Measure what a model of a world with one ball knows."""

    run_folder: Annotated[Path, tyro.conf.Positional]
    """A run folder of run_kvae.py."""
    data_dir: Path | None = None
    """Folder of the test data, by default the run's."""
    num_sequences: int = 500
    """Test sequences to measure on; half of them fit the linear maps."""
    num_steps: int = 80
    """Length of a generation."""
    output_dir: Path | None = None
    """Where to write WORLD.md and WORLD.png."""


class Reliability(NamedTuple):
    """How stated probabilities hold.

    Attributes:
        stated: [bins], mean probability that was stated.
        found: [bins], share of white pixels.
        count: [bins], pixels.
    """

    stated: np.ndarray
    found: np.ndarray
    count: np.ndarray

    @property
    def error(self):
        """Expected calibration error: the mean distance of the two, over pixels."""
        return float(np.average(abs(self.stated - self.found), weights=self.count))


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        facts = json.loads((options.run_folder / "config.json").read_text())
        model, world, test = _load(options)
        regressions = disentanglement(model, test)
        reliabilities = calibration(model, test.images)
        drift = long_generation(model, world, options.num_sequences, options.num_steps)
    except (OSError, KeyError, json.JSONDecodeError, UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    lines = [f"# {model.config.dataset}: what the model knows", "", "Made by", ""]
    lines += [f"    {command_of(facts['options'])}"]
    lines += [f"    {shlex.join(['python', '-m', 'experiments.analyse', *given])}", ""]
    lines += [circumstances_of(facts), "", *_report(regressions, reliabilities, drift, options.num_sequences)]
    print("\n".join(lines))
    if options.output_dir is not None:
        options.output_dir.mkdir(parents=True, exist_ok=True)
        path = options.output_dir / model.config.dataset
        with replacing(path.with_suffix(".md")) as temporary:
            text = "\n".join([*lines, "", f"![figure]({path.name}.png)", ""])
            temporary.write_text(text, encoding="utf-8")
        with replacing(path.with_suffix(".png")) as temporary:
            _figure(reliabilities, drift).savefig(temporary, format="png", dpi=150)
    return 0


def _load(options):
    from kvae.data.dataset import Dataset, load
    from simulation.worlds.ball import BallWorld

    model = load_model(options.run_folder)
    if model.config.model != "kvae":
        raise UserError(f"{options.run_folder} is a run of {model.config.model}; this measures a KVAE")
    path = dataset_path(options.data_dir or model.config.data_dir, model.config.dataset, "test")
    metadata = read_metadata(path)
    world = make_world(metadata["world"], **metadata["options"])
    if not isinstance(world, BallWorld) or len(world.state_quantities) != len(QUANTITIES):
        raise UserError(f"{path} is not of a world whose state is one ball, such as box")
    test = load(path)
    count = options.num_sequences
    return model, world, Dataset(test.images[:count], test.controls[:count], test.states[:count])


def disentanglement(model, test):
    """Return (from what, to which quantity) -> R2 of a linear map, fitted on half of the sequences.

    Args:
        model: a `KVAE`.
        test: a `kvae.data.dataset.Dataset` with states.
    """
    parts = [test.images[i : i + BATCH] for i in range(0, len(test.images), BATCH)]
    sources = {
        "code a": np.concatenate([model.reconstruct(part).codes.numpy() for part in parts]),
        "smoothed state z": np.concatenate([model.smooth(part).states.mean.numpy() for part in parts]),
    }
    found = {}
    for name, values in sources.items():
        half = len(values) // 2
        fit_to, judge = (
            (values[part].reshape(-1, values.shape[-1]), test.states[part].reshape(-1, len(QUANTITIES)))
            for part in (slice(half), slice(half, None))
        )
        weights, *_ = np.linalg.lstsq(_with_ones(fit_to[0]), fit_to[1], rcond=None)
        rest = judge[1] - _with_ones(judge[0]) @ weights
        for i, quantity in enumerate(QUANTITIES):
            found[name, quantity] = float(1 - np.var(rest[:, i]) / np.var(judge[1][:, i]))
    return found


def _with_ones(values):
    return np.concatenate([values, np.ones([len(values), 1])], axis=1)


def calibration(model, images, num_bins=20):
    """Return method -> `Reliability`, on the frames that imputation hides by default."""
    from kvae.data import masks

    config = model.config
    mask = masks.planning_mask(*images.shape[:2], config.t_init_mask, config.t_steps_mask)
    stated, truth = {"sampling": [], "smoothing": []}, []
    for i in range(0, len(images), BATCH):
        part = slice(i, i + BATCH)
        hidden = mask[part] < 0.5
        truth.append((images[part] > 0)[hidden])
        stated["sampling"].append(model.impute(images[part], mask[part]).images.numpy()[hidden])
        stated["smoothing"].append(model.smooth(images[part], mask[part]).images.numpy()[hidden])
    truth = np.concatenate(truth).ravel()
    return {
        method: reliability(np.concatenate(parts).ravel(), truth, num_bins)
        for method, parts in stated.items()
    }


def reliability(probabilities, truth, num_bins):
    """Return the `Reliability` of probabilities [N] of events [N], in bins of equal width, empty ones not."""
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    count = np.bincount(bins, minlength=num_bins)
    filled = count > 0
    sums = (np.bincount(bins, weights=values, minlength=num_bins) for values in (probabilities, truth))
    return Reliability(*(total[filled] / count[filled] for total in sums), count[filled])


class Drift(NamedTuple):
    """A long generation beside the true continuation.

    Attributes:
        error: [steps], median distance in pixels between the generated ball and the true one, over frames
            that hold one ball.
        chance: the median distance between the balls of two unrelated frames.
        one_ball: [steps], share of the generated frames that hold one ball inside the walls.
        true_one_ball: that share of the true frames, by the same test.
    """

    error: np.ndarray
    chance: float
    one_ball: np.ndarray
    true_one_ball: float


def long_generation(model, world, num_sequences, num_steps):
    """Generate from the first config.t_init_mask frames of new sequences; return a `Drift`."""
    # Sequences after those of any test file.
    true = simulate(world, "test", num_sequences, num_steps, seed=1234, first=1_000_000)
    generated = np.concatenate(
        [
            model.generate(true.images[i : i + BATCH], num_steps).images.numpy() > 0.5
            for i in range(0, num_sequences, BATCH)
        ]
    )
    walls = (true.images > 0).mean(axis=(0, 1)) > 0.9
    position, is_ball = find_ball(generated, walls)
    true_position, is_true_ball = find_ball(true.images > 0, walls)
    distance = np.linalg.norm(position - true_position, axis=-1)
    usable = is_ball & is_true_ball
    error = np.array(
        [np.median(distance[usable[:, t], t]) if usable[:, t].any() else np.nan for t in range(num_steps)]
    )
    chance = np.linalg.norm(true_position - np.roll(true_position, 1, axis=0), axis=-1)
    return Drift(
        error, float(np.median(chance[is_true_ball])), is_ball.mean(axis=0), float(is_true_ball.mean())
    )


def find_ball(frames, walls, smallest=15, largest=60):
    """Find the ball in frames.

    Args:
        frames: [N, T, H, W] bool.
        walls: [H, W] bool, pixels that are wall and no ball.
        smallest: pixels that a ball must have; one of radius 3 has 37, fewer where it touches a wall.
        largest: pixels that it may have, contact marks included.

    Returns:
        Its centre [N, T, 2] in pixels, and whether there is one ball and nothing else of that size [N, T].
    """
    position = np.zeros([*frames.shape[:2], 2])
    is_ball = np.zeros(frames.shape[:2], bool)
    for n, t in np.ndindex(*frames.shape[:2]):
        labels, _ = ndimage.label(frames[n, t] & ~walls)
        sizes = np.bincount(labels.ravel())[1:]
        balls = np.flatnonzero(sizes >= smallest)
        if len(balls) == 1 and sizes[balls[0]] <= largest:
            position[n, t] = ndimage.center_of_mass(labels == balls[0] + 1)
            is_ball[n, t] = True
    return position, is_ball


def _report(regressions, reliabilities, drift, num_sequences):
    lines = [
        f"On {num_sequences} test sequences.",
        "",
        "## Disentanglement: R2 of a linear map to the truth",
        "",
    ]
    lines += [row_of("from", QUANTITIES), row_of("---", ["---"] * len(QUANTITIES))]
    for source in dict.fromkeys(source for source, _ in regressions):
        lines.append(row_of(source, [f"{regressions[source, quantity]:.3f}" for quantity in QUANTITIES]))
    lines += ["", "## Calibration: how often a hidden pixel is white", ""]
    for method, found in reliabilities.items():
        lines.append(f"- {method}: expected calibration error {found.error:.5f}")
        middle = (found.stated > 0.05) & (found.stated < 0.95)
        distance = np.average(abs(found.stated - found.found)[middle], weights=found.count[middle])
        lines.append(f"  ({distance:.3f} where the stated probability is between 0.05 and 0.95)")
    lines += ["", "## Long generation", ""]
    steps = [t for t in (5, 10, 20, 30, 40, 60, 80) if t <= len(drift.error)]
    lines += [row_of("step", steps), row_of("---", ["---"] * len(steps))]
    lines.append(row_of("median distance, pixels", [f"{drift.error[t - 1]:.2f}" for t in steps]))
    lines.append(row_of("share with one ball", [f"{drift.one_ball[t - 1]:.3f}" for t in steps]))
    lines += [
        "",
        f"Two unrelated frames: {drift.chance:.2f} pixels. Of the true frames {drift.true_one_ball:.3f} hold "
        "one ball by this test, which contact marks can fail.",
    ]
    return lines


def _figure(reliabilities, drift):
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.plot([0, 1], [0, 1], ":", color="black")
    for method, found in reliabilities.items():
        left.plot(found.stated, found.found, marker="o", markersize=3, label=method)
    left.set(xlabel="stated probability of white", ylabel="share of white pixels", title="calibration")
    left.legend(frameon=False)
    steps = np.arange(1, len(drift.error) + 1)
    middle.plot(steps, drift.error)
    middle.axhline(drift.chance, linestyle=":", color="black", label="unrelated frames")
    middle.set(xlabel="step", ylabel="median distance, pixels", title="generated ball to true ball")
    middle.legend(frameon=False)
    right.plot(steps, drift.one_ball)
    right.axhline(drift.true_one_ball, linestyle=":", color="black", label="true frames")
    right.set(xlabel="step", title="share of frames with one ball", ylim=(0, 1.05))
    right.legend(frameon=False)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    sys.exit(main())
