import json
import shutil
from pathlib import Path

import pytest

import kvae
from experiments import pretrained
from kvae.data import masks
from simulation.sampling import simulate
from simulation.worlds import make_world

KEPT = Path(__file__).parents[2] / "pretrained"
WORLDS = sorted(path.parent.name for path in KEPT.glob("*/config.json"))


@pytest.mark.parametrize("world", WORLDS)
def test_a_kept_model_fills_in_what_it_has_not_seen(world):
    model = kvae.load(KEPT / world)
    assert (KEPT / world / "model.keras").stat().st_size < 1e6
    found = simulate(make_world(world), "test", 8, 20, seed=4321)
    controls = found.controls if found.controls.shape[-1] else None
    hidden = model.config.t_steps_mask
    mask = masks.planning_mask(8, 20, 4, hidden)
    imputed = model.impute(found.images, mask, controls, num_paths=200).images.numpy()[:, 4 : 4 + hidden]
    truth = model.pixels(found.images).numpy()
    last = truth[:, 3:4].repeat(hidden, axis=1)
    truth = truth[:, 4 : 4 + hidden]
    # Squared, as grey pixels are noisy.
    assert ((imputed - truth) ** 2).mean() < 0.35 * ((last - truth) ** 2).mean()


def test_keeps_a_run_without_where_it_lay(tmp_path, capsys):
    run = tmp_path / "somewhere" / "mine_kvae"
    shutil.copytree(KEPT / "box", run)
    facts = json.loads((run / "config.json").read_text())
    facts["options"] |= {
        "data_dir": "/home/me/data",
        "log_dir": "/home/me/logs",
        "run_name": "mine",
        "seed": 3,
    }
    (run / "config.json").write_text(json.dumps(facts))
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 0
    text = "".join(path.read_text() for path in (tmp_path / "kept").rglob("*.json"))
    assert "/home/me" not in text
    assert '"mine"' not in text
    table = (tmp_path / "kept" / "README.md").read_text()
    assert table in capsys.readouterr().out
    assert "| `box` | `python run_kvae.py --dataset box --seed 3` |" in table
    assert kvae.load(tmp_path / "kept" / "box").config.seed == 3


def test_the_table_is_that_of_the_models(tmp_path):
    assert pretrained.table_of(KEPT) == (KEPT / "README.md").read_text()


@pytest.mark.parametrize("name", ["evaluation.json", "model.keras"])
def test_refuses_a_run_that_is_not_finished(tmp_path, capsys, name):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "box", run)
    (run / name).unlink()
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 2
    assert f"has no {name}: is the run finished?" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_refuses_a_large_model(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "box", run)
    (run / "model.keras").write_bytes(b"0" * 1_000_001)
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 2
    assert "1,000,001 bytes" in capsys.readouterr().err
