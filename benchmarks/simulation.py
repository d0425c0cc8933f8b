"""Time the simulator: sequences per second, and where the time goes.

python -m benchmarks.simulation

Each world's training file is made as `python -m simulation.generate` makes it, compression and writing
included, by one process and by two in turn. Then once more with a clock around what pymunk and pygame do.
"""

import contextlib
import functools
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pymunk
import tyro

from benchmarks.report import heading, publish
from kvae.system.command import guarded
from simulation import make_world, world_names
from simulation.dataset_file import describe, make
from simulation.sampling import Workers
from simulation.worlds.drawing import Canvas, TruncatingDrawOptions
from simulation.worlds.pendulum import Pendulum

CLOCKED = {
    "physics": [(pymunk.Space, "step")],
    "drawing": [
        *((Canvas, name) for name in ("clear", "content", "images")),
        *((TruncatingDrawOptions, name) for name in ("draw_circle", "draw_fat_segment")),
        (pymunk.Space, "debug_draw"),
        (Pendulum, "_draw"),
    ],
}
"""What belongs to which part; none of these calls another."""


@dataclass(frozen=True)
class Options:
    """Time the simulator."""

    worlds: tuple[str, ...] = world_names()
    """Worlds to time."""
    num_sequences: int = 20000
    """Sequences in a file."""
    rounds: int = 3
    """How often each file is made."""
    jobs: int = 2
    """Processes to compare one with."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def seconds_of_file(world, num_sequences, jobs, folder):
    """Return the seconds it takes to make a training file, the start of the processes included."""
    metadata = describe(world, "train", num_sequences, world.num_steps, seed=0)
    start = time.perf_counter()
    with Workers(jobs) as workers:
        make(Path(folder) / f"{world.name}.npz", world, metadata, workers)
    return time.perf_counter() - start


def seconds_of_simulation(world, num_sequences):
    """Return the seconds it takes to simulate the same sequences in this process, without storing them."""
    start = time.perf_counter()
    with Workers() as workers:
        for _ in workers.simulate(world, "train", num_sequences, world.num_steps, seed=0):
            pass
    return time.perf_counter() - start


def shares_of_time(world, num_sequences, folder):
    """Return part -> share of the time of making a file in one process."""
    total = seconds_of_file(world, num_sequences, 1, folder)
    seconds = dict.fromkeys(CLOCKED, 0.0)

    def clocked(part, function):
        @functools.wraps(function)
        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return run

    with contextlib.ExitStack() as stack:
        for part, functions in CLOCKED.items():
            for owner, name in functions:
                patch = mock.patch.object(owner, name, clocked(part, getattr(owner, name)))
                stack.enter_context(patch)
        simulation = seconds_of_simulation(world, num_sequences)
    # The clocks take time too, which is left out.
    plain = seconds_of_simulation(world, num_sequences)
    shares = {part: value / simulation * plain / total for part, value in seconds.items()}
    shares["compression and writing"] = max(0.0, 1 - plain / total)
    return shares | {"the rest": 1 - sum(shares.values())}


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    parts = [*CLOCKED, "compression and writing", "the rest"]
    lines = [
        *heading("simulation", given, ("pymunk", "pygame", "numpy")),
        f"Sequences per second, compression and writing included: medians of {options.rounds} files of "
        f"{options.num_sequences:,}.",
        "",
        f"{'':12}{'frames':>8}{'1 process':>11}{f'{options.jobs} processes':>13}{'ratio':>7}   "
        + "  ".join(f"{part:>{len(part)}}" for part in parts),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.worlds:
            world = make_world(name)
            seconds = {1: [], options.jobs: []}
            for _ in range(options.rounds):
                for jobs, times in seconds.items():
                    times.append(seconds_of_file(world, options.num_sequences, jobs, folder))
            one, several = (options.num_sequences / statistics.median(times) for times in seconds.values())
            ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
            shares = shares_of_time(world, options.num_sequences, folder)
            lines.append(
                f"{name:12}{world.num_steps:8}{one:11,.0f}{several:13,.0f}{ratio:7.2f}   "
                + "  ".join(f"{shares[part]:{len(part)}.0%}" for part in parts)
            )
            print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
