"""Several devices and several machines train as one does."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import simulation.generate
from kvae.data.archives import read_arrays
from kvae.training import distribution
from kvae.training.distribution import DistributionError

ROOT = Path(__file__).parent.parent


def start(arguments, log, worker=None, addresses=()):
    """Start a Python process; of several workers it is number `worker`."""
    environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="2")
    if worker is not None:
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": worker}}
        environment["TF_CONFIG"] = json.dumps(cluster)
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, stdout=file, stderr=file
        )


def loopback():
    """Return two addresses that are free."""
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def child(strategy, folder, **of_worker):
    return start(
        ["-m", "tests.distributed_child", strategy, folder], folder.parent / f"{folder.name}.log", **of_worker
    )


def read_metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def all_well(processes, folder):
    codes = [process.wait(timeout=500) for process in processes]
    assert codes == [0] * len(codes), "\n".join(path.read_text() for path in folder.glob("*.log"))
    return folder


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """A training of nine steps of four sequences, and of the dynamics after it."""
    folder = tmp_path_factory.mktemp("one_device")
    return all_well([child("default", folder / "default")], folder)


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_devices")
    return all_well([child("mirrored", folder / "mirrored")], folder)


@pytest.fixture(scope="module")
def two_machines(tmp_path_factory):
    folder, addresses = tmp_path_factory.mktemp("two_machines"), loopback()
    workers = [child("multiworker", folder / f"worker_{i}", worker=i, addresses=addresses) for i in range(2)]
    return all_well(workers, folder)


@pytest.fixture
def run_of(request):
    """Return a function from a name to the folder that this process left."""
    places = {"default": "one_device", "mirrored": "two_devices"}
    return lambda name: request.getfixturevalue(places.get(name, "two_machines")) / name / "run_kvae"


ON_TWO_MACHINES = [pytest.param(f"worker_{i}", marks=pytest.mark.slow) for i in range(2)]


@pytest.mark.parametrize("name", ["mirrored", ON_TWO_MACHINES[0]])
def test_the_bound_is_that_of_one_device(run_of, name):
    wanted, found = (read_metrics(run_of(run)) for run in ("default", name))
    # The last row is the refinement's, of two updates.
    assert [row["step"] for row in found] == ["3", "6", "9", "11"]
    for row, other in zip(found, wanted, strict=True):
        for column, value in other.items():
            if value and column != "train_time_seconds":
                assert float(row[column]) == pytest.approx(float(value), rel=1e-4, abs=1e-5), column


@pytest.mark.parametrize("name", ["mirrored", *ON_TWO_MACHINES])
def test_all_end_with_the_same_weights(run_of, name):
    with (
        np.load(run_of("default") / "weights.npz") as wanted,
        np.load(run_of(name) / "weights.npz") as found,
    ):
        assert len(wanted.files) == len(found.files) > 20
        for key in wanted.files:
            # The chief alone refines the dynamics.
            if name == "worker_1" and not key.startswith(("kvae.encoder", "kvae.decoder")):
                continue
            np.testing.assert_allclose(found[key], wanted[key], rtol=1e-2, atol=2e-4)


@pytest.mark.parametrize("name", ["default", "mirrored", ON_TWO_MACHINES[0]])
def test_the_checkpoint_holds_what_was_refined(run_of, name):
    folder = run_of(name)
    arrays = read_arrays(folder / "checkpoints" / "last.npz")
    facts = json.loads(str(arrays["facts"]))
    assert facts["progress"]["refinement"] == 2
    with np.load(folder / "weights.npz") as wanted:
        kept = {name: arrays[f"{number:04d}"] for number, name in enumerate(facts["weights"])}
        for key in wanted.files:
            np.testing.assert_array_equal(
                kept[key.removeprefix("kvae.").replace(".", "/").replace("/lstm_cell", "")], wanted[key]
            )


@pytest.mark.slow
def test_the_chief_alone_writes(run_of):
    chief = run_of("worker_0")
    assert (chief / "checkpoints" / "last.npz").exists()
    assert len([*chief.glob("train/plugins/profile/*/*.xplane.pb")]) == 1
    assert [path.name for path in run_of("worker_1").iterdir()] == ["weights.npz"]


@pytest.fixture
def started():
    """Return a list of processes, which do not outlive the test."""
    processes = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_worker_that_dies_stops_the_others_and_a_restart_goes_on(tmp_path, started):
    options = f"--dataset box --data_dir {tmp_path / 'data'} --log_dir {tmp_path / 'logs'} --run_name run"
    data = f"--dataset box --num_train 64 --num_test 4 --data_dir {tmp_path / 'data'}"
    assert simulation.generate.main(data.split()) == 0
    options += " --preset none --num_filters 4,4,4 --alpha_units 5 --batch_size 16 --num_paths 0"
    options += " --num_epochs 400 --generate_step 1000 --strategy multiworker --n_steps_gen 20"
    run, addresses = tmp_path / "logs" / "run_kvae", loopback()

    def both(arguments):
        workers = [
            start(["run_kvae.py", *arguments], tmp_path / f"{i}.log", worker=i, addresses=addresses)
            for i in range(2)
        ]
        started.extend(workers)
        return workers

    chief, other = both(options.split())
    deadline = time.monotonic() + 900
    while not ((run / "metrics.csv").exists() and len(read_metrics(run)) > 2):
        assert chief.poll() is None, (tmp_path / "0.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    other.send_signal(signal.SIGKILL)
    assert chief.wait(timeout=300) == 2
    told = (tmp_path / "0.log").read_text()
    assert "Error: Another worker does not answer any more" in told
    assert f"Go on with:  python run_kvae.py --resume {run}" in told
    assert "Traceback" not in told
    epochs = len(read_metrics(run))
    assert epochs < 400

    # With fewer epochs left than were asked for: what is there counts.
    config = json.loads((run / "config.json").read_text())
    config["options"]["num_epochs"] = epochs + 3
    (run / "config.json").write_text(json.dumps(config))
    codes = [process.wait(timeout=900) for process in both(["--resume", str(run)])]
    assert codes == [0, 0], (tmp_path / "0.log").read_text()
    assert [int(row["epoch"]) for row in read_metrics(run)] == list(range(1, epochs + 4))
    assert (run / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "and that is not set|which is not set"),
        ("{", "does not say which worker this is"),
        ('{"cluster": {"worker": ["a:1"]}}', "does not say which worker this is"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "IndexError"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "HOST:PORT"),
        ('{"cluster": {"worker": [7]}, "task": {"type": "worker", "index": 0}}', "HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_described_is_told(monkeypatch, text, message):
    if text is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(DistributionError, match=message):
        distribution.make("multiworker")


def test_one_device_cannot_be_mirrored():
    with pytest.raises(DistributionError, match="there is one: "):
        distribution.make("mirrored")


def test_a_batch_is_shared_equally():
    shared = distribution.Distribution()
    shared.check_batch_size(7)
    shared.strategy = type("Strategy", (), {"num_replicas_in_sync": 3})
    shared.check_batch_size(9)
    with pytest.raises(DistributionError, match="--batch_size 8 cannot be shared equally by 3"):
        shared.check_batch_size(8)
