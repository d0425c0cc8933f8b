"""A peer in a process of its own: a stand-in for the public code, which needs no torch."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.peers import __main__ as peers
from experiments.peers import report, rival, rival_runner, scores, tasks
from experiments.peers.scores import Score
from experiments.peers.tasks import TASKS, Split, line

NUM_STEPS, NUM_EXIST = 8, 4
COUNTS = {"train": 6, "test": 5}
PEER = '''
"""Reads, trains, evaluates and says as the public script does, on as many frames as there are."""
import argparse
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np

print("pid", os.getpid(), "threads", os.environ["OMP_NUM_THREADS"], "path", os.environ.get("PYTHONPATH"))
EXIST = 4
# OWN DATA


class PendulumProvider:
    def __init__(self, data_dir, task):
        assert task == "interpolation"
        path = Path(data_dir) / "pendulum" / "pendulum_interpolation_ir0.5.npz"
        if not path.exists():
            make(path)
        self._data = dict(np.load(path))

    def _loader(self, split, batch_size, shuffle=False, drop_last=False, collate_fn=None, num_workers=0,
                pin_memory=False):
        assert num_workers == 0 and not pin_memory
        obs, tgt, valid = (self._data[f"{split}_{name}"] for name in ("obs", "targets", "obs_valid"))
        rows = []
        for i in range(len(obs)):
            seed = i + (len(obs) if split == "train" else 0)
            picked = np.sort(np.random.default_rng(seed).choice(obs.shape[1], EXIST, replace=False))
            seen = picked[valid[i, picked, 0]]
            tid, msk = np.zeros(EXIST, int), np.zeros([EXIST, 1, 24, 24], int)
            frames = np.zeros([EXIST, 1, 24, 24], np.float32)
            tid[:len(seen)], msk[:len(seen)] = seen, 1
            frames[:len(seen)] = obs[i, seen][:, None, ..., 0] / np.float32(255)
            rows.append({"inp_obs": frames, "inp_msk": msk, "inp_tid": tid, "inp_tps": tid / 100,
                         "evd_obs": tgt[i, picked][:, None, ..., 0] / np.float32(255), "evd_tid": picked})
        batches = [rows[n : n + batch_size] for n in range(0, len(rows), batch_size)]
        return [{name: np.stack([row[name] for row in batch]) for name in batch[0]} for batch in batches]

    def get_train_loader(self, **options):
        return self._loader("train", **options)

    def get_test_loader(self, **options):
        return self._loader("test", **options)

    def get_val_loader(self, **options):
        return self._loader("validation", **options)


class Net:
    """Fills in one grey, a darker one from epoch to epoch; outside of evaluation white."""

    def __init__(self):
        self.hooks, self.grey = [], 1.0

    def register_forward_hook(self, hook):
        self.hooks.append(hook)
        return SimpleNamespace(remove=lambda: self.hooks.remove(hook))

    def __call__(self, count, grey):
        found = SimpleNamespace(mean=np.full([1, count, 8, 1, 24, 24], grey, np.float32))
        for hook in self.hooks:
            hook(self, None, found)
        return found


def generic_train(args, loader, modules):
    net = modules["pxz_net"]
    net(3, 1.0)
    net.grey /= 2
    return {"loss": net.grey, "log_pxz": 0.0}


def evaluate(args, loader, modules, loss, times):
    errors = []
    for batch in loader:
        filled = modules["pxz_net"](len(batch["evd_obs"]), modules["pxz_net"].grey).mean[0]
        for n, steps in enumerate(batch["evd_tid"]):
            hidden = ~np.isin(steps, batch["inp_tid"][n][batch["inp_msk"][n, :, 0, 0, 0] == 1])
            errors.append((filled[n, steps[hidden]] - batch["evd_obs"][n, hidden]) ** 2)
    return {"loss": 0.0, "mse_full": 0.0, "mse_impt": float(np.concatenate(errors).mean())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir")
    parser.add_argument("--n-epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    args, _ = parser.parse_known_args()
    provider = PendulumProvider(args.data_dir, "interpolation")
    options = {"batch_size": 2, "collate_fn": None, "num_workers": 8, "pin_memory": True}
    train = provider.get_train_loader(shuffle=True, drop_last=True, **options)
    test = provider.get_test_loader(shuffle=False, **options)
    validation = provider.get_val_loader(shuffle=False, **options)
    modules = {"pxz_net": Net()}
    for epoch in range(1, args.n_epochs + 1):
        trained = generic_train(args, train, modules)
        stats = evaluate(args, test, modules, None, None)
        chosen = evaluate(args, validation, modules, None, None)
        print("epoch", epoch, trained["loss"], stats["mse_impt"], chosen["mse_impt"])


if __name__ == "__main__":
    main()
'''


def sequences(first, count, seed_of_masks):
    found = [line().sample_sequence(np.random.default_rng(first + n), NUM_STEPS) for n in range(count)]
    images, states, _ = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    exists = np.zeros([count, NUM_STEPS], bool)
    for n, row in enumerate(exists):
        row[np.random.default_rng(n + seed_of_masks).choice(NUM_STEPS, NUM_EXIST, replace=False)] = True
    seen = np.random.default_rng(first).random([count, NUM_STEPS]) < 0.5
    return Split(images, states, exists, seen & exists)


@pytest.fixture
def peer(monkeypatch, tmp_path):
    """The stand-in's script, our small data, and the command's arguments."""
    splits = {
        "train": sequences(0, COUNTS["train"], COUNTS["train"]),
        "test": sequences(50, COUNTS["test"], 0),
    }
    task = tasks.Task("cru", NUM_STEPS, lambda most: splits, (), 1, 1)
    monkeypatch.setattr(rival, "TASK", task)
    # An environment whose interpreter has NumPy: the one that runs this.
    monkeypatch.setattr(rival, "interpreter", lambda env: Path(sys.executable))
    code = tmp_path / "code"
    code.mkdir()
    script = code / "pendulum_interpolation.py"
    script.write_text(PEER)
    places = {name: tmp_path / name for name in ("data_dir", "work_dir", "peer_env")}
    output = tmp_path / "results" / "cru_rival.json"
    words = [word for name, path in places.items() for word in (f"--{name}", str(path))]
    words += ["--peer_code", str(code), "--output", str(output)]
    return SimpleNamespace(words=words, script=script, splits=splits, output=output, **places)


def error_of(grey, split):
    """The score, by hand."""
    hidden = split.exists & ~split.seen
    return np.mean((grey - split.images[hidden] / 255) ** 2)


def test_it_trains_and_what_it_fills_in_is_scored_every_few_epochs(peer, capsys):
    assert rival.main([*peer.words, "--num_epochs", "3", "--score_every", "2", "--num_threads", "2"]) == 0
    found = json.loads(peer.output.read_text())
    curve = found["curve"]
    assert [point["epoch"] for point in curve] == [2, 3]
    for point, grey in zip(curve, (0.25, 0.125), strict=True):
        expected = error_of(grey, peer.splits["test"])
        assert point["score"]["squared_error"] == pytest.approx(expected, rel=1e-6)
        assert point["own_error"] == pytest.approx(expected, rel=1e-6)
        assert point["train_loss"] == grey
        assert point["processor_seconds"] >= 0
    assert 0 <= curve[0]["seconds"] <= curve[1]["seconds"]
    assert (found["num_threads"], found["num_test"], found["published_epochs"]) == (2, 5, 990)
    assert " ".join(found["settings"]).endswith("--n-epochs 3 --seed 1")
    assert found["versions"]["numpy"] == np.__version__
    said = (peer.work_dir / "log.txt").read_text()
    assert "threads 2 path None" in said
    assert "epoch 2 0.25" in said
    assert "epoch 3" not in said, "the last evaluation ends it"
    assert list((peer.work_dir / "fills").iterdir()) == []
    printed = capsys.readouterr().out.splitlines()
    assert [re.match(r"epoch (\d)", words)[1] for words in printed] == ["2", "3"]
    assert f"{1e3 * error_of(0.125, peer.splits['test']):.3f}e-3 (by its own account" in printed[1]


@pytest.mark.parametrize(
    ("minutes", "every", "epochs"),
    [
        # Of 10 seconds each, and 5 for an evaluation.
        (1, 2, [2, 4]),  # 50 seconds; another epoch would have made it 65.
        (1, 1, [1, 2, 3, 4]),
        (1.1, 2, [2, 4, 5]),  # 65 of 66
        (0.01, 100, [1]),
        (100, 3, [3, 6, 7]),
    ],
)
def test_it_ends_in_time(minutes, every, epochs, tmp_path, monkeypatch, capsys):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(rival_runner.time, "perf_counter", lambda: clock.now)

    def train(*_):
        clock.now += 10
        return {"loss": clock.now}

    def evaluate(args, loader, modules):
        clock.now += 5
        modules["pxz_net"](1)
        return {"loss": 0.0, "mse_full": 0.0, "mse_impt": 0.5}

    class Net:
        def register_forward_hook(self, hook):
            self.hook = hook
            return SimpleNamespace(remove=lambda: None)

        def __call__(self, value):
            self.hook(self, None, SimpleNamespace(mean=np.full([1, 2, 3, 1, 4, 4], value)))

    script = SimpleNamespace(generic_train=train, evaluate=evaluate, PendulumProvider=object)
    job = {"fills": str(tmp_path), "minutes": minutes, "score_every": every, "num_epochs": 7}
    watch = rival_runner.Watch(job, script)
    watch.test_loader, net = "test", {"pxz_net": Net()}
    with pytest.raises(rival_runner.TimeIsOver):
        while clock.now < 2000:
            script.generic_train()
            script.evaluate(None, "test", net)
    told = [json.loads(said.removeprefix(rival_runner.MARK)) for said in capsys.readouterr().out.splitlines()]
    assert [point["epoch"] for point in told] == epochs
    assert told[-1]["seconds"] == clock.now - 1000 == 10 * epochs[-1] + 5 * len(epochs)
    assert minutes < 1 or clock.now - 1000 <= 60 * minutes
    assert np.load(told[0]["fill"]).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ("default_rng(seed)", "default_rng(seed + 1)", "train, sequence 0: the script reads which frames"),
        ("seen = picked[valid", "seen = picked[~valid", "the script reads which are seen"),
        ("frames[:len(seen)] =", "frames[:len(seen)] = 0.5 *", "reads the frames that are seen"),
        ("tgt[i, picked]", "tgt[i, picked][::-1]", "reads the frames otherwise"),
        ("for i in range(len(obs))", "for i in range(len(obs) - 1)", "the script reads 5 sequences of 6"),
        ("EXIST = 4", "import no_torch_here", "No module named 'no_torch_here'"),
        ("return {\"loss\": net", "raise SystemExit(3)\n    return {\"loss\": net", "ended with exit code 3"),
        ("def main():", "def main():\n    return", "ended without an epoch"),
    ],
)  # fmt: skip
def test_a_peer_that_reads_otherwise_or_fails_is_told(peer, ours, theirs, said, capsys):
    assert PEER.count(ours) == 1
    peer.script.write_text(PEER.replace(ours, theirs))
    assert rival.main([*peer.words, "--num_epochs", "1"]) == 2
    assert said in capsys.readouterr().err
    assert not peer.output.exists()


def test_a_peer_that_is_given_up_does_not_go_on(peer, capsys):
    peer.script.write_text(PEER.replace("self.grey = [], 1.0", "self.grey = [], 9.0"))
    assert rival.main([*peer.words, "--score_every", "1"]) == 2
    assert "not between 0 and 1" in capsys.readouterr().err
    pid = int(re.search(r"pid (\d+)", (peer.work_dir / "log.txt").read_text())[1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


MAKES_ITS_DATA = """
def make(path):
    np.savez(path, **dict(np.load(path.parents[3] / "own.npz")))
