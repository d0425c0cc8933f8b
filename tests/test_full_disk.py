"""What happens when nothing more can be written: a message, and what was there before is whole.

A limit on the size of files stands in for a disk that is full.
"""

import csv
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import simulation.generate
from kvae.data import archives
from kvae.runs.load import load

ROOT = Path(__file__).parent.parent
OPTIONS = (
    "--dataset box --preset none --num_filters 4,4 --alpha_units 4 --batch_size 16 --num_paths 0 "
    "--num_epochs 2 --generate_step 9 --n_steps_gen 10 --t_steps_mask 4 --kf_update_steps 1"
).split()


def run(limit, *options):
    """Run run_kvae.py where no file can be larger than `limit` bytes."""

    def little_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, str(ROOT / "run_kvae.py"), *options],
        capture_output=True,
        text=True,
        timeout=600,
        preexec_fn=little_space,
        check=False,
    )


@pytest.mark.slow
def test_training_and_evaluation_stop_with_a_message_and_go_on_when_there_is_room(tmp_path):
    data = f"--dataset box --num_train 32 --num_test 4 --num_steps 10 --data_dir {tmp_path / 'data'}"
    assert simulation.generate.main(data.split()) == 0
    options = [*OPTIONS, "--data_dir", str(tmp_path / "data"), "--log_dir", str(tmp_path), "--run_name", "a"]
    folder = tmp_path / "a_kvae"

    # In training: TensorBoard's graph and films are the largest file.
    finished = run(100_000, *options)
    assert_told(finished, folder)
    assert len(archives.read_arrays(folder / "checkpoints" / "last.npz")) > 20
    # In the first epoch its model is saved before them.
    load(folder)

    # In the evaluation: there is room for the films of the first epoch, and not for those of the end.
    finished = run(800_000, "--resume", str(folder))
    assert_told(finished, folder)
    with (folder / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    load(folder)

    finished = run(resource.RLIM_INFINITY, "--resume", str(folder))
    assert finished.returncode == 0, finished.stderr
    assert (folder / "evaluation.json").exists()
    assert not list(folder.rglob(".*"))


def assert_told(finished, folder):
    assert finished.returncode == 2
    assert "Traceback" not in finished.stderr
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert last.endswith("What was saved before is whole")
    assert str(folder) in last
    assert "too large" in last or "too little space" in last
