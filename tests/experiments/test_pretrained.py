import json
import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import kvae
from experiments import pretrained
from experiments.compare import OF_GREY_32X32, PLACES
from kvae.config import Config
from kvae.config.command_line import parse
from kvae.data import masks
from kvae.runs.options import read_options
from simulation.sampling import simulate
from simulation.worlds import make_world

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "pretrained"
WORLDS = sorted(path.parent.name for path in KEPT.glob("*/config.json"))


# Of those that are slow another world has the same options.
@pytest.mark.parametrize(
    "world",
    [
        pytest.param(world, marks=pytest.mark.slow if world in ("box_gravity", "polygon") else ())
        for world in WORLDS
    ],
)
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


def _rewrite_options(file, options):
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    saved = json.loads(members["config.json"])
    saved["config"]["config"] |= options
    members["config.json"] = json.dumps(saved)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_no_kept_model_says_where_its_run_lay():
    for world in WORLDS:
        with zipfile.ZipFile(KEPT / world / "model.keras") as archive:
            saved = json.loads(archive.read("config.json"))["config"]["config"]
        assert not [saved[name] for name in PLACES if name in saved and str(saved[name]).startswith("/")]


def test_keeps_a_run_without_where_it_lay(tmp_path, capsys):
    run = tmp_path / "somewhere" / "mine_kvae"
    shutil.copytree(KEPT / "box", run)
    facts = json.loads((run / "config.json").read_text())
    facts["options"] |= {
        "data_dir": "/home/me/data",
        "log_dir": "/home/me/logs",
        "run_name": "mine",
        "init_model": "/home/me/logs/first_kvae",
        "seed": 3,
    }
    (run / "config.json").write_text(json.dumps(facts))
    _rewrite_options(run / "model.keras", facts["options"])
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 0
    text = "".join(path.read_text() for path in (tmp_path / "kept").rglob("*.json"))
    assert "/home/me" not in text
    assert '"mine"' not in text
    with zipfile.ZipFile(tmp_path / "kept" / "box" / "model.keras") as archive:
        saved = json.loads(archive.read("config.json"))["config"]["config"]
        weights = archive.read("model.weights.h5")
    assert {name: saved[name] for name in ("data_dir", "log_dir", "run_name", "init_model")} == {
        "data_dir": "data",
        "log_dir": "logs",
        "run_name": "",
        "init_model": "logs/first_kvae",
    }
    with zipfile.ZipFile(KEPT / "box" / "model.keras") as archive:
        assert archive.read("model.weights.h5") == weights
    table = (tmp_path / "kept" / "README.md").read_text()
    assert table in capsys.readouterr().out
    command = "--num_epochs 0 --refine_epochs 75 --seed 3 --init_model logs/first_kvae"
    assert f"| `box` | `python run_kvae.py --dataset box {command}` |" in table
    assert kvae.load(tmp_path / "kept" / "box").config.seed == 3


def test_a_model_does_not_hide_what_it_began_with(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrained, "BEGINNINGS", {})
    assert pretrained.main([str(KEPT / "box"), "--output_dir", str(tmp_path)]) == 2
    assert "began with the model of logs/reproduce_box_0_kvae" in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


def test_the_commands_of_a_model_that_began_with_another_give_its_options():
    text = pretrained.BEGINNINGS["box"].replace("\\\n", "")
    first, last = (shlex.split(words) for words in re.findall(r"^    python run_kvae.py (.*)", text, re.M))
    runs = {"logs/reproduce_box_0_kvae": parse(first, None).to_dict()}
    found = parse(last, runs.__getitem__).to_dict() | OF_GREY_32X32
    expected = Config.from_dict(read_options(KEPT / "box")).to_dict()
    # At the commit that the page names no sequences were held out.
    different = {name for name in found if found[name] != expected[name]}
    assert different == {"data_dir", "validation_split"}
    assert "data_dir" in PLACES


def test_weights_are_kept_here_alone():
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    weights = [Path(name) for name in listed.stdout.splitlines() if name.endswith((".keras", ".h5", ".npz"))]
    assert {path.parts[:-2] for path in weights if path.parts[:2] != ("tests", "golden")} == {("pretrained",)}


def test_the_table_is_that_of_the_models(tmp_path):
    assert pretrained.table_of(KEPT) == (KEPT / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("evaluation.json", "has no evaluation.json: is the run finished?"),
        ("model.keras", "has no model.keras: the run has saved none yet"),
    ],
)
def test_refuses_a_run_that_is_not_finished(tmp_path, capsys, name, message):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "box", run)
    (run / name).unlink()
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_refuses_a_large_model(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(KEPT / "box", run)
    (run / "model.keras").write_bytes(b"0" * 1_000_001)
    assert pretrained.main([str(run), "--output_dir", str(tmp_path / "kept")]) == 2
    assert "1,000,001 bytes" in capsys.readouterr().err