"""


@pytest.mark.parametrize("differs", [False, True])
def test_data_that_it_makes_itself_are_compared(peer, differs, capsys):
    peer.script.write_text(PEER.replace("# OWN DATA", MAKES_ITS_DATA))
    arrays = {name: array.copy() for name, array in rival.their_arrays(peer.splits).items()}
    frame = np.flatnonzero(peer.splits["test"].exists[4])[0]
    arrays["test_targets"][4, frame, 12, 12] ^= np.uint8(differs)
    np.savez(peer.work_dir.parent / "own.npz", **arrays)
    # Not even where ours lie there from before.
    (peer.work_dir / "data" / "pendulum").mkdir(parents=True)
    (peer.work_dir / "data" / rival.THEIR_FILE).write_text("old")
    assert rival.main([*peer.words, "--check_data"]) == 2 * differs
    said = capsys.readouterr()
    if differs:
        assert "test, sequence 4: the script reads the frames otherwise" in said.err
    else:
        assert "are the same in both" in said.out
    assert not peer.output.exists()


def test_our_sequences_in_the_form_of_the_public_script(peer):
    arrays = rival.their_arrays(peer.splits)
    shape = (NUM_STEPS, 24, 24, 1)
    for name, split in {**peer.splits, "validation": peer.splits["train"].first(2)}.items():
        count = len(split.images)
        obs, targets, valid = (arrays[f"{name}_{of}"] for of in ("obs", "targets", "obs_valid"))
        assert (obs.dtype, obs.shape, valid.shape) == (np.uint8, (count, *shape), (count, NUM_STEPS, 1))
        np.testing.assert_array_equal(targets[..., 0], split.images)
        for n, t in np.ndindex(count, NUM_STEPS):
            assert valid[n, t, 0] == split.seen[n, t]
            np.testing.assert_array_equal(obs[n, t, ..., 0], split.images[n, t] if split.seen[n, t] else 0)
        np.testing.assert_array_equal(arrays[f"{name}_ts"], [range(NUM_STEPS)] * count)
    assert len(arrays) == 12


def test_scores_of_known_fills(peer):
    test = peer.splits["test"]
    assert rival.score_of(test.images / np.float32(255), test).squared_error < 1e-14
    of_mean = np.full([24, 24], 0.1)
    filled = scores.last_seen(test, of_mean)
    sums = scores.Sums()
    sums.add(filled, test)
    assert rival.score_of(filled, test) == pytest.approx(sums.score())
    # Sequences are scored some at a time.
    many = Split(*(np.concatenate([array] * 25) for array in test))
    assert len(many.images) > 2 * rival.BATCH
    of_many = rival.score_of(np.concatenate([filled] * 25), many)
    assert of_many.squared_error == pytest.approx(sums.score().squared_error)
    for wrong, said in (
        (filled[:4], "filled in frames (4,"),
        (filled + np.nan, "0 and 1"),
        (filled - 1, "0 and 1"),
    ):
        with pytest.raises(rival.RivalError, match=re.escape(said)):
            rival.score_of(wrong, test)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--minutes 0", "minutes must be positive. Received: 0"),
        ("--minutes nan", "minutes must be positive"),
        ("--num_epochs 0", "num_epochs must be at least 1"),
        ("--score_every 0", "score_every must be at least 1"),
        ("--num_threads 0", "num_threads must be at least 1"),
        ("--seed 0", "seed must be at least 1. Received: 0"),
        (
            "--peer_code nowhere",
            "nowhere holds no pendulum_interpolation.py: git clone https://github.com/plus",
        ),
    ],
)
def test_mistakes_end_in_a_message_before_anything_is_made(peer, words, said, capsys):
    assert rival.main([*peer.words, *words.split()]) == 2
    assert said in capsys.readouterr().err
    assert not peer.data_dir.exists()


def test_an_environment_that_is_none_is_told(peer, monkeypatch, capsys):
    monkeypatch.setattr(rival, "interpreter", lambda env: env / "bin" / "python")
    assert rival.main(peer.words) == 2
    assert "is no virtual environment: python -m venv" in capsys.readouterr().err


def test_the_commit_of_the_peers_code(tmp_path):
    assert rival.commit_of(tmp_path) is None

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "a")
    (tmp_path / "of_another").write_text("b")
    commit = rival.commit_of(tmp_path)
    assert re.fullmatch("[0-9a-f]{7,}", commit)
    (tmp_path / "file").write_text("c")
    assert rival.commit_of(tmp_path) == f"{commit}+"


RUN_FACTS = {
    "options": {"dataset": "cru.npz", "seed": 0, "data_dir": "cut"},
    "versions": {"numpy": "2.4"},
    "git_commit": "abc",
    "machine": {"processor": "one"},
    "precision": "float32",
}


@pytest.fixture
def measured(tmp_path):
    """What `experiments.peers.rival` writes, and a run of ours."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(RUN_FACTS))
    (folder / "metrics.csv").write_text("epoch,train_time_seconds\n1,120\n")
    curve = [
        {
            "epoch": epoch,
            "seconds": 60.0 * epoch,
            "processor_seconds": 55.0 * epoch,
            "train_loss": 0.5,
            "own_error": error,
            "score": Score(20.0, error, error, 1e-4)._asdict(),
        }
        for epoch, error in ((30, 11e-3), (55, 11.5e-3))
    ]
    found = {"peer": rival.NAME, "code": rival.SOURCE, "peer_commit": "1b3f667", "command": "python -m it"}
    found |= {"published_epochs": 990, "seed": 1, "num_threads": 1, "num_test": 1000, "machine": "a machine"}
    path = tmp_path / "cru_rival.json"
    path.write_text(json.dumps(found | {"versions": {"torch": "2.13"}, "curve": curve}))
    ours = {method: Score(0.0, 0.4e-3, 0.0, 0.0) for method in scores.METHODS}
    others = {"perfect observer": Score(12.1, 0.32e-3, 0.2e-3, 0.0)}

    def page(num_test=1000, given=path):
        read = report.read_rival(given)
        return report.page(TASKS["cru"], ["command"], [folder], [ours], others, num_test, "cru.png", read)

    return SimpleNamespace(path=path, page=page, ours=ours, others=others)


