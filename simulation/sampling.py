"""Sequences of a world, drawn one by one from random streams of their own, by one process or several."""

import collections
import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from simulation.interrupts import HeldBackSignals
from simulation.worlds import Sequences, World, make_world
from simulation.worlds.base import check_num_steps

SPLITS = ("train", "test")

CHUNK = 250
"""Sequences that a process simulates at a time."""


def sequence_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """Make the random stream of one sequence.

    A stream depends on nothing but its seed, split and index, so a dataset of 10 sequences is the
    beginning of one of 100.
    """
    key = (SPLITS.index(split), index)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def simulate(
    world: World, split: str, num_sequences: int, num_steps: int, seed: int, first: int = 0
) -> Sequences:
    """Simulate the sequences of a split in this process; arguments and errors as `Workers.simulate`.

    Returns:
        images uint8 [N, T, H, W], states float64 [N, T, S], controls float32 [N, T, dim_u].
    """
    with Workers() as workers:
        chunks = list(workers.simulate(world, split, num_sequences, num_steps, seed, first))
    return Sequences(*(np.concatenate(arrays) for arrays in zip(*chunks, strict=True)))


class Workers:
    """Processes that share the simulation of sequences, or this one alone. A context manager.

    Args:
        jobs: how many. With 1 no other process is started; else they start when they are needed first.

    Raises:
        ValueError: there can't be so many.
    """

    def __init__(self, jobs: int = 1):
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1. Received: {jobs}.")
        self._jobs = jobs
        self._pool = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def simulate(
        self, world: World, split: str, num_sequences: int, num_steps: int, seed: int, first: int = 0
    ) -> Iterator[Sequences]:
        """Simulate the sequences of a split, some at a time, with a progress bar on a terminal.

        Args:
            world: the world.
            split: "train" or "test".
            num_sequences: how many.
            num_steps: frames in each.
            seed: what all are drawn from, a non-negative integer.
            first: number of the first one.

        Yields:
            The next `CHUNK` sequences, fewer at the end; the same whatever the number of processes.

        Raises:
            ValueError: a number is out of range.
            OSError: a process was ended from outside.
        """
        check_size("num_sequences", num_sequences, num_steps, seed)
        end = first + num_sequences
        chunks = [range(i, min(i + CHUNK, end)) for i in range(first, end, CHUNK)]
        bar = tqdm(total=num_sequences, desc=f"{world.name} {split}", unit="seq", leave=False, disable=None)
        with bar, HeldBackSignals() as signals:
            if self._jobs == 1:
                found = (_simulate(world, split, of, num_steps, seed, signals.deliver) for of in chunks)
            else:
                tasks = [(world.name, world.options, split, of, num_steps, seed) for of in chunks]
                found = self._in_processes(tasks, signals.deliver)
            for chunk in found:
                yield chunk
                bar.update(len(chunk.images))

    def _in_processes(self, tasks: list[tuple], deliver: Callable[[], None]) -> Iterator[Sequences]:
        if self._pool is None:
            # Not forked: the process may have threads, TensorFlow's for example.
            context = multiprocessing.get_context("spawn")
            self._pool = concurrent.futures.ProcessPoolExecutor(self._jobs, context, _ignore_interrupts)
        # A few chunks ahead of who takes them, so that memory does not grow with their number.
        ahead = collections.deque()
        try:
            for task in tasks:
                ahead.append(self._pool.submit(_simulate_task, task))
                if len(ahead) > 2 * self._jobs:
                    yield _result(ahead.popleft(), deliver)
            while ahead:
                yield _result(ahead.popleft(), deliver)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise OSError("A process that simulates was ended; was there too little memory?") from error


def _result(future: concurrent.futures.Future, deliver: Callable[[], None]) -> Sequences:
    """Wait for a result, calling `deliver` now and then."""
    while not future.done():
        concurrent.futures.wait([future], timeout=0.1)
        deliver()
    return future.result()


def check_size(name: str, num_sequences: int, num_steps: int, seed: int) -> None:
    """Raise ValueError unless there can be so many sequences, called `name`, of so many steps."""
    if num_sequences < 1:
        raise ValueError(f"{name} must be at least 1. Received: {num_sequences}.")
    check_num_steps(num_steps)
    if seed < 0:
        raise ValueError(f"seed must not be negative. Received: {seed}.")


def _simulate(world, split, indices, num_steps, seed, between=lambda: None) -> Sequences:
    """Simulate the sequences of these numbers; `between` is called before each."""
    shape = (len(indices), num_steps)
    sequences = Sequences(
        images=np.empty((*shape, *world.image_shape), dtype=np.uint8),
        states=np.empty((*shape, len(world.state_quantities))),
        controls=np.empty((*shape, len(world.control_quantities)), dtype=np.float32),
    )
    for i, index in enumerate(indices):
        between()
        sequence = world.sample_sequence(sequence_rng(seed, split, index), num_steps)
        for array, value in zip(sequences, sequence, strict=True):
            array[i] = value[0]
    return sequences


_worlds: dict[str, World] = {}


def _simulate_task(task: tuple[str, dict[str, Any], str, range, int, int]) -> Sequences:
    """Simulate in a process of the pool, which makes its world once."""
    name, options, *rest = task
    key = f"{name} {options}"
    if key not in _worlds:
        _worlds[key] = make_world(name, **options)
    return _simulate(_worlds[key], *rest)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches all processes of a terminal; the one that started the pool decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
