import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments import hidden_frames
from experiments.hidden_frames import OURS, TRIVIAL, Options, errors_of
from experiments.trivial_fills import cross_fade
from kvae.data.dataset import Dataset, load
from simulation.dataset import generate
from tests.kvae.models.small import tiny, videos

BOX = Path(__file__).parents[2] / "pretrained" / "box"


def test_a_model_beside_trivial_fills(tmp_path, capsys):
    generate("box", tmp_path, num_train=1, num_test=6, seed=0, report=lambda file: None)
    arguments = [str(BOX), "--data_dir", str(tmp_path), "--num_paths", "50", "--hidden", "1", "11"]
    assert hidden_frames.main(arguments) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[5:-1]] == ["hidden frames", *OURS, *TRIVIAL]
    assert len(lines) == 2
    first, last = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    assert first[0] == "box"
    assert float(first[1]) > 0.99
    assert first[3] == "2 of 2"
    assert [first[4], last[4]] == ["1", "11"]
    # Bold: below all trivial fills.
    assert all(cell.startswith("**") for cell in first[5:8])
    images = load(tmp_path / "box_test.npz").images / 255
    observed = np.ones(20)
    observed[4:15] = 0
    error = ((cross_fade(images, observed) - images)[:, 4:15] ** 2).mean()
    assert float(last[9]) == pytest.approx(1000 * error, rel=5e-3)


def test_errors_in_parts_are_those_of_all(monkeypatch):
    images = videos(batch=5)
    data, model = Dataset(images, np.zeros([5, 6, 0], np.float32), None), tiny(images)
    observed = np.array([1, 1, 0, 0, 1, 1], np.float32)
    options = Options((), num_paths=20)
    whole = errors_of(model, data, observed, options)
    monkeypatch.setattr(hidden_frames, "AT_ONCE", 2)
    parts = errors_of(model, data, observed, options)
    for name in ("smoothing", "filtering", *TRIVIAL):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4)
    few = errors_of(model, data, observed, dataclasses.replace(options, num_test=2))
    assert few["last frame"] == pytest.approx(
        ((images[:2, 2:4] - images[:2, 1:2].astype(float)) ** 2).mean() / 255**2
    )


def test_what_cannot_be_filled_is_refused(tmp_path, capsys):
    generate("box", tmp_path, num_train=1, num_test=2, seed=0, report=lambda file: None)
    arguments = [str(BOX), "--data_dir", str(tmp_path)]
    assert hidden_frames.main([*arguments, "--hidden", "16"]) == 2
    assert "choose fewer --hidden than 16" in capsys.readouterr().err
    path = tmp_path / "box_test.npz"
    with np.load(path) as file:
        held = dict(file)
    mask = np.ones(held["images"].shape[:2], np.float32)
    mask[0, 3] = 0
    np.savez(path, **held, mask=mask)
    assert hidden_frames.main(arguments) == 2
    assert "has missing frames" in capsys.readouterr().err
