"""Generate 30 frames of Gymnasium's pendulum with its true torques and without: the error of the angle.

python -m experiments.actions logs/torques_kvae logs/none_kvae > results/worlds/gymnasium_actions.md

The angle of a frame is that of the frame of the training data most like it, whose state is known.
"""

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kvae.errors import UserError
from kvae.system.command import guarded

STEPS = (1, 2, 5, 10, 20, 30)
"""Frames after the last given one at which the table shows the error."""


@dataclass(frozen=True)
class Options:
    """Print how far the angle of generated frames is from the true one, with the torques and without."""

    with_torques: Annotated[Path, tyro.conf.Positional]
    """Run folder of a model that learned with them."""
    without: Annotated[Path, tyro.conf.Positional]
    """Run folder of one that learned without, --use_controls False, from the same data."""
    num_sequences: int = 200
    """Sequences, which neither model has seen."""
    num_given: int = 8
    """Frames that a model is given first."""
    seed: int = 1
    """What the sequences are drawn from."""


def angles(states):
    """Return the angles [...] of observations [..., 3], cos and sin of the angle, and its speed."""
    return np.arctan2(states[..., 1], states[..., 0])


def swing(states, torques, frame_skip, parameters):
    """Return the angles [N, S] of Gymnasium's pendulum after a state, as its own equations have them.

    Args:
        states: [N, 3], observations.
        torques: [N, S], each held over a frame.
        frame_skip: steps of the environment in a frame.
        parameters: an object with the environment's g, m, l, dt and max_speed.
    """
    p = parameters
    angle, speed, found = angles(states), states[:, 2], []
    for torque in torques.T:
        for _ in range(frame_skip):
            pull = 3 * p.g / (2 * p.l) * np.sin(angle) + 3 / (p.m * p.l**2) * torque
            speed = np.clip(speed + pull * p.dt, -p.max_speed, p.max_speed)
            angle = angle + speed * p.dt
        found.append(angle)
    return np.stack(found, axis=1)


def angles_of_frames(frames, known, known_angles):
    """Return the angle of each frame: that of the known frame nearest to it, pixel by pixel.

    Args:
        frames: [..., H, W], numbers between 0 and 1.
        known: [M, H, W], likewise.
        known_angles: [M].
    """
    flat, of_known = frames.reshape(-1, known[0].size), known.reshape(len(known), -1)
    squares = (of_known**2).sum(axis=1)
    # Some at a time: the distances of all would not fit into memory.
    nearest = [
        np.argmin(squares - 2 * some @ of_known.T, axis=1)
        for some in np.array_split(flat, math.ceil(len(flat) / 1000))
    ]
    return known_angles[np.concatenate(nearest)].reshape(frames.shape[:-2])


def differences(found, true):
    """Return the absolute differences of angles [N, T], in degrees, 180 at most."""
    return np.degrees(np.abs((found - true + math.pi) % (2 * math.pi) - math.pi))


def mean_and_error(degrees):
    """Return the mean over sequences of numbers [N, T] and its standard error, [T] each."""
    return degrees.mean(axis=0), degrees.std(axis=0, ddof=1) / math.sqrt(len(degrees))


def generated_angles(models, images, controls, num_given, known, known_angles):
    """Return the angles [N, T] of what is generated after the first frames, by name.

    Args:
        models: the one that learned with torques, and the one that learned without.
        images: [N, T, H, W]; the first `num_given` frames are looked at.
        controls: [N, T, 1], the true torques.
        num_given: frames.
        known: see `angles_of_frames`.
        known_angles: likewise.
    """
    with_torques, without = models
    until = controls * (np.arange(controls.shape[1]) < num_given)[:, None]
    ways = {
        "learned with torques, told the true ones": (with_torques, controls),
        "the same model, told none after the given frames": (with_torques, until),
        "learned without torques": (without, np.zeros_like(controls)),
    }
    found = {}
    for name, (model, told) in ways.items():
        made = model.generate(images, images.shape[1], num_given, controls=told).images.numpy()
        found[name] = angles_of_frames(made, known, known_angles)
    pixels = images.astype(np.float32) / 255
    held = np.repeat(pixels[:, num_given - 1 : num_given], images.shape[1], axis=1)
    found["last given frame, held"] = angles_of_frames(held, known, known_angles)
    found["the true frames, read in the same way"] = angles_of_frames(pixels, known, known_angles)
    return found


@guarded
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)

    from kvae.runs.load import load
    from simulation import make_world
    from simulation.dataset import dataset_path
    from simulation.dataset_file import read_metadata
    from simulation.sampling import simulate

    models = [load(folder) for folder in (options.with_torques, options.without)]
    if [model.config.use_controls for model in models] != [True, False]:
        raise UserError(
            "Name the run that learned with torques first, and then that with --use_controls False"
        )
    config = models[0].config
    path = dataset_path(config.data_dir, config.dataset, "train")
    metadata = read_metadata(path)
    if config.dataset != "gym:Pendulum-v1" or metadata is None:
        raise UserError(f"{path} is no recording of gym:Pendulum-v1")
    with np.load(path) as arrays:
        known = arrays["images"].reshape(-1, *arrays["images"].shape[2:]).astype(np.float32) / 255
        known_angles = angles(arrays["states"]).reshape(-1)
    world = make_world(metadata["world"], **metadata["options"])
    num_steps = options.num_given + max(STEPS)
    tests = simulate(world, "test", options.num_sequences, num_steps, options.seed)
    found = generated_angles(models, tests.images, tests.controls, options.num_given, known, known_angles)
    last = options.num_given - 1
    nothing = np.zeros([options.num_sequences, max(STEPS)])
    swung = swing(tests.states[:, last], nothing, metadata["parameters"]["frame_skip"], world.unwrapped)
    true = angles(tests.states)
    found["the true equations from the true state, told no torques"] = np.hstack([true[:, : last + 1], swung])

    print(f"    python -m experiments.actions {shlex.join(given)}\n")
    print(
        f"{options.num_sequences} sequences, {options.num_given} frames given; mean absolute error of the "
        "angle, in degrees, and its standard error. An angle guessed blindly is 90 degrees off.\n"
    )
    print("| frames after the last given one | " + " | ".join(map(str, STEPS)) + " |")
    print("| --- |" + " --- |" * len(STEPS))
    off = {name: differences(of_frames, true) for name, of_frames in found.items()}
    told, untold = list(off)[:2]
    rows = {**off, "the second row minus the first, sequence by sequence": off[untold] - off[told]}
    for name, degrees in rows.items():
        mean, error = mean_and_error(degrees)
        cells = [f"{mean[i]:.1f} ± {error[i]:.1f}" for i in (last + step for step in STEPS)]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
