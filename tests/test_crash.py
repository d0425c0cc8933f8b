"""A training that is killed again and again ends where one ends that was left alone."""

import csv
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import simulation.generate

ROOT = Path(__file__).parent.parent
NUM_KILLS = 30
# All three phases; films after the first and every tenth epoch; a last batch that is not full.
OPTIONS = (
    "--dataset box --deterministic True --precision float32 --num_epochs 60 --only_vae_epochs 15 "
    "--kf_update_steps 15 --num_filters 4,4 --alpha_units 4 --batch_size 8 --num_paths 0 --generate_step 10 "
    "--n_steps_gen 22"
).split()


def command(*options):
    return [sys.executable, str(ROOT / "run_kvae.py"), *options]


def seconds_until(process, holds, limit):
    """Wait until something holds, the process has ended, or the time is over; return whether it held."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        if holds():
            return True
        time.sleep(0.001)
    return False


def kill_at_some_moment(process, folder, rng):
    """Wait for a moment, send a signal, and return the moment's name and the signal; None if it ended."""
    moment = rng.choice(["any time", "any time", "writing a checkpoint", "making films"])
    number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    if moment == "any time":
        # Some lives end before they have begun: while TensorFlow is imported.
        seconds_until(process, lambda: False, rng.uniform(2, 20))
    elif moment == "writing a checkpoint":
        skip = time.monotonic() + rng.uniform(0, 15)
        writes = (folder / "checkpoints").glob
        seconds_until(process, lambda: time.monotonic() > skip and any(writes(".last-*.npz")), 60)
    else:
        seconds_until(process, lambda: any((folder / "films").glob(".*")), 30)
    if process.poll() is not None:
        return None
    process.send_signal(number)
    start = time.monotonic()
    process.wait(timeout=60)
    if number != signal.SIGKILL:
        assert time.monotonic() - start < 15
    return moment, number


def rows_of(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["train_time_seconds"]
    return rows


def numbers_of(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: [
            (event.step, tf.make_ndarray(event.tensor_proto).tolist()) for event in accumulator.Tensors(tag)
        ]
        for tag in accumulator.Tags()["tensors"]
        if tag.split("/")[0] not in ("films", "plots", "time")
    }


@pytest.mark.slow
def test_thirty_kills_change_nothing(tmp_path):
    rng = random.Random(0)
    data = ["--data_dir", str(tmp_path / "data")]
    simulation.generate.main(["--dataset", "box", "--num_train", "44", "--num_test", "8", *data])
    places = [*OPTIONS, *data, "--log_dir", str(tmp_path)]
    subprocess.run(command(*places, "--run_name", "whole"), check=True, cwd=tmp_path)
    whole, cut = tmp_path / "whole_kvae", tmp_path / "cut_kvae"

    kills = []
    while len(kills) < NUM_KILLS:
        options = ["--resume", str(cut)] if cut.exists() else [*places, "--run_name", "cut"]
        log = (tmp_path / "log.txt").open("w")
        with log, subprocess.Popen(command(*options), cwd=tmp_path, stdout=log, stderr=log) as process:
            kill = kill_at_some_moment(process, cut, rng)
        said = (tmp_path / "log.txt").read_text()
        if kill is None:
            # A run that has ended can be resumed too: it is evaluated once more.
            assert process.returncode == 0, said
            continue
        kills.append((*kill, len(rows_of(cut)) if (cut / "metrics.csv").exists() else 0))
        codes = {signal.SIGKILL: [-9], signal.SIGTERM: [143, -15], signal.SIGINT: [130, -2]}[kill[1]]
        # Python itself has the first word until the program's own handlers stand.
        assert process.returncode in [*codes, 0, 1], said
        assert process.returncode != 1 or "KeyboardInterrupt" in said, said
    # To see with `-s`: the moment, the signal, and how many epochs had been recorded by then.
    print(*kills, sep="\n")
    subprocess.run(command("--resume", str(cut)), check=True, cwd=tmp_path)

    with np.load(whole / "checkpoints" / "last.npz") as a, np.load(cut / "checkpoints" / "last.npz") as b:
        assert a.files == b.files
        for name in set(a.files) - {"facts"}:
            np.testing.assert_array_equal(a[name], b[name])
    assert rows_of(cut) == rows_of(whole)
    for split in ("train", "test"):
        assert numbers_of(cut / split) == numbers_of(whole / split)
    for name in ("imputation_planning.csv", "imputation_random.csv"):
        assert (cut / name).read_text() == (whole / name).read_text()
    assert [path.name for path in (cut / "checkpoints").iterdir()] == ["last.npz"]
