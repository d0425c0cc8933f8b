"""A power cut at any moment loses what was not synced; what a checkpoint counts on is there all the same."""

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from kvae.data.archives import read_arrays
from kvae.evaluation import pictures
from kvae.runs.events import whole_records
from kvae.runs.run_folder import RunFolder, whole_rows
from kvae.system.signals import StopSignals
from kvae.training.loop import train
from kvae.training.recorder import Recorder
from tests.kvae.training.small import start, videos

pytestmark = pytest.mark.filterwarnings("ignore:Even though the .* option is set")
NUM_EPOCHS = 3
OPTIONS = dict(num_epochs=NUM_EPOCHS, refine_epochs=0, num_paths=0, generate_step=100)


class Disk:
    """What is surely stored of a folder, noted at every sync, beside what the program sees."""

    def __init__(self, root, monkeypatch):
        self.root, self.names, self.data, self.moments = root, {root: {}}, {}, []
        self._known = {}
        for name in ("fsync", "replace", "mkdir"):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name, call):
        def watched(*arguments, **named):
            self.note()
            call(*arguments, **named)
            if name == "fsync":
                path = Path(os.readlink(f"/proc/self/fd/{arguments[0]}"))
                if path.is_dir():
                    self.names[path] = {child.name: child.stat().st_ino for child in path.iterdir()}
                else:
                    self.data[path.stat().st_ino] = self._read(path)
            self.note()

        return watched

    def _read(self, path):
        """Return what a file holds; the same bytes for as long as it is the same."""
        facts = path.stat()
        key = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if key not in self._known:
            self._known[key] = path.read_bytes()
        return self._known[key]

    def versions_of(self, name):
        """Return all that ever stood in a file of that name."""
        return {
            content[children[name]]
            for live, content, *_ in self.moments
            for children in live.values()
            if name in children
        }

    def note(self):
        live, content = {}, {}
        for folder in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            live[folder] = {child.name: child.stat().st_ino for child in folder.iterdir()}
            content |= {c.stat().st_ino: self._read(c) for c in folder.iterdir() if c.is_file()}
        folders = {path.stat().st_ino: path for path in live}
        self.moments.append((live, content, folders, dict(self.names), dict(self.data)))

    def after_a_cut(self, moment, rng, target):
        live, content, folders, names, data = moment

        def write(folder, place):
            place.mkdir()
            now, stored = live[folder], names.get(folder, {})
            for name in sorted({*now, *stored}):
                inode = rng.choice([now.get(name), stored.get(name)])
                if inode in folders:
                    write(folders[inode], place / name)
                elif inode is not None:
                    old, new = data.get(inode, b""), content.get(inode, b"")
                    part = new[: rng.randint(0, len(new))]
                    kept = old if old == new or inode not in content else rng.choice([old, new, part, b""])
                    # What was stored and is only added to stays.
                    (place / name).write_bytes(
                        old + new[len(old) :][: len(part)] if new[: len(old)] == old else kept
                    )

        write(self.root, target)


def trained(model, folder):
    with StopSignals() as signals:
        train(model, videos(8, num_steps=3), videos(4, seed=1, num_steps=3), folder, signals)
    folder.close()
    return model.get_weights()


@pytest.fixture(scope="module")
def training(tmp_path_factory, module_eagerly):
    """Train a small model in a folder that is watched; return the `Disk`, and the weights in the end."""
    root = tmp_path_factory.mktemp("watched") / "disk"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        # Pictures are no part of what a training goes on from, and large.
        patch.setattr(pictures, "draw", lambda *arguments: None)
        patch.setattr(Recorder, "_imputation", lambda *arguments: {"smoothing": 0.25})
        disk = Disk(root, patch)
        model, folder = start(root / "logs", **OPTIONS)
        folder.write_config(model.config, "float32")
        weights = trained(model, folder)
    return disk, folder.path.relative_to(root), weights


@pytest.mark.parametrize("num_cuts", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_power_cuts_lose_nothing_that_a_checkpoint_counts_on(training, num_cuts, tmp_path, capsys):
    disk, path, _ = training
    rng, seen, models = random.Random(0), set(), disk.versions_of("model.keras")
    for _ in range(num_cuts):
        target = tmp_path / "cut"
        disk.after_a_cut(rng.choice(disk.moments), rng, target)
        folder = RunFolder(target / path)
        if folder.checkpoint.exists():
            arrays = read_arrays(folder.checkpoint)
            progress = json.loads(str(arrays["facts"]))["progress"]
            seen.add(progress["epoch"])
            folder.cut_back(progress["file_sizes"])
            sizes = {name: (folder.path / name).stat().st_size for name in progress["file_sizes"]}
            assert sizes == progress["file_sizes"]
            log = folder.path / "metrics.csv"
            if progress["epoch"]:
                assert whole_rows(log) == log.stat().st_size
                assert len(log.read_text().splitlines()) == 1 + progress["epoch"]
                for name in sizes:
                    assert name == "metrics.csv" or whole_records(folder.path / name) == sizes[name]
            if progress["best_epoch"]:
                assert (folder.path / "model.keras").read_bytes() in models
        shutil.rmtree(target)
    assert seen == set(range(NUM_EPOCHS + 1))
    assert "Warning" not in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_training_goes_on_after_a_power_cut(training, tmp_path, monkeypatch, share):
    disk, path, weights = training
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {"smoothing": 0.25})
    target = tmp_path / "cut"
    disk.after_a_cut(disk.moments[int(share * len(disk.moments))], random.Random(0), target)
    folder = RunFolder(target / path)
    assert folder.checkpoint.exists()
    model, _ = start(tmp_path / "fresh", **OPTIONS)
    for found, expected in zip(trained(model, folder), weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len((folder.path / "metrics.csv").read_text().splitlines()) == 1 + NUM_EPOCHS
