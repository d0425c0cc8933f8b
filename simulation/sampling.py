"""Sequences of a world, drawn one by one from random streams of their own, by one process or several."""

import concurrent.futures
import multiprocessing
import signal
from collections.abc import Iterator
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
    world: World, split: str, num_sequences: int, num_steps: int, seed: int, first: int = 0, jobs: int = 1
) -> Sequences:
    """Simulate the sequences of a split; arguments and errors as `simulate_chunks`.

    Returns:
        images uint8 [N, T, H, W], states float64 [N, T, S], controls float32 [N, T, dim_u].
    """
    chunks = simulate_chunks(world, split, num_sequences, num_steps, seed, first, jobs)
    return Sequences(*(np.concatenate(arrays) for arrays in zip(*chunks, strict=True)))


def simulate_chunks(
    world: World, split: str, num_sequences: int, num_steps: int, seed: int, first: int = 0, jobs: int = 1
) -> Iterator[Sequences]:
    """Simulate the sequences of a split, some at a time, with a progress bar on a terminal.

    Args:
        world: the world.
        split: "train" or "test".
        num_sequences: how many.
        num_steps: frames in each.
        seed: what all are drawn from, a non-negative integer.
        first: number of the first one.
        jobs: processes that share the work; the sequences are the same whatever it is.

    Yields:
        The next `CHUNK` sequences, fewer at the end.

    Raises:
        ValueError: a number is out of range.
        OSError: a process was ended from outside.
    """
    check_size("num_sequences", num_sequences, num_steps, seed)
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1. Received: {jobs}.")
    firsts = range(first, first + num_sequences, CHUNK)
    tasks = [
        (world.name, world.options, split, range(i, min(i + CHUNK, first + num_sequences)), num_steps, seed)
        for i in firsts
    ]
    bar = tqdm(total=num_sequences, desc=f"{world.name} {split}", unit="seq", leave=False, disable=None)
    with bar, HeldBackSignals() as signals:
        if jobs == 1:
            for *_, indices, _, _ in tasks:
                yield _simulate(world, split, indices, num_steps, seed, signals.deliver)
                bar.update(len(indices))
            return
        # Not forked: the process may have threads, TensorFlow's for example.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(jobs, context, _ignore_interrupts) as pool:
            # A few chunks ahead of who takes them, so that memory does not grow with their number.
            futures = [pool.submit(_simulate_task, task) for task in tasks[: 2 * jobs]]
            try:
                for i in range(len(tasks)):
                    while not futures[i].done():
                        concurrent.futures.wait([futures[i]], timeout=0.1)
                        signals.deliver()
                    try:
                        chunk, futures[i] = futures[i].result(), None
                    except concurrent.futures.process.BrokenProcessPool as error:
                        raise OSError(
                            "A process that simulates was ended; was there too little memory?"
                        ) from error
                    if len(futures) < len(tasks):
                        futures.append(pool.submit(_simulate_task, tasks[len(futures)]))
                    yield chunk
                    bar.update(len(chunk.images))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


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
