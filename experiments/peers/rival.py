"""A peer on the same files: the latent SDE of plus-rkwitt/LatentSDEonHS, trained by its own script.

python -m experiments.peers.rival --peer_code DIR --peer_env DIR

DIR are a checkout of that code, made ready as its README says, and a virtual environment with what it needs.
Our frames and masks are written in the form that its script reads; it trains with the settings that its
README gives, in a process of its own, and every few epochs fills in the test set, which is scored as what a
KVAE fills in is. `python -m experiments.peers --task cru` shows the result on its page.
"""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from experiments.peers import report, rival_runner, scores, tasks
from experiments.peers.scores import Score
from experiments.peers.tasks import TASKS, Split
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing

TASK = TASKS["cru"]
NAME = "latent SDE on a homogeneous space"
SOURCE = "https://github.com/plus-rkwitt/LatentSDEonHS"
PUBLISHED_EPOCHS = 990
SETTINGS = shlex.split(
    "--batch-size 64 --lr 0.001 --kl0-weight 1e-05 --klp-weight 1e-06 --pxz-weight 1.0 --restart 30 "
    "--z-dim 16 --h-dim 32 --n-deg 6 --no-learnable-prior --no-freeze-sigma --mc-eval-samples 1 "
    "--mc-train-samples 1 --use-atanh --device cpu --no-enable-file-logging --no-enable-checkpointing "
    "--loglevel debug"
)
"""What the README there gives for pendulum_interpolation.py, but for the device and what is written."""
THEIR_FILE = Path("pendulum") / "pendulum_interpolation_ir0.5.npz"
"""Where the script looks for its data, in its data folder."""
BATCH = 50
"""Sequences that are scored together."""
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(10**11)}
"""glibc keeps what was freed: else half of the peer's time goes into getting memory from the system anew."""
LINES = 12
"""Of what the script said last, where it failed."""


@dataclass(frozen=True)
class Options:
    """Train a peer by its own code on the data of CRU's task, and score what it fills in."""

    peer_code: Path
    """Checkout of plus-rkwitt/LatentSDEonHS, with power_spherical in its core/, as its README says."""
    peer_env: Path
    """Virtual environment with torch, numpy, einops and Pillow."""
    minutes: float = 60.0
    """How long it may train, evaluations included; an epoch that would not end in time is not begun."""
    num_epochs: int = PUBLISHED_EPOCHS
    """How many epochs at most. The schedule of its learning rate does not depend on it."""
    score_every: int = 5
    """Epochs between two evaluations of the test set. The last epoch is evaluated in any case."""
    num_threads: int = 1
    """Of its process."""
    seed: int = 1
    """Of its training."""
    check_data: bool = False
    """Let its code make its data from its seed, compare them with ours, frame by frame, and train nothing."""
    data_dir: Path = Path("data/peers")
    """Folder of our data."""
    work_dir: Path = Path("logs/peers/cru_rival")
    """Where its data and what it says, log.txt, go."""
    output: Path = Path("results/peers/cru_rival.json")
    """What was measured, written anew after each evaluation."""


class RivalError(UserError):
    """An option cannot be, or the peer's code failed."""


@guarded
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, prog="python -m experiments.peers.rival", args=given, use_underscores=True)
    try:
        _check(options)
        _work(options, shlex.join(["python", "-m", "experiments.peers.rival", *given]))
    except (UserError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options: Options) -> None:
    for name, least in (("num_epochs", 1), ("score_every", 1), ("num_threads", 1), ("seed", 1)):
        if getattr(options, name) < least:
            raise RivalError(f"{name} must be at least {least}. Received: {getattr(options, name)}")
    if not options.minutes > 0:
        raise RivalError(f"minutes must be positive. Received: {options.minutes:g}")
    if not (options.peer_code / f"{rival_runner.SCRIPT}.py").exists():
        raise RivalError(f"{options.peer_code} holds no {rival_runner.SCRIPT}.py: git clone {SOURCE}")
    if not interpreter(options.peer_env).exists():
        raise RivalError(
            f"{options.peer_env} is no virtual environment: python -m venv {options.peer_env}, and install "
            "torch, numpy, einops and Pillow there"
        )


def interpreter(env: Path) -> Path:
    """Return the Python of a virtual environment."""
    return env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _work(options: Options, command: str) -> None:
    tasks.ensure(TASK, options.data_dir)
    splits = {split: tasks.read(TASK, options.data_dir, split) for split in tasks.SPLITS}
    job = _prepared(options, splits)
    facts: dict[str, Any] = {
        "task": TASK.name,
        "peer": NAME,
        "code": SOURCE,
        "peer_commit": commit_of(options.peer_code),
        "command": command,
        "settings": job["settings"],
        "published_epochs": PUBLISHED_EPOCHS,
        "seed": options.seed,
        "num_threads": options.num_threads,
        "num_test": len(splits["test"].images),
        "machine": f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores",
    }
    curve: list[dict[str, Any]] = []
    for told in _told(options, job):
        if "fill" not in told:
            facts |= told
            continue
        path = Path(told.pop("fill"))
        score = score_of(np.load(path, mmap_mode="r"), splits["test"])
        path.unlink()
        curve.append(told | {"score": score._asdict()})
        print(words_of(curve[-1]), flush=True)
        report.write(options.output, json.dumps(facts | {"curve": curve}, indent=2) + "\n")
    if options.check_data:
        print("Frames and masks are the same in both, in training and in test sequences")
    elif not curve:
        raise RivalError(f"The peer's script ended without an epoch: {options.work_dir / 'log.txt'}")


