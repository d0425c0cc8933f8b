"""The KVAE on other people's yardsticks: one command makes data, trains, scores and writes the page.

python -m experiments.peers --task rkn
python -m experiments.peers --task cru --perfect_observer

What is there already is not made again: a run that was stopped goes on, as does this command, given again.
"""

import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from experiments import made_runs
from experiments.peers import report, scores, tasks
from experiments.peers.scores import Score
from experiments.peers.tasks import TASKS, Task
from kvae.errors import UserError
from kvae.system.command import guarded

SCORES = "peers.json"
"""In a run's folder."""


@dataclass(frozen=True)
class Options:
    """Fill in hidden frames of a swinging line, on the data and by the score of others."""

    task: Literal["rkn", "cru"]
    """rkn: the imputation of Becker et al. 2019; cru: the interpolation of Schirmer et al. 2022."""
    stage: Literal["all", "data", "train", "score", "report"] = "all"
    """How far to go; what comes before is done too where it is missing. report: of what is scored, alone."""
    perfect_observer: bool = False
    """Score who knows the physics, and who knows nothing of motion, and train nothing."""
    seeds: int = 3
    """Runs, with the seeds 0, 1, .."""
    num_test: int = tasks.NUM_TEST
    """Test sequences that are scored, the first ones."""
    num_epochs: int = 0
    """Passes over the training data. 0: 45 for rkn, 16 for cru."""
    refine_epochs: int = 0
    """Passes that train the dynamics alone. 0: 125."""
    num_paths: int = 1000
    """Paths of hidden codes that sampling follows."""
    run_options: tuple[str, ...] = ()
    """More options of run_kvae.py for every run, such as batch_size=8."""
    data_dir: Path = Path("data/peers")
    """Folder of the data."""
    log_dir: Path = Path("logs/peers")
    """Folder of the runs."""
    output_dir: Path = Path("results/peers")
    """Where TASK.md, TASK.csv and TASK.png go, and where TASK_rival.json of experiments.peers.rival is."""


class PeersError(UserError):
    """An option cannot be, or there is nothing to report."""


@guarded
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, prog="python -m experiments.peers", args=given, use_underscores=True)
    try:
        _check(options)
        _work(options, shlex.join(["python", "-m", "experiments.peers", *given]))
    except (UserError, OSError, json.JSONDecodeError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _check(options: Options) -> None:
    for name, least, most in (("seeds", 1, 1000), ("num_test", 1, tasks.NUM_TEST), ("num_paths", 2, 10**6)):
        if not least <= getattr(options, name) <= most:
            raise PeersError(f"{name} must be between {least} and {most}. Received: {getattr(options, name)}")
    if min(options.num_epochs, options.refine_epochs) < 0:
        raise PeersError("num_epochs and refine_epochs must not be negative")
    if options.perfect_observer and options.stage != "all":
        raise PeersError("perfect_observer is a stage of its own: leave stage out")


def _work(options: Options, command: str) -> None:
    task = TASKS[options.task]
    files = tasks.ensure(task, options.data_dir)
    if options.stage == "data":
        print(*files.values(), sep="\n")
        return
    if options.perfect_observer:
        for name, score in _others(task, options).items():
            print(f"{name:>20}  {_words(score)}")
        return
    runs = {}
    for seed in range(options.seeds):
        if options.stage == "report" and not (_folder(options, seed) / SCORES).exists():
            continue
        arguments = run_arguments(task, options, seed, files["watched"])
        folder = made_runs.trained(_folder(options, seed), arguments)
        if options.stage != "train":
            runs[seed] = _scored(task, options, folder)
    if options.stage in ("all", "report"):
        _report(task, options, command, runs)


def run_arguments(task: Task, options: Options, seed: int, watched: Path) -> list[str]:
    """Return the arguments of run_kvae.py for one seed: what own videos start from, and K 10.

    Args:
        task: the task.
        options: the `Options`.
        seed: of the run.
        watched: the training file, with a few test sequences beside it.
    """
    words = ["--dataset", str(watched), "--timesteps", str(task.num_steps), "--frame_size", "24", "--K", "10"]
    words += task.pixels
    words += ["--num_epochs", str(options.num_epochs or task.num_epochs)]
    words += ["--refine_epochs", str(options.refine_epochs or task.refine_epochs)]
    # Films and curves come once it is trained.
    words += ["--generate_step", "1000", "--display_step", "4", "--seed", str(seed)]
    words += [f"--{option}" for option in options.run_options]
    places = ["--data_dir", str(options.data_dir / "cut"), "--log_dir", str(options.log_dir)]
    return [*words, *places, "--run_name", f"{task.name}_{seed}"]


def _folder(options: Options, seed: int) -> Path:
    return options.log_dir / f"{options.task}_{seed}_kvae"


def _scored(task: Task, options: Options, folder: Path) -> dict[str, Score]:
    """Return the scores of a run, computed unless they stand in its folder; the first draws the picture."""
    path, asked = folder / SCORES, {"num_test": options.num_test, "num_paths": options.num_paths}
    if path.exists():
        kept = json.loads(path.read_text())
        if {name: kept[name] for name in asked} == asked:
            return {method: Score(**of_method) for method, of_method in kept["scores"].items()}
    from kvae.runs.load import load

    print(f"Scoring {folder} on {options.num_test} test sequences", flush=True)
    model, start = load(folder), time.perf_counter()
    test = tasks.read(task, options.data_dir, "test").first(options.num_test)
    found = scores.of_model(model, test, options.num_paths)
    for method, score in found.items():
        print(f"{method:>20}  {_words(score)}", flush=True)
    facts: dict[str, Any] = {"task": task.name, **asked, "seconds": round(time.perf_counter() - start)}
    named = {method: score._asdict() for method, score in found.items()}
    report.write(path, json.dumps(facts | {"scores": named}, indent=2))
    if folder == _folder(options, 0):
        options.output_dir.mkdir(parents=True, exist_ok=True)
        scores.draw_strip(model, test, options.num_paths, options.output_dir / f"{task.name}.png")
    return found


def _others(task: Task, options: Options) -> dict[str, Score]:
    """Return the scores of those who are not trained."""
    train, test = (tasks.read(task, options.data_dir, split) for split in ("train", "test"))
    return scores.of_others(task, train, test.first(options.num_test))


def _report(task: Task, options: Options, command: str, runs: dict[int, dict[str, Score]]) -> None:
    if not runs:
        raise PeersError(f"No run in {options.log_dir} is scored yet: --stage score")
    others = _others(task, options)
    folders = [_folder(options, seed) for seed in runs]
    picture = f"{task.name}.png"
    rival = report.read_rival(options.output_dir / f"{task.name}_rival.json")
    text = report.page(
        task, [command], folders, list(runs.values()), others, options.num_test, picture, rival
    )
    report.write(options.output_dir / f"{task.name}.md", text)
    report.write(options.output_dir / f"{task.name}.csv", report.table(runs, others, rival))
    print(text)


def _words(score: Score) -> str:
    return (
        f"cross-entropy {score.cross_entropy:.3f} nats a frame; squared error "
        f"{1e3 * score.squared_error:.3f}e-3 (standard error {1e3 * score.standard_error:.3f}e-3, "
        f"median {1e3 * score.median:.3f}e-3)"
    )


if __name__ == "__main__":
    sys.exit(main())
