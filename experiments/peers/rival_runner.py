"""Trains the latent SDE of plus-rkwitt/LatentSDEonHS by that code's own script, in an environment of its own.

`experiments.peers.rival` starts this file with the interpreter of that environment, which has nothing of this
project. The script, `pendulum_interpolation.py`, runs as it is: its model, its options, its training and its
evaluation. What is put around it: batches are made without further processes, the test set is evaluated every
few epochs instead of after each, what it fills in then is kept, and it ends in time. Its validation set, by
which it would choose an epoch, is not looked at.

Lines of its output that begin with `MARK` are for who started it.
"""

import contextlib
import importlib
import importlib.metadata
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

SCRIPT = "pendulum_interpolation"
MARK = "rival: "
PACKAGES = ("torch", "numpy", "einops")


class TimeIsOver(Exception):
    """No other epoch would end in time."""


class IsChecked(Exception):
    """The data are the same, and nothing else was asked for."""


class Watch:
    """What is put around the script.

    Args:
        job: what was asked for: `frames`, a file with images [N, T, H, W] and masks `exists` and `seen`
            [N, T] of each split; `fills`, a folder; `minutes`, `num_epochs`, `score_every`; `check_data`, to
            end before anything is trained.
        script: the module.
    """

    def __init__(self, job, script):
        self._job = job
        self._train, self._evaluate = script.generic_train, script.evaluate
        self._start = None
        self._epoch, self._loss = 0, float("nan")
        self._longest = {"train": 0.0, "evaluate": 0.0}
        self._stats = dict.fromkeys(("loss", "mse_full", "mse_impt"), float("nan"))
        self.test_loader = None
        script.PendulumProvider = self._provider(script.PendulumProvider)
        script.generic_train, script.evaluate = self.train, self.evaluate

    def _provider(self, base):
        watch = self

        class Provider(base):
            """The script's, with batches made in this process."""

            def __init__(self, *arguments):
                super().__init__(*arguments)
                with np.load(watch._job["frames"]) as frames:
                    for split in ("train", "test"):
                        get = {"train": self.get_train_loader, "test": self.get_test_loader}[split]
                        check(split, get(batch_size=50, shuffle=False), frames)
                if watch._job["check_data"]:
                    raise IsChecked

            def get_train_loader(self, **options):
                return super().get_train_loader(**_alone(options))

            def get_test_loader(self, **options):
                watch.test_loader = super().get_test_loader(**_alone(options))
                return watch.test_loader

            def get_val_loader(self, **options):
                return super().get_val_loader(**_alone(options))

        return Provider

    def train(self, *arguments, **named):
        """Train for one epoch, and remember its loss."""
        begin = time.perf_counter()
        if self._start is None:
            self._start = begin, time.process_time()
        stats = self._train(*arguments, **named)
        self._took("train", begin)
        self._epoch += 1
        self._loss = float(stats["loss"])
        return stats

    def evaluate(self, args, loader, modules, *others):
        """Evaluate the test set, now and then, and keep what is filled in."""
        if loader is not self.test_loader:
            return dict(self._stats)
        is_due = self._epoch % self._job["score_every"] == 0
        is_last = self._is_last(is_due)
        if is_last or is_due:
            begin = time.perf_counter()
            fills = []
            hook = modules["pxz_net"].register_forward_hook(
                lambda module, given, found: fills.append(np.asarray(found.mean).mean(axis=0)[:, :, 0])
            )
            try:
                self._stats = self._evaluate(args, loader, modules, *others)
            finally:
                hook.remove()
            self._took("evaluate", begin)
            path = Path(self._job["fills"]) / f"{self._epoch}.npy"
            np.save(path, np.concatenate(fills).astype(np.float32))
            self._tell(path)
        if is_last:
            raise TimeIsOver
        return dict(self._stats)

    def _took(self, what, begin):
        self._longest[what] = max(self._longest[what], time.perf_counter() - begin)

    def _is_last(self, is_due):
        """Say whether another epoch and its evaluation would not end in time, after one that is due now."""
        left = 60 * self._job["minutes"] - (time.perf_counter() - self._start[0])
        needed = self._longest["train"] + (1 + is_due) * self._longest["evaluate"]
        return self._epoch >= self._job["num_epochs"] or left < needed

    def _tell(self, path):
        wall, processor = self._start
        tell(
            epoch=self._epoch,
            seconds=round(time.perf_counter() - wall, 1),
            processor_seconds=round(time.process_time() - processor, 1),
            train_loss=self._loss,
            own_error=float(self._stats["mse_impt"]),
            fill=str(path),
        )


def _alone(options):
    return options | {"num_workers": 0, "pin_memory": False}


def check(split, loader, frames):
    """Raise ValueError unless a loader gives the very frames of the file, existing, seen and as they look.

    Args:
        split: `train` or `test`.
        loader: of batches in the order of the file.
        frames: `SPLIT_images`, `SPLIT_exists`, `SPLIT_seen`.
    """
    images, exists, seen = (frames[f"{split}_{name}"] for name in ("images", "exists", "seen"))
    number = 0
    for batch in loader:
        found = {name: np.asarray(value) for name, value in batch.items()}
        for n in range(len(found["evd_obs"])):
            given = found["inp_msk"][n, :, 0, 0, 0] == 1
            shown = {
                "which frames exist": (found["evd_tid"][n], np.flatnonzero(exists[number])),
                "which are seen": (found["inp_tid"][n][given], np.flatnonzero(seen[number])),
                "the frames": (_whole(found["evd_obs"][n]), images[number][exists[number]]),
                "the frames that are seen": (
                    _whole(found["inp_obs"][n][given]),
                    images[number][seen[number]],
                ),
            }
            for what, (theirs, ours) in shown.items():
                if not np.array_equal(theirs, ours):
                    raise ValueError(
                        f"{split}, sequence {number}: the script reads {what} otherwise than the file"
                    )
            number += 1
    if number != len(images):
        raise ValueError(f"{split}: the script reads {number} sequences of {len(images)}")


def _whole(pixels):
    """Return grey values 0 to 255 [T, H, W] of pixels [T, 1, H, W] in [0, 1]."""
    return np.rint(255 * pixels[:, 0]).astype(np.uint8)


def tell(**facts):
    """Print a line for who started this."""
    print(MARK + json.dumps(facts), flush=True)


def _versions():
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main():
    """Run the script as the job says; the code of it is in the folder that this was started in."""
    job = json.loads(Path(sys.argv[1]).read_text())
    sys.path.insert(0, str(Path.cwd()))
    script = importlib.import_module(SCRIPT)
    tell(versions=_versions())
    Watch(job, script)
    sys.argv = [f"{SCRIPT}.py", "--data-dir", job["data_dir"], *job["settings"]]
    with contextlib.suppress(TimeIsOver, IsChecked):
        script.main()


if __name__ == "__main__":
    main()
