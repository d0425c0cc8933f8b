"""The datasets of two public codes, frame for frame and mask for mask, made from their seeds.

Both fill in hidden frames of `simulation.worlds.swinging_line`:

- `rkn`: Becker et al., "Recurrent Kalman networks", ICML 2019 (LCAS/RKN, ALRhub/rkn_share). Of 75 frames half
  are hidden, the first five never; all training frames may be learned from.
- `cru`: Schirmer et al., "Modeling irregular time series with continuous recurrent units", ICML 2022
  (boschresearch/Continuous-Recurrent-Units), and Zeng et al., "Latent SDEs on homogeneous spaces", NeurIPS
  2023 (plus-rkwitt/LatentSDEonHS). Of 100 frames 50 exist at all, and of these about half are seen.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvae.data.archives import read_arrays
from kvae.errors import UserError
from kvae.system.files import replacing
from simulation.worlds import make_world
from simulation.worlds.swinging_line import SwingingLine

NUM_TRAIN, NUM_TEST = 2000, 1000
NUM_SHOWN = 5
"""First frames that are seen, where they exist."""
NUM_WATCHED = 20
"""Test sequences that a run evaluates itself by; the whole test set is scored apart from it."""
SPLITS = {"train": NUM_TRAIN, "test": NUM_TEST}


class Split(NamedTuple):
    """Sequences of a task.

    Attributes:
        images: [N, T, 24, 24] uint8, whole, those too that do not exist for who fills in.
        states: [N, T, 2] float64, angle and velocity.
        exists: [N, T] bool: the frames that may be learned from, and judged by.
        seen: [N, T] bool: those of them that are shown to who fills in the others.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.float64]
    exists: NDArray[np.bool_]
    seen: NDArray[np.bool_]

    def first(self, count: int | None) -> "Split":
        """Return the first sequences."""
        return Split(*(array[:count] for array in self))


@dataclass(frozen=True)
class Task:
    """One yardstick.

    Attributes:
        name: `rkn` or `cru`.
        num_steps: T.
        make: returns both splits; of each the first so many sequences, or None: all.
        pixels: options of run_kvae.py that say what a pixel is.
        num_epochs: of training, by default.
        refine_epochs: of the dynamics alone.
    """

    name: str
    num_steps: int
    make: Callable[[int | None], dict[str, Split]]
    pixels: tuple[str, ...]
    num_epochs: int
    refine_epochs: int


def simulated(rng: np.random.RandomState, num_sequences: int, num_steps: int) -> NDArray[np.float64]:
    """Return states [N, T, 2] in the public codes' order of draws: all angles, then noise step by step."""
    world = line()
    theta = rng.uniform(0, 2 * np.pi, num_sequences)
    velocity = np.zeros(num_sequences)
    found = [(theta, velocity)]
    for _ in range(1, num_steps):
        theta, velocity = world.swing(theta, velocity)
        velocity = velocity + rng.normal(0, world.parameters["velocity_noise"], num_sequences)
        theta = theta % (2 * np.pi)
        found.append((theta, velocity))
    states = np.moveaxis(np.array(found), (0, 1, 2), (1, 2, 0))
    states[..., 0] -= np.pi
    return states


def drawn(
    rng: np.random.RandomState, states: NDArray[np.float64], most: int | None = None
) -> NDArray[np.uint8]:
    """Return frames [N, T, 24, 24], of the first `most` sequences.

    Noise is drawn for the velocities too, which no frame shows, and for all sequences.
    """
    world = line()
    noise = rng.normal(0, world.parameters["angle_noise"], states.shape)
    return world.draw((states + noise)[:most, :, 0])


def line() -> SwingingLine:
    """Return the world of both tasks."""
    world = make_world("swinging_line")
    assert isinstance(world, SwingingLine)
    return world


def _rkn(most: int | None = None) -> dict[str, Split]:
    splits = {}
    for (split, count), seed in zip(SPLITS.items(), (42, 23541), strict=True):
        rng = np.random.RandomState(seed)
        states = simulated(rng, count, 75)
        images = drawn(rng, states, most)
        seen = np.random.RandomState(seed).rand(count, 75) < 0.5
        seen[:, :NUM_SHOWN] = True
        splits[split] = Split(images, states, np.ones_like(seen), seen).first(most)
    return splits


