"""Memory does not grow with the steps trained, nor with the evaluations made: minutes of a real training."""

import concurrent.futures
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from simulation.dataset import generate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc"),
]

STEPS_PER_EPOCH = 10
ALLOWED = 20
"""Megabytes. A batch of frames has 0.3; the arrays of one set of films have some 2."""


def resident():
    """Return the megabytes of memory in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def megabytes_after_epochs(folder, num_epochs, generate_step):
    """Train a model of the default size; return the memory in use after every epoch."""
    import run_kvae
    from kvae.config import Config
    from kvae.system.signals import StopSignals

    config = Config(
        data_dir=str(folder / "data"),
        log_dir=str(folder / "logs"),
        batch_size=4,
        num_epochs=num_epochs,
        generate_step=generate_step,
        kf_update_steps=2,
    )
    found = []
    with StopSignals() as signals:
        run_kvae.run(config, signals, lambda model, epoch: found.append(resident()))
    return found


def growth(folder, warm_up, num_epochs, generate_step):
    """Return by how many megabytes memory grew after the first epochs, in a process of its own."""
    generate("box", folder / "data", num_train=4 * STEPS_PER_EPOCH, num_test=8)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        found = pool.submit(megabytes_after_epochs, folder, num_epochs, generate_step).result()
    print(f"Megabytes after every epoch: {np.round(found).astype(int).tolist()}")
    # Means over ten epochs, as the memory in use goes up and down by what is freed late.
    return np.mean(found[-10:]) - np.mean(found[warm_up - 10 : warm_up])


def test_a_thousand_steps(tmp_path):
    assert growth(tmp_path, warm_up=30, num_epochs=130, generate_step=1000) < ALLOWED


def test_fifty_evaluations_with_figures_and_films(tmp_path):
    assert growth(tmp_path, warm_up=15, num_epochs=65, generate_step=1) < ALLOWED