def words_of(point: dict[str, Any]) -> str:
    """Say where training stood."""
    errors = [f"{1e3 * error:.3f}e-3" for error in (point["score"]["squared_error"], point["own_error"])]
    return (
        f"epoch {point['epoch']}, {point['seconds'] / 60:.1f} minutes, training loss "
        f"{point['train_loss']:.4f}, error of hidden frames {errors[0]} (by its own account {errors[1]})"
    )


def _prepared(options: Options, splits: dict[str, Split]) -> dict[str, Any]:
    """Write what the runner reads; return its job."""
    folder = options.work_dir.resolve()
    data_dir, fills = folder / "data", folder / "fills"
    for needed in (data_dir / THEIR_FILE.parent, fills):
        needed.mkdir(parents=True, exist_ok=True)
    for old in fills.glob("*.npy"):
        old.unlink()
    their_file = data_dir / THEIR_FILE
    if options.check_data:
        # Then it makes its own.
        their_file.unlink(missing_ok=True)
    else:
        _write(their_file, their_arrays(splits))
    frames = folder / "frames.npz"
    _write(
        frames,
        {
            f"{split}_{name}": getattr(found, name)
            for split, found in splits.items()
            for name in ("images", "exists", "seen")
        },
    )
    settings = [*SETTINGS, "--n-epochs", str(options.num_epochs), "--seed", str(options.seed)]
    return {
        "settings": settings,
        "data_dir": str(data_dir),
        "frames": str(frames),
        "fills": str(fills),
        "minutes": options.minutes,
        "num_epochs": options.num_epochs,
        "score_every": options.score_every,
        "check_data": options.check_data,
    }


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def their_arrays(splits: dict[str, Split]) -> dict[str, NDArray[Any]]:
    """Return our sequences in the form that the peer's script reads.

    It picks the frames that exist itself, by the seeds that ours were picked by. Its validation set, of which
    it must find one, are two training sequences: nothing is chosen by it.

    Args:
        splits: `train` and `test`.

    Returns:
        Of `train`, `test` and `validation`: `obs` [N, T, H, W, 1] uint8, black where not seen; `targets`, all
        frames; `obs_valid` [N, T, 1] bool; `ts` [N, T], the numbers of the steps.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, split in {**splits, "validation": splits["train"].first(2)}.items():
        frames = split.images[..., None]
        found[f"{name}_obs"] = np.where(split.seen[..., None, None, None], frames, np.uint8(0))
        found[f"{name}_targets"] = frames
        found[f"{name}_obs_valid"] = split.seen[..., None]
        found[f"{name}_ts"] = np.broadcast_to(np.arange(float(split.seen.shape[1])), split.seen.shape)
    return found


def _told(options: Options, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run the peer's script; yield what the runner tells, and write what else is said to log.txt."""
    folder = options.work_dir.resolve()
    path = folder / "job.json"
    report.write(path, json.dumps(job, indent=2))
    log_path = folder / "log.txt"
    with log_path.open("w", encoding="utf-8") as log, _started(options, path) as process:
        for line in process.stdout:
            if line.startswith(rival_runner.MARK):
                yield json.loads(line.removeprefix(rival_runner.MARK))
            else:
                log.write(line)
                log.flush()
        code = process.wait()
    if code:
        last = log_path.read_text(encoding="utf-8").splitlines()[-LINES:]
        raise RivalError("\n".join([f"The peer's script ended with exit code {code}: {log_path}", *last]))


@contextmanager
def _started(options: Options, job: Path) -> Iterator[Any]:
    """Start the runner in the peer's environment; it does not outlive us."""
    threads = str(options.num_threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # What this project's environment says of modules is not meant for the other one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= (
        ALLOCATOR | dict.fromkeys(names, threads) | {"PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": ""}
    )
    process = subprocess.Popen(
        [interpreter(options.peer_env).absolute(), Path(rival_runner.__file__).resolve(), job],
        cwd=options.peer_code,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def score_of(filled: NDArray[np.float32], split: Split) -> Score:
    """Return the score of frames that a peer filled in.

    Args:
        filled: [N, T, H, W], in [0, 1].
        split: the sequences.

    Raises:
        RivalError: frames are missing, or are no frames.
    """
    if filled.shape != split.images.shape:
        raise RivalError(f"The peer filled in frames {filled.shape}, and not {split.images.shape}")
    sums = scores.Sums()
    for first in range(0, len(filled), BATCH):
        frames = np.asarray(filled[first : first + BATCH], np.float64)
        if not ((frames >= 0) & (frames <= 1)).all():
            raise RivalError("The peer filled in pixels that are not between 0 and 1")
        sums.add(frames, Split(*(array[first : first + BATCH] for array in split)))
    return sums.score()


def commit_of(folder: Path) -> str | None:
    """Return the commit of a checkout, with `+` if files of it were changed, or None."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        given = ["git", "-C", str(folder), *arguments]
        return subprocess.run(
            given, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    sys.exit(main())
