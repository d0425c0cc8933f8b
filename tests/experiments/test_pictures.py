import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import pictures, screenshots
from kvae.apply import filling
from kvae.config import Config
from kvae.evaluation import CurvePoint, ImputationError
from kvae.evaluation import pictures as pictures_of_model
from kvae.models.kvae import KVAE
from kvae.plots import films
from kvae.runs.run_folder import RunFolder
from simulation import make_world
from simulation.dataset import SEED
from simulation.sampling import simulate

KEPT = Path(__file__).parents[2] / "pretrained"


@pytest.fixture(scope="module")
def model():
    small = {"num_filters": (4, 4), "alpha_units": 4, "K": 2, "num_paths": 4, "batch_size": 6}
    model = KVAE(Config(dataset="box", **small))
    model.build((None, None, 32, 32))
    return model


def read_rows(file):
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_what_was_recorded_is_recorded_again(tmp_path):
    folder = RunFolder(tmp_path)
    # With its refinement, after which only the bound on test data is known.
    assert pictures.replay(KEPT / "box_gravity" / "metrics.csv", folder) == 12495
    folder.close()
    again, kept = (read_rows(path / "metrics.csv") for path in (tmp_path, KEPT / "box_gravity"))
    # Columns that came later are empty.
    assert [{name: value for name, value in row.items() if value} for row in again] == [
        {name: value for name, value in row.items() if value} for row in kept
    ]
    assert {path.parent.name for path in folder.events.files()} == {"train", "test"}


def test_the_film_shows_what_the_model_sees_and_does_not(model, monkeypatch):
    def fill(model, frames, observed, num_steps, num_samples):
        # The mean is black, the sample white.
        images = np.zeros([len(frames) + num_steps, 32, 32])
        seen = np.pad(observed, [(0, num_steps)])
        return filling.Filled(images, None, 1 + images[None], None, None, None, seen)

    monkeypatch.setattr(filling, "fill", fill)
    film = pictures.film_of_filling(model, num_imagined=3)
    truth = simulate(make_world("box"), "test", 4, 23, SEED).images > 0
    hidden = np.isin(np.arange(23), [*range(4, 16), 20, 21, 22])
    seen = np.where(hidden[:, None, None], films.BLANK_COLOUR[0] / 255, truth)
    rows = {"truth": truth, "model sees": seen, "filled in": 0.0 * seen, "imagined": 0.0 * seen + 1}
    np.testing.assert_array_equal(film, films.film(rows, np.tile(~hidden, [4, 1])))


def test_the_command(model, monkeypatch, tmp_path, capsys):
    kept, output = RunFolder(tmp_path / "kept" / "box"), tmp_path / "out"
    kept.path.mkdir(parents=True)
    kept.save_model(model)
    kept.write_config(model.config, "float32")
    kept.record(1, 25, {"total": -3.0}, {"total": -4.0})
    for name in ("imputation_planning", "imputation_random"):
        points = [CurvePoint(x, "smoothing", ImputationError(x / 9, x)) for x in (1, 2)]
        kept.write_curve(name, points, "kvae")
    kept.write_json("evaluation.json", {"baseline": 0.05})
    kept.close()

    def picture(model, dataset, folder, step):
        assert step == 25
        first = simulate(make_world("box"), "test", 6, 20, SEED).images
        np.testing.assert_array_equal(dataset.images, first)
        for path in ("films/imputation_strip.png", "plots/codes.png", "plots/alpha.png"):
            films.write_png(folder.path / path, np.zeros([len(path), 2, 3], np.uint8))

    # It has tests of its own, and takes its time.
    monkeypatch.setattr(pictures_of_model, "draw", picture)
    arguments = ["--worlds", "box", "--pretrained", str(kept.path.parent), "--output_dir", str(output)]
    assert pictures.main(arguments) == 0
    heights = {path.name: Image.open(path).height for path in (output / "box").iterdir()}
    drawn = {"imputation_strip.png": 26, "codes.png": 15, "alpha.png": 15}
    assert {name: heights.pop(name) for name in drawn} == drawn
    assert sorted(heights) == ["filling.gif", "imputation_planning.png", "imputation_random.png"]
    assert min(heights.values()) > 200
    assert Image.open(output / "box" / "filling.gif").n_frames == 20 + pictures.NUM_IMAGINED

    (kept.path / "model.keras").unlink()
    assert pictures.main(arguments) == 2
    assert "has no model.keras" in capsys.readouterr().err


def test_no_screenshots_without_a_browser(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(screenshots.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(screenshots, "chromium", lambda: None)
    assert pictures.main(["--screenshots", "--output_dir", str(tmp_path)]) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
