"""A power cut at any moment loses what was not synced; what a checkpoint counts on is there all the same."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from kvae.runs.run_folder import RunFolder, whole_rows
from kvae.system.files import make_folder, replacing

NUM_CUTS = 1000


class Disk:
    """What is surely stored of a folder, noted at every sync, beside what the program sees."""

    def __init__(self, root, monkeypatch):
        self.root, self.names, self.data, self.moments = root, {root: {}}, {}, []
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
                    self.data[path.stat().st_ino] = path.read_bytes()
            self.note()

        return watched

    def note(self):
        live, content = {}, {}
        for folder in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            live[folder] = {child.name: child.stat().st_ino for child in folder.iterdir()}
            content |= {c.stat().st_ino: c.read_bytes() for c in folder.iterdir() if c.is_file()}
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


@pytest.fixture
def disk(tmp_path, monkeypatch):
    root = tmp_path / "disk"
    root.mkdir()
    with monkeypatch.context() as patch:
        disk = Disk(root, patch)
        make_folder(root / "logs" / "run")
        folder = RunFolder(root / "logs" / "run")
        for epoch in range(1, 6):
            folder.record(epoch, epoch, {"total": -1.0}, {"total": -2.0})
            with replacing(folder.path / "model.keras") as temporary:
                temporary.write_text(f"model {epoch}" * 50)
            progress = {"epoch": epoch, "file_sizes": folder.file_sizes()}
            with replacing(folder.checkpoint) as temporary:
                temporary.write_text(json.dumps(progress))
        folder.close()
    return disk


def test_a_thousand_power_cuts_lose_nothing_that_a_checkpoint_counts_on(disk, tmp_path, capsys):
    rng, seen = random.Random(0), set()
    for _ in range(NUM_CUTS):
        target = tmp_path / "cut"
        disk.after_a_cut(rng.choice(disk.moments), rng, target)
        folder = RunFolder(target / "logs" / "run")
        if folder.checkpoint.exists():
            progress = json.loads(folder.checkpoint.read_text())
            seen.add(progress["epoch"])
            folder.cut_back(progress["file_sizes"])
            sizes = {name: (folder.path / name).stat().st_size for name in progress["file_sizes"]}
            assert sizes == progress["file_sizes"]
            log = folder.path / "metrics.csv"
            assert whole_rows(log) == log.stat().st_size
            assert len(log.read_text().splitlines()) == 1 + progress["epoch"]
            model = (folder.path / "model.keras").read_text()
            assert model in [f"model {epoch}" * 50 for epoch in range(progress["epoch"], 6)]
        shutil.rmtree(target)
    assert seen == {1, 2, 3, 4, 5}
    assert "Warning" not in capsys.readouterr().err
