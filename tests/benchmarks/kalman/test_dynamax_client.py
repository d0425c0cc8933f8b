import sys

import pytest

from benchmarks.kalman import dynamax_client
from benchmarks.kalman.candidates import random_problem


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A worker that computes nothing, and sleeps when it is asked for the parallel smoother."""
    script = tmp_path / "dynamax_worker.py"
    script.write_text(
        "import json, sys, time, numpy\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    if request.get('candidate') == 'parallel': time.sleep(60)\n"
        "    if request.get('keep'): numpy.savez(request['keep'], numpy.ones(3))\n"
        "    print(json.dumps({'seconds': 0.5, 'versions': {}}), flush=True)\n"
    )
    monkeypatch.setattr(dynamax_client, "__file__", str(tmp_path / "dynamax_client.py"))
    worker = dynamax_client.DynamaxWorker(sys.executable, limit=2)
    yield worker
    worker.close()


def test_a_worker_that_hangs_is_replaced(worker, tmp_path):
    runs = worker.runs(random_problem(1, 2, 2, 1), tmp_path)
    seconds, arrays = runs["dynamax, sequential", "smoother"]()
    assert (seconds, arrays[0].tolist()) == (0.5, [1, 1, 1])
    with pytest.raises(TimeoutError):
        runs["dynamax, parallel", "smoother"]()
    assert runs["dynamax, sequential", "smoother"]() == (0.5, ())
