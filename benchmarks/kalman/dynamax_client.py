"""The other side of `dynamax_worker.py`: dynamax, in an environment and a process of its own."""

import json
import os
import signal
import subprocess
import threading
import venv
from pathlib import Path

import numpy as np

from benchmarks.kalman.candidates import TASKS

DYNAMAX = ["dynamax==1.0.3", "jax==0.10.2", "jaxlib==0.10.2"]
"""What is installed into the environment of dynamax."""


class DynamaxWorker:
    """`dynamax_worker.py`, running on the interpreter of another virtual environment.

    Args:
        python: the interpreter.
        limit: seconds after which an answer is not waited for any more. It happens that jax waits for
            itself forever (jaxlib 0.10.2, an associative scan on two cores).

    """

    def __init__(self, python, limit):
        self._python, self._limit = python, limit
        self._problem, self._one_model, self._warm = None, False, set()
        self._start()

    def runs(self, problem, folder, one_model=False):
        """Return what `tensorflow_runs` does; arrays are exchanged as files in `folder`.

        With `one_model` dynamax is told that A and C are the same for all, and its gradient, which is
        then another one, is left out.
        """
        arrays = {name: np.float32(array) for name, array in problem.model._asdict().items()}
        arrays["y"] = np.float32(problem.y)
        np.savez(folder / "problem.npz", **arrays)
        self._problem, self._one_model = str(folder / "problem.npz"), one_model
        self._load()
        return {
            (f"dynamax, {candidate}", task): self._run(candidate, task, folder / "results.npz")
            for candidate in ("sequential", "parallel")
            for task in TASKS
            if not (one_model and task == "gradient")
        }

    def versions(self):
        """Return name -> version of its packages."""
        return self._ask(do="versions")["versions"]

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def _start(self):
        worker = Path(__file__).with_name("dynamax_worker.py")
        self._process = subprocess.Popen(
            [self._python, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _load(self):
        self._ask(do="load", problem=self._problem, one_model=self._one_model)
        self._warm = set()

    def _run(self, candidate, task, keep):
        is_first = True

        def run():
            nonlocal is_first
            request = {"do": "run", "candidate": candidate, "task": task}
            path = str(keep) if is_first else None
            if not is_first and (candidate, task) not in self._warm:
                # The process is a new one, which compiles first.
                self._ask(**request, keep=None)
            seconds = self._ask(**request, keep=path)["seconds"]
            self._warm.add((candidate, task))
            if not is_first:
                return seconds, ()
            is_first = False
            with np.load(keep) as arrays:
                return seconds, [arrays[name] for name in arrays.files]

        return run

    def _ask(self, **request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        timer = threading.Timer(self._limit, self._process.kill)
        timer.start()
        answer = self._process.stdout.readline()
        timer.cancel()
        if answer:
            return json.loads(answer)
        if self._process.wait() == -signal.SIGKILL:
            self._start()
            self._load()
            raise TimeoutError
        raise RuntimeError("The dynamax worker ended; what it said is above.")


def dynamax_python(folder):
    """Return the interpreter of the environment in `folder`, which is made if there is none."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *DYNAMAX], check=True)
    return python


def dynamax_versions(python):
    """Return name -> version of the packages of an environment for dynamax."""
    worker = DynamaxWorker(python, limit=60)
    try:
        return worker.versions()
    finally:
        worker.close()
