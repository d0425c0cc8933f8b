"""Forecasts of a world's videos, judged by how far white pixels would have to be carried.

python -m experiments.forecasts pretrained/box pretrained/pong

The protocol of Kurle et al., NeurIPS 2020, as clear-nus/NCDSSM has it: of a sequence the first 20 frames are
seen, the next 40 are forecast by 16 draws, whose pixels are white above 0.5. Between a draw's frame and the
true one stands the 1-Wasserstein distance of their white pixels, each frame's as a uniform distribution over
places, in pixels; averaged over draws, sequences and steps. A frame without any white pixel is as far from
any other as the frame's corners are from each other.

Beside a model's draws stand: its mean forecast, the paper's generation, decoded from one path without noise;
the last frame seen, which stays; and a frame of another sequence at the same time, which is right of all but
where things are.
"""

import csv
import importlib.util
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.compare import row_of
from experiments.kept_runs import load_model
from kvae.config import Config
from kvae.config.presets import WORLD_PRESETS
from kvae.errors import UserError
from kvae.system.command import guarded
from simulation import make_world
from simulation.sampling import simulate

METHODS = ("draws", "mean forecast", "last frame seen", "frame of another sequence")
AT_ONCE = 20
"""Sequences that are forecast together."""


@dataclass(frozen=True)
class Options:
    """Print how far forecasts are from what comes."""

    run_folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders of run_kvae.py, of worlds in black and white."""
    num_given: int = 20
    """Frames that are seen."""
    num_steps: int = 40
    """Frames that are forecast."""
    num_draws: int = 16
    """Forecasts of each sequence."""
    num_test: int = 200
    """Sequences, simulated from the seed of the test sets of this program, but longer."""
    output_dir: Path | None = None
    """Where forecasts.csv goes, the distance at every step."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        _check(options)
        found = {}
        print("\n".join(heading(options.num_steps)))
        for folder in options.run_folders:
            name, distances = of_run(folder, options)
            print("\n".join(rows(name, distances)), flush=True)
            found[str(folder)] = distances
        if options.output_dir is not None:
            write(found, options.output_dir / "forecasts.csv")
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options):
    for name in ("num_given", "num_steps", "num_draws"):
        if getattr(options, name) < 1:
            raise UserError(f"{name} must be at least 1. Received: {getattr(options, name)}")
    if options.num_test < 2:
        raise UserError("num_test must be at least 2: one sequence is compared with another")
    if not options.run_folders:
        raise UserError("Name a run folder, or more")
    if importlib.util.find_spec("ot") is None:
        raise UserError('Distances are those of POT, which is not installed:  pip install -e ".[peers]"')


def parts_of(num_steps):
    """Return the quarters of a forecast, as slices."""
    bounds = sorted({round(i * num_steps / 4) for i in range(5)})
    return [slice(first, end) for first, end in itertools.pairwise(bounds)]


def heading(num_steps):
    """Return the first two lines of the table."""
    spans = [f"steps {part.start + 1} to {part.stop}" for part in parts_of(num_steps)]
    columns = ["forecast", "all steps", "standard error", *spans]
    return [row_of("data", columns), row_of("---", ["---"] * len(columns))]


def rows(name, distances):
    """Return the lines of one run.

    Args:
        name: of its world.
        distances: {method: [N, num_steps]}.
    """
    lines = []
    for method, of_method in distances.items():
        of_sequences = of_method.mean(axis=1)
        spans = [of_method[:, part].mean() for part in parts_of(of_method.shape[1])]
        error = of_sequences.std(ddof=1) / len(of_sequences) ** 0.5
        cells = [f"{number:.2f}" for number in (of_sequences.mean(), error, *spans)]
        lines.append(row_of("" if lines else name, [method, *cells]))
    return lines


def of_run(folder, options):
    """Return the world of a run, and {method: distances [N, num_steps] in pixels}."""
    from kvae.runs.options import read_options

    config = Config.from_dict(read_options(folder))
    if config.dataset not in WORLD_PRESETS or not config.is_binary:
        raise UserError(f"{folder} is a run on {config.dataset}, and not on a world in black and white")
    if config.model != "kvae":
        raise UserError(f"{folder} is a run of --model {config.model}: forecasts are drawn from a KVAE")
    model = load_model(folder)
    length = options.num_given + options.num_steps
    test = simulate(make_world(config.dataset), "test", options.num_test, length, seed=0)
    distances = {method: [] for method in METHODS}
    for first in range(0, options.num_test, AT_ONCE):
        images = test.images[first : first + AT_ONCE]
        # The next ones, and after the last the first.
        others = np.arange(first + 1, first + 1 + len(images)) % options.num_test
        truth = images[:, options.num_given :] > 0
        guesses = forecasts(model, images[:, : options.num_given], options, seed=first)
        guesses["frame of another sequence"] = test.images[others, None, options.num_given :] > 0
        for method in METHODS:
            distances[method].append(mean_distance(guesses[method], truth))
    return config.dataset, {method: np.concatenate(found) for method, found in distances.items()}


def forecasts(model, given, options, seed):
    """Return {method: white pixels [B, S, num_steps, H, W], boolean} of what a `KVAE` expects.

    Args:
        model: a `KVAE`.
        given: frames [B, num_given, H, W].
        options: `Options`.
        seed: of the draws.
    """
    from kvae.models import draws

    length = options.num_given + options.num_steps
    codes = model.codes(given, model.seeds(seed))
    mask = np.ones(codes.shape[:2], np.float32)
    # Nothing is hidden: no paths are to be followed.
    found = model.sample_posterior(codes, mask, None, 0, options.num_draws, (seed, 0))
    further = model.continue_posterior(found.sampled_states, found.paths, length, (seed, 1))
    drawn = draws.decode_each(model, further.sampled_codes[:, :, options.num_given :])
    mean = model.generate(given, length, options.num_given).images[:, None, options.num_given :]
    last = np.repeat(given[:, None, -1:] > 0, options.num_steps, axis=2)
    return {"draws": drawn.numpy() > 0.5, "mean forecast": mean.numpy() > 0.5, "last frame seen": last}


def mean_distance(guesses, truth):
    """Return the mean distance over draws, [B, T], of guesses [B, S, T, H, W] from the truth [B, T, H, W]."""
    return np.array(
        [
            [
                np.mean([distance(guess, true) for guess in of_step])
                for of_step, true in zip(np.moveaxis(of_sequence, 0, 1), of_truth, strict=True)
            ]
            for of_sequence, of_truth in zip(guesses, truth, strict=True)
        ]
    )


def distance(frame, other):
    """Return the 1-Wasserstein distance of the white pixels of two frames [H, W], boolean, in pixels."""
    import ot

    places, other_places = np.argwhere(frame), np.argwhere(other)
    if not len(places) or not len(other_places):
        return 0.0 if len(places) == len(other_places) else float(np.hypot(*frame.shape))
    if np.array_equal(places, other_places):
        return 0.0
    return float(ot.emd2([], [], ot.dist(places.astype(float), other_places.astype(float), "euclidean")))


def write(found, path):
    """Write {run folder: {method: distances [N, num_steps]}} as rows of means over sequences."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "step", *METHODS])
        for name, distances in found.items():
            means = np.stack([distances[method].mean(axis=0) for method in METHODS], axis=-1)
            for step, values in enumerate(means, start=1):
                writer.writerow([name, step, *(f"{value:.4f}" for value in values)])


if __name__ == "__main__":
    sys.exit(main())
