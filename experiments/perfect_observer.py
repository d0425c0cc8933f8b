"""What fills gaps as well as can be: an observer who knows the simulator and averages over all that fits.

python -m experiments.perfect_observer --dataset box

For every test sequence and mask, motions are drawn from the world's own distribution, given that the frames
seen show exactly what they show. The simulator draws these motions; a hidden pixel is white where it is in
more than half of them. No guess has fewer wrong pixels on average, whatever it was learned from.

The ball moves along one axis of the box as if there were no other, which makes it quick. Along each axis many
starts are drawn, and those that never leave the pixels in which the ball was seen are kept: rejection, and no
Markov chain that might miss some. A motion is one of each, by the density of the velocity that they make
together, and the last word is the simulator's: where its frames are not those seen, the motion is dropped.
"""

import csv
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from scipy.special import ndtr, ndtri
from tqdm import tqdm

from experiments.compare import row_of
from kvae.data.masks import masks_of_curve
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing
from simulation import make_world
from simulation.dataset import dataset_path
from simulation.dataset_file import read_metadata

NUM_GIVEN = 4
"""First frames that are never hidden, the default of run_kvae.py's t_init_mask."""

TITLES = {
    "planning": "hidden frames after the first 4",
    "random": "probability of hiding a frame after the first 4",
}
"""What the axis of a curve is, by the kind of its masks."""

# Where bodies overlap, pymunk lets them by so much, and leaves this share of the rest after a time of 1.
_SLOP = 0.1
_LEFT_OVERLAP = 0.9**60


@dataclass(frozen=True)
class Options:
    """Find the fewest wrong pixels that anything could have on the hidden frames of a box."""

    dataset: Literal["box", "box_gravity"] = "box"
    """The world; in the others motions along x and y are not independent."""
    num_sequences: int = 1000
    """Test sequences, the first ones."""
    num_motions: int = 100
    """Motions that are drawn for each sequence and mask."""
    num_starts: int = 200_000
    """Starts that are tried along each axis of a sequence."""
    data_dir: Path = Path("data")
    """Folder of the dataset."""
    output_dir: Path = Path("results/reproduce")
    """Where perfect_observer_DATASET.md and .csv go; experiments.reproduce reads the latter."""