def _cru(most: int | None = None) -> dict[str, Split]:
    rng, splits = np.random.RandomState(42), {}
    for split, count in SPLITS.items():
        states = simulated(rng, count, 100)
        images = drawn(rng, states, most)
        seen = rng.rand(count, 100) > 0.5
        seen[:, :NUM_SHOWN] = True
        exists = np.zeros_like(seen)
        for number, row in enumerate(exists):
            of_row = np.random.default_rng(number + (NUM_TRAIN if split == "train" else 0))
            row[of_row.choice(100, 50, replace=False)] = True
        splits[split] = Split(images, states, exists, seen & exists).first(most)
    return splits


TASKS = {
    task.name: task
    for task in (
        Task("rkn", 75, _rkn, ("--out_distr", "bernoulli", "--grey_targets", "True"), 45, 125),
        Task("cru", 100, _cru, (), 16, 125),
    )
}


def paths(task: Task, data_dir: Path) -> dict[str, Path]:
    """Return where the files of a task lie.

    `train` and `test` are dataset files; `seen` holds the masks [N, T] of both splits; `watched` is a copy of
    the training file, beside the first test sequences as its test split: what run_kvae.py gets.
    """
    return {
        "train": data_dir / f"{task.name}.npz",
        "test": data_dir / f"{task.name}_test.npz",
        "seen": data_dir / f"{task.name}_seen.npz",
        "watched": data_dir / "watched" / f"{task.name}.npz",
        "watched_test": data_dir / "watched" / f"{task.name}_test.npz",
    }


def ensure(task: Task, data_dir: Path) -> dict[str, Path]:
    """Make the files of a task, unless all are there; return `paths`."""
    files = paths(task, data_dir)
    if all(path.exists() for path in files.values()):
        return files
    splits = task.make(None)
    files["watched"].parent.mkdir(parents=True, exist_ok=True)
    for split, found in splits.items():
        _write(files[split], found, _facts(task, split, found))
    watched = splits["test"].first(NUM_WATCHED)
    _write(files["watched_test"], watched, _facts(task, "test", watched))
    with replacing(files["watched"]) as temporary:
        shutil.copyfile(files["train"], temporary)
    with replacing(files["seen"]) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{split: found.seen.astype(np.uint8) for split, found in splits.items()})
    return files


def read(task: Task, data_dir: Path, split: str) -> Split:
    """Return a split as it lies in its files, in which frames that do not exist are black.

    Raises:
        UserError: the files are not there, or not of the task.
    """
    files = paths(task, data_dir)
    try:
        arrays, masks = read_arrays(files[split]), read_arrays(files["seen"])
        metadata = json.loads(str(arrays["metadata"]))
        if metadata["task"] != task.name or metadata["split"] != split:
            raise UserError(f"{files[split]} holds {metadata['task']}, {metadata['split']}")
        images = arrays["images"]
        exists = arrays.get("mask", np.ones(images.shape[:2])) > 0
        return Split(images, arrays["states"], exists, masks[split] > 0)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UserError(
            f"The data of {task.name} are not in {data_dir}: python -m experiments.peers --task {task.name} "
            f"--stage data ({error})"
        ) from error


def _facts(task: Task, split: str, found: Split) -> dict[str, Any]:
    return {
        "task": task.name,
        "split": split,
        "source": "made by experiments.peers from the seeds of the public code",
        "parameters": line().parameters,
        "num_sequences": len(found.images),
        "num_steps": task.num_steps,
    }


def _write(path: Path, found: Split, facts: dict[str, Any]) -> None:
    """Write a dataset file; without a mask where every frame exists."""
    arrays: dict[str, NDArray[Any]] = {"images": found.images, "states": found.states}
    if not found.exists.all():
        arrays["images"] = np.where(found.exists[..., None, None], found.images, np.uint8(0))
        arrays["mask"] = found.exists.astype(np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays, metadata=np.array(json.dumps(facts)))
