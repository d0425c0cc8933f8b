"""Compare the pendulum's physics with an ODE solver, for several numbers of pymunk steps between two frames.

python -m experiments.pendulum_error > results/worlds/pendulum_physics.txt
"""

import importlib.metadata
import math
import shlex
import sys
import time
from dataclasses import dataclass

import numpy as np
import tyro
from scipy.integrate import solve_ivp

from kvae.system.command import guarded
from simulation.sampling import sequence_rng
from simulation.worlds.pendulum import Pendulum, PendulumParameters


@dataclass(frozen=True)
class Options:
    """Print the pendulum's errors against scipy's ODE solver."""

    num_sequences: int = 1000
    """Random starts, each with random torques."""
    num_steps: int = 15
    """Frames of a sequence."""
    substeps: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    """Numbers of steps of the physics between two frames."""


def solve(start, torques, parameters):
    """Solve m l^2 phi'' = -mu phi' + m g l sin(phi) + u, the torque held between two frames.

    Args:
        start: [N, 2], phi and phi' at the first frame.
        torques: [N, T], entry t between the frames t - 1 and t.
        parameters: a `PendulumParameters`.

    Returns:
        [N, T, 2].
    """
    p = parameters

    def derivative(_, flat, torque):
        phi, speed = flat.reshape(2, -1)
        moment = -p.friction * speed + p.mass * p.gravity * p.length * np.sin(phi) + torque
        return np.concatenate([speed, moment / (p.mass * p.length**2)])

    found = [start]
    for torque in torques[:, 1:].T:
        options = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-10, "args": (torque,)}
        solved = solve_ivp(derivative, (0, p.dt), found[-1].T.ravel(), **options)
        found.append(solved.y[:, -1].reshape(2, -1).T)
    return np.stack(found, axis=1)


def errors(substeps, num_sequences, num_steps, seed=0):
    """Return the errors of angle and speed [N, T - 1, 2] at the frames after the first, and seconds."""
    parameters = PendulumParameters(substeps=substeps)
    world = Pendulum(parameters)
    start = time.perf_counter()
    found = [world.sample_sequence(sequence_rng(seed, "train", n), num_steps) for n in range(num_sequences)]
    seconds = time.perf_counter() - start
    states, controls = (np.concatenate(arrays) for arrays in list(zip(*found, strict=True))[1:])
    difference = states - solve(states[:, 0], controls[..., 0].astype(float), parameters)
    difference[..., 0] = (difference[..., 0] + math.pi) % (2 * math.pi) - math.pi
    return abs(difference[:, 1:]), seconds


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("pymunk", "scipy", "numpy")
    )
    print(f"# {shlex.join(['python', '-m', 'experiments.pendulum_error', *given])}\n")
    print(
        f"{versions}. Errors against solve_ivp (DOP853, 1e-10) over {options.num_sequences} random starts "
        f"with random torques, all frames\nof {options.num_steps} after the first. The world has "
        f"{PendulumParameters.substeps} steps of the physics a frame.\n"
    )
    titles = ("median", "99 %", "largest")
    print(f"{'':8}{'angle, rad':>30}{'speed, rad/s':>30}{'ms a':>10}")
    print(f"{'steps':8}" + "".join(f"{title:>10}" for title in titles * 2) + f"{'sequence':>10}")
    for substeps in options.substeps:
        found, seconds = errors(substeps, options.num_sequences, options.num_steps)
        numbers = np.percentile(found, [50, 99, 100], axis=(0, 1)).T.ravel()
        milliseconds = 1e3 * seconds / options.num_sequences
        print(f"{substeps:<8}" + "".join(f"{number:10.1e}" for number in numbers) + f"{milliseconds:10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