def test_the_page_sets_it_beside_what_is_quoted(measured):
    page = measured.page()
    assert (
        "| trained here: latent SDE on a homogeneous space | 11.000 | measured here: 55 epochs of 990, "
        "50 minutes of one core; the lowest of 2 evaluations |" in page
    )
    assert page.index("| latent SDE on a homogeneous space | 8.15 |") < page.index("| trained here: latent")
    after = page.split("## A peer, trained here")[1]
    for words in ("commit 1b3f667", "\n    python -m it\n", "torch 2.13"):
        assert words in after
    assert "1 thread, 55 minutes, evaluations included, and in these 50 minutes of processor time" in after
    assert re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", after, re.M) == [
        ("30", "30.0", "0.5000", "11.000"),
        ("55", "55.0", "0.5000", "11.500"),
    ]
    found = json.loads(measured.path.read_text())
    measured.path.write_text(json.dumps(found | {"num_threads": 4, "curve": found["curve"][:1]}))
    alone = "measured here: 30 epochs of 990, 28 minutes of processor time on 4 cores |"
    assert alone in measured.page()
    # Sequences that are not those of the rest are told.
    assert "4 cores; 1,000 test sequences |" in measured.page(200)


def test_without_it_the_page_is_what_it_was(measured, tmp_path):
    assert report.read_rival(tmp_path / "none.json") is None
    assert "trained here" not in measured.page(given=tmp_path / "none.json")


def test_the_table_has_it_too(measured):
    text = report.table({0: measured.ours}, measured.others, report.read_rival(measured.path))
    assert text.splitlines()[-1] == "trained here: latent SDE on a homogeneous space,1,20,0.011,0.011,0.0001"
    assert "trained here" not in report.table({0: measured.ours}, measured.others)


def test_the_command_of_the_page_finds_it(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "_others", lambda *_: measured.others)
    monkeypatch.setattr(peers, "_folder", lambda *_: tmp_path / "run")
    options = peers.Options(task="cru", output_dir=tmp_path)
    peers._report(TASKS["cru"], options, "command", {0: measured.ours})
    for name in ("cru.md", "cru.csv"):
        assert "trained here: latent SDE" in (tmp_path / name).read_text()
    measured.path.unlink()
    peers._report(TASKS["cru"], options, "command", {0: measured.ours})
    for name in ("cru.md", "cru.csv"):
        assert "trained here" not in (tmp_path / name).read_text()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"peer": "a", "curve": []}'])
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "cru_rival.json"
    path.write_text(text)
    with pytest.raises(report.UserError, match="was not written by"):
        report.read_rival(path)
