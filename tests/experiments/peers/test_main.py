"""The command, on a task of a few short sequences."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

import run_kvae
from experiments import made_runs
from experiments.peers import __main__ as peers
from experiments.peers import observer, report, tasks
from experiments.peers.scores import Score
from experiments.peers.tasks import TASKS, Split, line
from kvae.evaluation import pictures
from kvae.training.recorder import Recorder

TINY = (
    "num_filters=4 alpha_units=4 batch_size=4 num_paths=0 t_init_mask=2 t_steps_mask=3 validation_split=0.2 "
    "precision=float32 n_steps_gen=8"
).split()


def split_of(first, count):
    rng = np.random.default_rng(first)
    found = [line().sample_sequence(np.random.default_rng(first + n), 8) for n in range(count)]
    images, states, _ = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    seen = rng.random([count, 8]) < 0.6
    seen[:, :2] = True
    return Split(images, states, np.ones_like(seen), seen)


@pytest.fixture(scope="module")
def fewer_angles():
    """Frames of the world at fewer angles than the observer knows, which take seconds to draw."""
    return observer.Frames(line(), 2**12)


@pytest.fixture
def small(monkeypatch, tmp_path, fewer_angles, without_xla):
    """The task, a run in this process, and the command's arguments."""

    def make(most):
        return {"train": split_of(0, 10), "test": split_of(100, 6)}

    task = tasks.Task("rkn", 8, make, TASKS["rkn"].pixels, 2, 1)
    monkeypatch.setitem(TASKS, "rkn", task)
    started = []

    def run(words):
        started.append(words)
        return run_kvae.main(words)

    monkeypatch.setattr(made_runs, "run_kvae", run)
    monkeypatch.setattr(observer, "known_frames", lambda: fewer_angles)
    # Of the run they are not looked at.
    monkeypatch.setattr(pictures, "draw", lambda *arguments, **named: None)
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)
    places = {"data_dir": "data", "log_dir": "logs", "output_dir": "results"}
    words = [word for name, folder in places.items() for word in (f"--{name}", str(tmp_path / folder))]
    words += ["--task", "rkn", "--seeds", "1", "--num_test", "5", "--num_paths", "10"]
    return SimpleNamespace(words=[*words, "--run_options", *TINY], started=started, folder=tmp_path)


def test_one_command_trains_scores_and_writes_the_page(small, capsys):
    assert peers.main(small.words) == 0
    folder, results = small.folder / "logs" / "rkn_0_kvae", small.folder / "results"
    options = json.loads((folder / "config.json").read_text())["options"]
    # What own videos start from, but for what the task says.
    named = ("K", "grey_targets", "standardise", "activation", "timesteps", "num_epochs", "refine_epochs")
    assert [options[name] for name in named] == [10, True, True, "leaky_relu", 8, 2, 1]
    kept = json.loads((folder / "peers.json").read_text())
    assert (kept["num_test"], kept["num_paths"]) == (5, 10)
    with (results / "rkn.csv").open() as file:
        rows = {(row["who"], row["seed"]): row for row in csv.DictReader(file)}
    assert {who for who, seed in rows if seed == "0"} == {"sampling", "smoothing", "filtering"}
    ours = float(rows["sampling", "0"]["cross_entropy"])
    assert (
        float(rows["floor", ""]["cross_entropy"])
        < float(rows["perfect observer", ""]["cross_entropy"])
        < ours
    )
    page = (results / "rkn.md").read_text()
    for words in (
        "recalled, not read",
        "5 test sequences",
        "perfect observer",
        "mean image",
        "last frame seen",
    ):
        assert words in page
    assert "The target, 12.25, is missed" in page
    assert (results / "rkn.png").exists()
    # Given again it does nothing anew, and neither does the report alone.
    picture = (results / "rkn.png").stat().st_mtime_ns
    for more in ([], ["--stage", "report"]):
        assert peers.main([*small.words, *more]) == 0
    assert len(small.started) == 1
    assert (results / "rkn.png").stat().st_mtime_ns == picture
    # Another run than the one that is there is not taken for it.
    assert peers.main([*small.words, "--num_epochs", "3"]) == 2
    assert "with num_epochs 2 and not 3" in capsys.readouterr().err


def test_the_observer_needs_no_training(small, capsys):
    assert peers.main([*small.words, "--perfect_observer"]) == 0
    said = capsys.readouterr().out
    assert [line.split("  cross")[0].strip() for line in said.splitlines()] == [
        "floor",
        "perfect observer",
        "last frame seen",
        "mean image",
    ]
    assert small.started == []


def test_a_run_that_failed_ends_in_a_message(small, capsys):
    words = [word for word in small.words if not word.startswith("t_init_mask")]
    assert peers.main([*words, "t_init_mask=7", "--stage", "train"]) == 2
    assert "run_kvae.py ended with exit code 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--num_test 0", "num_test must be between 1 and 1000. Received: 0"),
        ("--num_test 1001", "num_test must be between 1 and 1000"),
        ("--seeds 0", "seeds must be between 1"),
        ("--num_paths 1", "num_paths must be between 2"),
        ("--num_epochs -1", "must not be negative"),
        ("--perfect_observer --stage score", "leave stage out"),
    ],
)
def test_mistakes_end_in_a_message_before_anything_is_made(words, said, tmp_path, capsys):
    given = ["--task", "cru", "--data_dir", str(tmp_path / "data"), *words.split()]
    assert peers.main(given) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_report_of_nothing_is_refused(small, capsys):
    assert peers.main([*small.words, "--stage", "report"]) == 2
    assert "is scored yet: --stage score" in capsys.readouterr().err


def test_several_seeds_have_a_mean_and_a_deviation(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    facts = {
        "options": {"dataset": "rkn.npz", "seed": 0, "data_dir": "cut"},
        "versions": {"numpy": "2.4"},
        "git_commit": "abc",
        "machine": {"processor": "one"},
        "precision": "float32",
    }
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "metrics.csv").write_text("epoch,train_time_seconds\n1,120\n")
    runs = [
        {method: Score(0.0, error, 0.0, 0.0) for method in ("sampling", "smoothing", "filtering")}
        for error in (0.3e-3, 0.5e-3)
    ]
    others = {"perfect observer": Score(12.1, 0.32e-3, 0.2e-3, 0.0)}
    page = report.page(TASKS["cru"], ["command"], [folder, folder], runs, others, 1000, "cru.png")
    assert "| **KVAE, sampling** | 0.400 (0.141) | measured |" in page
    assert "2 seeds (0, 0)" in page
    assert "The target, 0.45, is met" in page
    assert "| latent SDE on a homogeneous space | 8.15 | read in LatentSDEonHS's README" in page
    assert page.index("| perfect observer |") < page.index("**KVAE, sampling**") < page.index("latent SDE")
