"""Sequences of a world, drawn one by one from random streams of their own, by one process or several."""

import collections
import concurrent.futures
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from .interrupts import HeldBackSignals, withheld_from_children
from .worlds import Sequences, World, make_world
from .worlds.base import check_num_steps
from .worlds.registry import trust, trusted_modules

SPLITS = ("train", "test")

CHUNK = 100
"""Sequences that a process simulates at a time."""


class _Task(NamedTuple):
    """Some sequences for a process to simulate, by their numbers, and what it must import for that."""

    modules: tuple[str, ...]
    world: str
    options: dict[str, Any]
    split: str
    indices: range
    num_steps: int
    seed: int


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
        jobs: how many, this one included; the others start when they are needed first.
        quiet: show no progress bar.

    Raises:
        ValueError: there can't be so many.
    """

    def __init__(self, jobs: int = 1, quiet: bool = False):
        if jobs < 1:
            raise ValueError(f"jobs must be at least 1. Received: {jobs}.")
        self._jobs, self._quiet = jobs, quiet
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._pool is not None and self._folder is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._folder.cleanup()
            self._pool = self._folder = None

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
        # None: shown on a terminal alone.
        hidden = self._quiet or None
        bar = tqdm(total=num_sequences, desc=f"{world.name} {split}", unit="seq", leave=False, disable=hidden)
        with bar, HeldBackSignals() as signals:
            if self._jobs == 1:
                found: Iterator[Sequences] = (
                    _simulate(world, split, of, num_steps, seed, signals.deliver) for of in chunks
                )
            else:
                modules = trusted_modules(world.name)
                tasks = [
                    _Task(modules, world.name, world.options, split, of, num_steps, seed) for of in chunks
                ]
                found = self._in_processes(tasks, signals.deliver)
            for chunk in found:
                yield chunk
                bar.update(len(chunk.images))

    def _in_processes(self, tasks: list[_Task], deliver: Callable[[], None]) -> Iterator[Sequences]:
        others = self._jobs - 1
        if self._pool is None or self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="simulation-")
            # Not forked: the process may have threads, TensorFlow's for example.
            context = multiprocessing.get_context("spawn")
            # Its locks start a process that keeps track of them.
            with withheld_from_children():
                self._pool = concurrent.futures.ProcessPoolExecutor(others, context)
        to_do = collections.deque(tasks)
        ahead: collections.deque[concurrent.futures.Future] = collections.deque()
        try:
            while to_do or ahead:
                # One chunk at hand for each of the others, and some more to go on with.
                while to_do and sum(not future.done() for future in ahead) < 4 * others:
                    with withheld_from_children():
                        future = self._pool.submit(_simulate_to_file, to_do.popleft(), self._folder.name)
                    ahead.append(future)
                if ahead[0].done():
                    yield _result(ahead.popleft())
                elif to_do and len(ahead) < 8 * self._jobs:
                    # This process works too, from the first moment: the others take most of a second to
                    # start. But not too far ahead of who takes the chunks, which memory holds until then.
                    done: concurrent.futures.Future = concurrent.futures.Future()
                    done.set_result(_simulate_task(to_do.popleft(), deliver))
                    ahead.append(done)
                else:
                    concurrent.futures.wait([ahead[0]], timeout=0.1)
                    deliver()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise OSError("A process that simulates was ended; was there too little memory?") from error


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
        sequences.images[i], sequences.states[i], sequences.controls[i] = (part[0] for part in sequence)
    return sequences


_worlds: dict[str, World] = {}


def _simulate_task(task: _Task, between: Callable[[], None] = lambda: None) -> Sequences:
    """Simulate with a world that this process makes once; `between` is called before each sequence."""
    key = f"{task.world} {task.options}"
    if key not in _worlds:
        trust(*task.modules)
        _worlds[key] = make_world(task.world, **task.options)
    return _simulate(_worlds[key], task.split, task.indices, task.num_steps, task.seed, between)


def _simulate_to_file(task: _Task, folder: str) -> tuple[str, Sequences]:
    """Simulate a chunk for another process; the images go into a file, whose path stands beside the rest.

    Through the pool's pipe they would arrive 64 KB at a time, each waiting for the interpreter of the
    process that reads them, which is busy: with two processes that took a tenth of the speed.
    """
    sequences = _simulate_task(task)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(sequences.images.data)
    return file.name, sequences._replace(images=np.empty((0, *sequences.images.shape[1:]), np.uint8))


def _result(future: concurrent.futures.Future) -> Sequences:
    """Return the chunk, wherever it was simulated."""
    result = future.result()
    if isinstance(result, Sequences):
        return result
    path, sequences = result
    images = np.fromfile(path, np.uint8).reshape(-1, *sequences.images.shape[1:])
    os.unlink(path)
    return sequences._replace(images=images)