@dataclass(frozen=True)
class _Axis:
    """Starts along one axis that fit the frames which are always seen.

    Attributes:
        position: [M].
        velocity: [M].
        pixels: [M, T], where the ball is drawn.
    """

    position: np.ndarray
    velocity: np.ndarray
    pixels: np.ndarray

    def of(self, kept):
        """Return some of the starts."""
        return _Axis(self.position[kept], self.velocity[kept], self.pixels[kept])


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        world, images, states = _load(options)
    except (UserError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    started = time.monotonic()
    points, shares = curves(options, world, images, states)
    seconds = time.monotonic() - started
    report = _report(options, given, points, shares, seconds)
    print(report)
    options.output_dir.mkdir(parents=True, exist_ok=True)
    path = csv_path(options.output_dir, options.dataset)
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mask", "x", "wrong_pixels", "standard_error", "sequences"])
        for mask, of_mask in points.items():
            writer.writerows([mask, f"{x:g}", *numbers] for x, *numbers in of_mask)
    with replacing(path.with_suffix(".md")) as temporary:
        temporary.write_text(report + "\n", encoding="utf-8")
    return 0


def csv_path(folder, dataset):
    """Return where the numbers of a world are."""
    return Path(folder) / f"perfect_observer_{dataset}.csv"


def _load(options):
    """Return the world, and the images [N, T, H, W] and states [N, T, 4] of the test sequences."""
    path = dataset_path(options.data_dir, options.dataset, "test")
    metadata = read_metadata(path)
    if metadata is None or metadata["world"] != options.dataset or metadata["options"]:
        raise UserError(f"{path} is not of {options.dataset} as it is by default")
    with np.load(path) as arrays:
        images, states = (arrays[name][: options.num_sequences] for name in ("images", "states"))
    return make_world(options.dataset), images, states


def axis_paths(world, axis, position, velocity, num_steps):
    """Return the positions [M, T] of the ball along one axis, 0: x, 1: y, as pymunk has them.

    Args:
        world: `box` or `box_gravity`.
        axis: which one.
        position: [M], of the ball's centre at the first frame, in pixels.
        velocity: [M], in pixels per unit of time.
        num_steps: T.
    """
    p = world.parameters
    ends = np.array(p["room"])[:, axis]
    walls = ((1.0, ends.min()), (-1.0, ends.max()))
    elasticity = p["ball_elasticity"] * p["wall_elasticity"]
    corrected = 1 - _LEFT_OVERLAP ** p["dt"]
    push = np.zeros_like(position)
    found = []
    for _ in range(num_steps):
        found.append(position)
        position = position + (velocity + push) * p["dt"]
        before, velocity = velocity, velocity + p["gravity"][axis] * p["dt"]
        push = np.zeros_like(position)
        for away, wall in walls:
            gap = away * (position - wall) - p["ball_radius"]
            rebound = away * np.maximum(away * velocity, -elasticity * away * before)
            velocity = np.where(gap < 0, rebound, velocity)
            push = np.where(gap < 0, away * corrected * np.maximum(0, -(gap + _SLOP)) / p["dt"], push)
    return np.stack(found, axis=1)


def curves(options, world, images, states):
    """Judge the observer on all sequences.

    Returns:
        mask -> list of (x, fraction of wrong pixels, its standard error, sequences judged), and mask -> list
        of the share of drawn motions whose frames are those seen.
    """
    count, num_steps = images.shape[:2]
    # A sequence's random masks are the same however many sequences there are: those of the models' curves.
    masks = {kind: masks_of_curve(kind, count, num_steps, NUM_GIVEN) for kind in TITLES}
    found = {kind: [[] for _ in of_kind] for kind, of_kind in masks.items()}
    for n in tqdm(range(count), unit="sequence", disable=None, leave=False):
        rng = np.random.default_rng([0, n])
        pixels = states[n, :, :2].astype(int)
        axes = [_starts(rng, world, axis, pixels[:, axis], options.num_starts) for axis in (0, 1)]
        for kind, of_kind in masks.items():
            for i, (_, mask) in enumerate(of_kind):
                seen = mask[n] > 0.5
                if not seen.all():
                    judged = _judge(rng, world, axes, pixels, images[n], seen, options.num_motions)
                    found[kind][i].append(judged)
    points, shares = {}, {}
    for kind, of_kind in masks.items():
        points[kind] = [_point(x, judged) for (x, _), judged in zip(of_kind, found[kind], strict=True)]
        shares[kind] = [float(np.mean([share for *_, share in judged])) for judged in found[kind]]
    return points, shares


def _starts(rng, world, axis, pixels, count):
    """Return the starts along an axis that fit the given frames, drawn at pixels [T]."""
    p = world.parameters
    mean, low, high = (p["start_mean"][axis], *p["start_range"])
    # Of the normal distribution what lies in the first pixel; what was clipped into it comes along.
    edges = np.array([pixels[0], pixels[0] + 1.0])
    edges = np.where([edges[0] <= low, edges[1] > high], [-np.inf, np.inf], edges)
    uniform = rng.uniform(*ndtr((edges - mean) / p["start_std"]), count)
    position = np.clip(mean + p["start_std"] * ndtri(uniform), low, high)
    velocity = rng.uniform(-p["speed_range"][1], p["speed_range"][1], count)
    # Few pass the first frames, so the rest is for them alone.
    early = axis_paths(world, axis, position, velocity, NUM_GIVEN).astype(int)
    kept = (early == pixels[:NUM_GIVEN]).all(axis=1)
    position, velocity = position[kept], velocity[kept]
    return _Axis(position, velocity, axis_paths(world, axis, position, velocity, len(pixels)).astype(int))


def _judge(rng, world, axes, pixels, images, seen, num_motions):
    """Return wrong and all pixels of the hidden frames, and the share of motions that fit.

    Where no motion fits, which a ball that leaves the box may lead to, wrong and all pixels are 0.
    """
    motions = _draw_motions(rng, world, axes, pixels, seen, num_motions)
    if not len(motions):
        return 0, 0, 0.0
    frames = world.rollout(motions, len(images)).images
    fits = (frames[:, seen] == images[seen]).all(axis=(1, 2, 3))
    if not fits.any():
        return 0, 0, 0.0
    hidden = (frames[fits][:, ~seen] > 0).mean(axis=0) > 0.5
    return int((hidden != (images[~seen] > 0)).sum()), hidden.size, float(fits.mean())


def _draw_motions(rng, world, axes, pixels, seen, count):
    """Draw initial states [count, 4], or none, given the pixels [T, 2] of the frames that are seen [T]."""
    chosen = []
    for axis, of_axis in enumerate(axes):
        fitting = np.flatnonzero((of_axis.pixels[:, seen] == pixels[seen, axis]).all(axis=1))
        chosen.append(of_axis.of(rng.permutation(fitting)[:1000]))
    along_x, along_y = chosen
    speed = np.hypot(along_x.velocity[:, None], along_y.velocity)
    slowest, quickest = world.parameters["speed_range"]
    # Speed and angle are uniform, so the density over the plane of velocities is one over the speed.
    weights = np.where((speed >= slowest) & (speed <= quickest), 1 / np.maximum(speed, slowest), 0).ravel()
    if not weights.any():
        return np.empty([0, 4])
    pairs = rng.choice(weights.size, count, p=weights / weights.sum())
    i, j = np.unravel_index(pairs, speed.shape)
    parts = (along_x.position[i], along_y.position[j], along_x.velocity[i], along_y.velocity[j])
    return np.stack(parts, axis=1)


def _point(x, judged):
    """Return x, the fraction of wrong pixels, its standard error, and how many sequences were judged."""
    wrong, pixels = np.array([numbers[:2] for numbers in judged if numbers[1]], float).reshape(-1, 2).T
    if not len(wrong):
        return x, float("nan"), float("nan"), 0
    rate = wrong.sum() / pixels.sum()
    error = np.sqrt(np.sum((wrong - rate * pixels) ** 2)) / pixels.sum()
    return x, float(f"{rate:.6g}"), float(f"{error:.3g}"), len(wrong)


def _report(options, given, points, shares, seconds):
    command = shlex.join(["python", "-m", "experiments.perfect_observer", *given])
    lines = [f"# {options.dataset}: a perfect observer", "", "Made by", "", f"    {command}", ""]
    lines.append(
        f"in {seconds / 60:.0f} minutes. Fraction of wrong pixels on hidden frames of "
        f"{options.num_sequences} test sequences, with standard errors over them. For each of them and mask "
        f"{options.num_motions} motions were drawn."
    )
    for mask, of_mask in points.items():
        xs, rates, errors, counts = zip(*of_mask, strict=True)
        lines += ["", f"## By {TITLES[mask]}", "", row_of("", xs), row_of("---", ["---"] * len(xs))]
        lines.append(row_of("wrong pixels", [f"{rate:.4f}" for rate in rates]))
        lines.append(row_of("standard error", [f"{error:.5f}" for error in errors]))
        lines.append(row_of("sequences with hidden frames, and a motion that fits", counts))
        lines.append(
            row_of("motions whose frames are those seen", [f"{share:.2f}" for share in shares[mask]])
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
