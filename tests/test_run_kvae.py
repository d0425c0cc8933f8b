"""The commands as a user runs them, from nothing to a run folder."""

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

import run_kvae
import simulation.generate
from experiments import compare, summarise, trivial_fills
from kvae.commands import train, training_data
from kvae.config import Config, ConfigError
from kvae.data import identity
from kvae.evaluation import pictures
from kvae.runs import data_files
from kvae.runs.load import load
from kvae.training.recorder import Recorder
from simulation.worlds import registry

ROOT = Path(__file__).parent.parent
SMALL = (
    "--num_epochs 2 --kf_update_steps 1 --num_filters 4,4 --alpha_units 4 --batch_size 8 --generate_step 1 "
    "--n_steps_gen 12 --t_steps_mask 4 --precision float32"
).split()
FEWER = ["--t_steps_mask", "4"]
SMALL_KVAE = [*SMALL, *"--num_paths 10 --K 3 --refine_epochs 0".split()]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    sizes = ["--num_train", "20", "--num_test", "10", "--num_steps", "10", "--data_dir", str(folder)]
    assert simulation.generate.main(["--dataset", "box_gravity", *sizes]) == 0
    return folder


def run(data_dir, log_dir, name, *options):
    places = ["--data_dir", str(data_dir), "--log_dir", str(log_dir), "--run_name", name]
    return run_kvae.main(["--dataset", "box_gravity", *places, *options])


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def quiet_run(data_dir, tmp_path_factory):
    """Return the folder of a run that was to be quiet, and what it told a terminal."""
    log_dir = tmp_path_factory.mktemp("logs")
    out, err = Terminal(), Terminal()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert run(data_dir, log_dir, "first", *SMALL_KVAE, "--alpha_rnn=False", "--quiet") == 0
    return log_dir / "first_kvae", out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def trained(quiet_run):
    return quiet_run[0]


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_its_folder(trained):
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    expected = {"config.json", "metrics.csv", "evaluation.json", "model.keras", "checkpoints/last.npz"}
    expected |= {f"imputation_{mask}.{kind}" for mask in ("planning", "random") for kind in ("csv", "png")}
    for prefix in ("epoch_001_", "final_"):
        expected |= {f"films/{prefix}{name}.mp4" for name in ("imputation", "samples", "generation")}
        expected |= {f"films/{prefix}imputation_strip.png"}
        expected |= {f"plots/{prefix}{name}.png" for name in ("codes", "alpha", "alpha_plane", "motion")}
    assert {name for name in files if "events.out" not in name} == expected
    for split in ("train", "test"):
        assert list((trained / split).glob("events.out.tfevents.*"))


def test_a_quiet_run_tells_its_folder_alone(quiet_run):
    folder, out, err = quiet_run
    assert out == f"{folder}\n"
    assert err == ""


def test_its_numbers_are_whole(trained):
    metrics = read_csv(trained / "metrics.csv")
    assert [row["epoch"] for row in metrics] == ["1", "2"]
    # 20 sequences in batches of 8 are three steps, the last one smaller.
    assert [row["step"] for row in metrics] == ["3", "6"]
    assert all(np.isfinite(float(value)) for row in metrics for value in row.values())
    assert float(metrics[1]["train_elbo_total"]) > float(metrics[0]["train_elbo_total"])
    planning = read_csv(trained / "imputation_planning.csv")
    assert [row["x"] for row in planning if row["method"] == "smoothing"] == ["1", "3", "5"]
    assert {row["method"] for row in planning} == {"smoothing", "filtering", "generation", "sampling"}
    assert len(read_csv(trained / "imputation_random.csv")) == 40
    best = max(range(2), key=lambda i: float(metrics[i]["test_elbo_total"])) + 1
    assert json.loads((trained / "evaluation.json").read_text())["best_epoch"] == best


def test_its_films_have_the_right_length(trained):
    for name, num_steps in (("imputation", 10), ("generation", 12)):
        film = imageio.mimread(trained / "films" / f"final_{name}.mp4", memtest=False)
        assert len(film) == num_steps


def test_reloading_gives_the_same_curves_without_training(trained, data_dir, monkeypatch):
    log_dir, drawn = trained.parent, []
    monkeypatch.setattr(
        pictures, "draw", lambda model, data, folder, step, prefix: drawn.append((model.config, prefix))
    )
    # Masks and films may differ from those of the run; what was learned may not.
    films = ["--t_steps_mask", "3", "--n_steps_gen", "11"]
    assert run(data_dir, log_dir, "again", "--reload_model", str(trained), *films) == 0
    again = log_dir / "again_kvae"
    for name in ("imputation_planning.csv", "imputation_random.csv"):
        for a, b in zip(read_csv(trained / name), read_csv(again / name), strict=True):
            assert float(a["wrong_pixels"]) == pytest.approx(float(b["wrong_pixels"]), abs=1e-5)
    options = json.loads((again / "config.json").read_text())["options"]
    assert options["num_filters"] == [4, 4]
    assert options["alpha_rnn"] is False
    assert not (again / "metrics.csv").exists()
    ((config, prefix),) = drawn
    assert (config.t_steps_mask, config.n_steps_gen, prefix) == (3, 11, "final_")


def _leave_out_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *arguments, **named: None)
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)


@pytest.fixture
def without_pictures(monkeypatch):
    """Leave out what takes long, and is not looked at."""
    _leave_out_pictures(monkeypatch)


def test_a_finished_run_that_is_resumed_is_evaluated_again(trained, tmp_path, capsys, without_pictures):
    folder = tmp_path / "again_kvae"
    shutil.copytree(trained, folder)
    # But for sampling, which takes longest, and is compared where a model is reloaded.
    facts = json.loads((folder / "config.json").read_text())
    facts["options"]["num_paths"] = 0
    (folder / "config.json").write_text(json.dumps(facts))
    (folder / "evaluation.json").unlink()
    (folder / "imputation_planning.csv").unlink()
    assert run_kvae.main(["--resume", str(folder)]) == 0
    # Whether it is quiet this command says, not the run.
    assert "Test bound per frame" in capsys.readouterr().out
    assert (folder / "evaluation.json").exists()
    assert (folder / "metrics.csv").read_text() == (trained / "metrics.csv").read_text()
    before = read_csv(trained / "imputation_planning.csv")
    assert read_csv(folder / "imputation_planning.csv") == [r for r in before if r["method"] != "sampling"]


def weights_of(folder, layer):
    model = load(folder)
    return getattr(model, layer).get_weights()


def test_a_model_can_be_trained_on(trained, data_dir, tmp_path, capsys, monkeypatch, without_pictures):
    # What is evaluated in the end is not looked at, but for the step that it is told at.
    steps = []
    monkeypatch.setattr(train, "_report", lambda *arguments: steps.append(arguments[3]))
    begin = ["--init_model", str(trained), "--n_steps_gen", "12", "--generate_step", "9"]
    dynamics = [*begin, "--num_epochs", "0", "--refine_epochs", "300", "--seed", "4"]
    assert run(data_dir, tmp_path, "dynamics", *dynamics) == 0
    folder = tmp_path / "dynamics_kvae"
    said = capsys.readouterr().out
    metrics = read_csv(folder / "metrics.csv")
    assert [row["epoch"] for row in metrics] == ["0", "300"]
    # The refinement's updates count.
    assert steps == [int(metrics[1]["step"])]
    assert steps[0] >= 300
    # But for the draws of the codes.
    first = json.loads((trained / "evaluation.json").read_text())["test_bound"]
    assert float(metrics[0]["test_elbo_total"]) == pytest.approx(first["total"], rel=1e-2)
    exact = [float(row["test_elbo_exact"]) for row in metrics]
    assert exact[1] > exact[0] + 0.05
    assert f"{trained} begins with" in said
    assert "the best model, that of epoch 300" in said
    for before, after in zip(weights_of(trained, "encoder"), weights_of(folder, "encoder"), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (weights_of(trained, "lgssm")[0] != weights_of(folder, "lgssm")[0]).any()

    # And wholly, until its checkpoint stands for where it began. The rate does harm: the first one is kept.
    shutil.copytree(trained, tmp_path / "first_kvae")
    harm = [*begin, "--num_epochs", "1", "--init_lr", "3", "--max_grad_norm", "1e9"]
    harm[1] = str(tmp_path / "first_kvae")
    assert run(data_dir, tmp_path, "all", *harm) == 0
    assert "the best model, the one it began with" in capsys.readouterr().out
    folder = tmp_path / "all_kvae"
    assert [row["epoch"] for row in read_csv(folder / "metrics.csv")] == ["0", "1"]
    shutil.rmtree(tmp_path / "first_kvae")
    assert run_kvae.main(["--resume", str(folder)]) == 0
    assert len(read_csv(folder / "metrics.csv")) == 2


def test_a_rival_leaves_a_run_folder_too(data_dir, tmp_path, capsys, monkeypatch):
    shorter = ["--num_epochs", "1", "--generate_step", "9"]
    assert run(data_dir, tmp_path, "rival", *SMALL, *shorter, "--model", "ae_rnn") == 0
    folder = tmp_path / "rival_ae_rnn"
    assert "Test bound per frame" in capsys.readouterr().out
    planning = read_csv(folder / "imputation_planning.csv")
    assert {(row["model"], row["method"]) for row in planning} == {
        ("ae_rnn", "filtering"),
        ("ae_rnn", "generation"),
    }
    assert (folder / "films" / "final_imputation.mp4").exists()
    assert not (folder / "plots" / "final_alpha.png").exists()
    assert {row["train_elbo_exact"] for row in read_csv(folder / "metrics.csv")} == {""}
    _leave_out_pictures(monkeypatch)
    assert run(data_dir, tmp_path, "again", "--reload_model", str(folder)) == 0
    again = read_csv(tmp_path / "again_ae_rnn" / "imputation_planning.csv")
    assert [float(row["wrong_pixels"]) for row in again] == pytest.approx(
        [float(row["wrong_pixels"]) for row in planning], abs=1e-5
    )


# tests/experiments/test_torque_pendulum.py makes a run of the other.
@pytest.mark.parametrize("kind", ["dvbf", pytest.param("dmm", marks=pytest.mark.slow)])
def test_so_does_one_whose_states_are_decoded(kind, data_dir, tmp_path, capsys, monkeypatch):
    shorter = ["--num_epochs", "1", "--generate_step", "9", "--train_miss_prob", "0.2"]
    assert run(data_dir, tmp_path, "rival", *SMALL, *shorter, "--model", kind) == 0
    folder = tmp_path / f"rival_{kind}"
    assert "Test bound per frame" in capsys.readouterr().out
    options = json.loads((folder / "config.json").read_text())["options"]
    # What such a model starts from; 4 is the size of the KVAE's state.
    assert (options["dim_a"], options["scale_reconstruction"], options["refine_epochs"]) == (4, 1.0, 0)
    planning = read_csv(folder / "imputation_planning.csv")
    methods = {"smoothing", "generation", "sampling"}
    assert {(row["model"], row["method"]) for row in planning} == {(kind, method) for method in methods}
    assert (folder / "films" / "final_samples.mp4").exists()
    assert (folder / "plots" / "final_alpha.png").exists() == (kind == "dvbf")
    metrics = read_csv(folder / "metrics.csv")
    assert all(float(row["test_elbo_log_qa"]) for row in metrics)
    _leave_out_pictures(monkeypatch)
    assert run(data_dir, tmp_path, "again", "--reload_model", str(folder)) == 0
    again = read_csv(tmp_path / f"again_{kind}" / "imputation_planning.csv")
    assert [float(row["wrong_pixels"]) for row in again] == pytest.approx(
        [float(row["wrong_pixels"]) for row in planning], abs=1e-5
    )


def test_the_comparison_shows_the_run_beside_the_references(trained, capsys):
    assert compare.main([str(trained)]) == 0
    table = capsys.readouterr().out
    planning = read_csv(trained / "imputation_planning.csv")
    smoothing = [float(row["wrong_pixels"]) for row in planning if row["method"] == "smoothing"]
    assert "| **this run, smoothing** | " + " | ".join(f"{v:.4f}" for v in smoothing) + " |" in table
    assert "| paper, smoothing (on box) | 0.0061 | 0.0078 |" in table
    assert "--num_filters 4,4" in table
    assert compare.main([str(trained.parent)]) == 2


def test_runs_are_summarised(trained, tmp_path, capsys):
    other = tmp_path / "other_kvae"
    shutil.copytree(trained, other)
    facts = json.loads((other / "config.json").read_text())
    facts["options"] |= {"K": 2, "alpha_rnn": True}
    (other / "config.json").write_text(json.dumps(facts))
    capsys.readouterr()
    assert summarise.main([str(trained), str(other)]) == 0
    *_, header, _, first, second = capsys.readouterr().out.splitlines()
    assert header.startswith("| K | alpha_rnn | test bound per frame | sampling | smoothing | filtering |")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (first, second)]
    assert {tuple(row[:2]) for row in rows} == {("3", "False"), ("2", "True")}
    assert float(rows[0][2]) >= float(rows[1][2])
    planning = read_csv(trained / "imputation_planning.csv")
    wrong = [float(row["wrong_pixels"]) for row in planning if row["method"] == "smoothing"]
    (of_trained,) = [row for row in rows if row[0] == "3"]
    assert float(of_trained[4]) == pytest.approx(np.mean(wrong), abs=1e-4)
    assert summarise.main([str(trained.parent)]) == 2


def test_trivial_fills_of_a_ball_world(trained, data_dir, tmp_path, capsys):
    assert trivial_fills.main([str(trained), "--data_dir", str(data_dir), "--output_dir", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    planning = read_csv(trained / "imputation_planning.csv")
    for method in ("smoothing", "filtering", "generation"):
        values = [float(row["wrong_pixels"]) for row in planning if row["method"] == method]
        assert f"| **{method}** | " + " | ".join(f"{v:.4f}" for v in values) + " |" in table
    assert "| linear motion | 0.00" in table
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"box_gravity{end}" for end in (".md", ".png", "_strip.png", "_codes.png")}
    assert trivial_fills.main([str(trained.parent)]) == 2


@pytest.mark.slow
def test_the_pendulum_from_shards(tmp_path, capsys):
    sizes = "--dataset pendulum --num_train 20 --num_test 6 --num_steps 10 --shards 3 --data_dir".split()
    assert simulation.generate.main([*sizes, str(tmp_path)]) == 0
    places = ["--data_dir", str(tmp_path), "--log_dir", str(tmp_path / "logs"), "--run_name", "a"]
    shorter = ["--num_epochs", "1", "--generate_step", "9"]
    assert run_kvae.main(["--dataset", "pendulum", *places, *SMALL_KVAE, *shorter]) == 0
    folder = tmp_path / "logs" / "a_kvae"
    said = capsys.readouterr().out
    assert "pendulum: 18 sequences of 10 frames, 16x16" in said
    assert "choosing the model by 2 more" in said
    assert json.loads((folder / "config.json").read_text())["options"]["learn_pixel_var"] is True
    assert trivial_fills.main([str(folder)]) == 0
    table = capsys.readouterr().out
    for line in ("mean squared error", "| **smoothing** |", "| last frame seen |", "| cross-fade |"):
        assert line in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data_dir", "DATA", "--dataset", "boxx"], "box"),
        (["--data_dir", "DATA", "--dataset", "box_gravity", "--t_steps_mask", "7"], "have 10 frames"),
        (["--data_dir", "DATA", "--dataset", "box_gravity", "--gpu", "7"], "no GPU 7"),
        (["--data_dir", "DATA", "--dataset", "box_gravity", "--run_name", "a/b"], "without slashes"),
        (["--reload_model", "DATA"], "not a run folder"),
        (["--resume", "DATA"], "not a run folder"),
        (["--resume", "RUN", "--K", "4"], "--K cannot change a run that is resumed"),
        (["--reload_model", "RUN", "--K", "4"], "--K cannot change a model that is reloaded"),
        (["--init_model", "DATA"], "not a run folder"),
        (["--init_model", "RUN", "--num_epochs", "0"], "num_epochs must be at least 1, or 0 with init_model"),
        (["--init_model", "RUN", "--K", "4"], "--K cannot change a model that is trained on"),
        (["--dim_a", "0"], "dim_a must be at least 1"),
        (["--alpha_rnn", "False", "--dim_zz", "3"], "Unrecognized"),
        (["--kf_elbo", "precise"], "'exact'"),
    ],
)
def test_mistakes_end_in_a_message(options, message, trained, data_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"DATA": str(data_dir), "RUN": str(trained)}
    try:
        code = run_kvae.main([places.get(option, option) for option in options])
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    # Nothing was begun.
    assert not (tmp_path / "logs").exists()


def test_a_run_is_not_overwritten(trained, data_dir, capsys):
    before = (trained / "metrics.csv").read_text()
    assert run(data_dir, trained.parent, "first", *SMALL_KVAE) == 2
    assert "choose another --run_name" in capsys.readouterr().err
    assert (trained / "metrics.csv").read_text() == before


def test_the_command_itself(tmp_path):
    def command(*options):
        return subprocess.run(
            [sys.executable, ROOT / "run_kvae.py", *options],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            check=False,
        )

    # Said at once: TensorFlow, which takes seconds to load, and has much to say itself, is not needed.
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow is loaded')")

    help_text = command("--help")
    assert help_text.returncode == 0
    assert "--kf_update_steps" in help_text.stdout
    wrong = command("--datset", "box")
    assert wrong.returncode == 2
    assert "--dataset" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    missing = command("--dataset", "clips/")
    assert missing.returncode == 2
    assert missing.stderr == "Error: No data for --dataset clips/: There is no file or folder clips\n"
    nowhere = command("--reload_model", "nowhere")
    assert nowhere.returncode == 2
    told = "Error: nowhere is not a run folder: it has no config.json; nor is it a trained model: those are "
    assert nowhere.stderr.startswith(told)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, ROOT / "run_kvae.py", "--help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_run_knows_its_data(trained, data_dir, tmp_path, capsys):
    copy = tmp_path / "copy_kvae"
    shutil.copytree(trained, copy)
    (copy / "evaluation.json").unlink(missing_ok=True)
    facts = json.loads((copy / "config.json").read_text())
    assert facts["data"]["train"]["shape"] == [20, 10, 32, 32]
    facts["data"]["train"] |= {"digest": "other", "shape": [32, 30, 32, 32]}
    (copy / "config.json").write_text(json.dumps(facts))
    before = (copy / "metrics.csv").read_text()
    assert run_kvae.main(["--resume", str(copy)]) == 2
    said = capsys.readouterr().err
    assert "training sequences 32 -> 20; steps 30 -> 10" in said
    assert "--num_train 32 --num_test 10 --num_steps 30 --seed 1234" in said
    assert (copy / "metrics.csv").read_text() == before


def test_a_finished_run_is_not_touched_by_resuming_it(trained, capsys):
    before = (trained / "metrics.csv").read_bytes(), (trained / "model.keras").read_bytes()
    assert run_kvae.main(["--resume", str(trained)]) == 0
    said = capsys.readouterr().out
    assert "is finished" in said
    assert f"Evaluate again:  python run_kvae.py --reload_model {trained}" in said
    assert ((trained / "metrics.csv").read_bytes(), (trained / "model.keras").read_bytes()) == before


def test_data_that_are_gone_are_made_anew_and_others_are_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make = "--dataset box --num_test 3 --num_steps 20 --num_train".split()
    assert simulation.generate.main([*make, "6", "--num_balls", "2"]) == 0
    found = identity.identity("data/box.npz", "data/box_test.npz")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    facts = {"options": Config().to_dict(), "data": found}
    (tmp_path / "run" / "config.json").write_text(json.dumps(facts))
    for name in ("checkpoints/last.npz", "model.keras"):
        (tmp_path / "run" / name).write_text("never read here")

    def went_on(config):
        raise ConfigError("went on")

    monkeypatch.setattr(train, "_devices", went_on)
    for option in ("--resume", "--reload_model"):
        shutil.rmtree("data")
        assert run_kvae.main([option, "run"]) == 2
        assert capsys.readouterr().err == "Error: went on\n"
        assert identity.differences(found, identity.identity("data/box.npz", "data/box_test.npz")) == []
    shutil.rmtree("data")
    assert simulation.generate.main([*make, "8"]) == 0
    for option in ("--resume", "--reload_model", "--init_model"):
        assert run_kvae.main([option, "run"]) == 2
        said = capsys.readouterr().err
        assert "training sequences 6 -> 8" in said
        assert "num_balls 2 -> 1" in said
        assert ("went on" in said) == (option != "--resume")


# --- environments ---


@pytest.mark.filterwarnings("ignore:Even though the .* option is set")
def test_an_environment_from_nothing_to_a_run_folder(tmp_path, capsys, without_pictures, eagerly):
    """Recorded with `simulation.generate` or not; what is there is taken as it is."""
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    data, logs = str(tmp_path / "data"), str(tmp_path / "logs")
    sizes = "--num_train 9 --num_test 3 --num_steps 10 --frame_size 16".split()
    name = "gym:CartPole-v1"
    assert simulation.generate.main(["--dataset", name, "--data_dir", data, *sizes]) == 0
    places = ["--dataset", name, "--data_dir", data, "--log_dir", logs]
    shorter = "--num_epochs 1 --kf_elbo sampled --num_paths 0 --t_steps_mask 3 --t_init_mask 2".split()
    assert run_kvae.main([*places, *SMALL_KVAE, *shorter, "--run_name", "cart"]) == 0
    said = capsys.readouterr().out
    assert "8 sequences of 10 frames, 16x16, 2 controls a step; choosing the model by 1 more" in said
    options = json.loads((tmp_path / "logs" / "cart_kvae" / "config.json").read_text())["options"]
    assert (options["dataset"], options["dim_u"], options["out_distr"]) == (name, 2, "gaussian")
    # Asked for otherwise than it is there.
    assert run_kvae.main([*places, "--frame_size", "24"]) == 2
    assert "frame_size is [16, 16], not [24, 24]" in capsys.readouterr().err
    assert run_kvae.main([*places, "--timesteps", "12"]) == 2
    assert "num_steps is 10, not 12" in capsys.readouterr().err


def test_environments_that_are_not_there(tmp_path, capsys):
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    assert run_kvae.main(["--dataset", "gym:CartPoole-v1", "--data_dir", str(tmp_path)]) == 2
    assert "Did you mean gym:CartPole-v1" in capsys.readouterr().err
    assert run_kvae.main(["--dataset", "no_such_module:circle", "--data_dir", str(tmp_path)]) == 2
    assert "The module no_such_module cannot be imported" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_run_folder_names_no_code_that_is_run(tmp_path, monkeypatch, capsys):
    """Whoever made it might have written the name."""
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    (tmp_path / "their_worlds.py").write_text("open('sprung', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("their_worlds:circle", "gym:their_worlds:Circle-v0"):
        config = Config(dataset=name, data_dir="data")
        monkeypatch.setattr(registry, "_trusted", set())
        monkeypatch.setattr(data_files, "read_options", lambda folder, config=config: config.to_dict())
        with pytest.raises(ConfigError, match="names code, the module their_worlds, which is not run unless"):
            data_files.dataset_files(config, "theirs", None, training_data.simulated)
        assert not Path("sprung").exists()
        with pytest.raises(ConfigError):
            data_files.dataset_files(config, "", None, training_data.simulated)
        assert Path("sprung").exists()
        Path("sprung").unlink()
        sys.modules.pop("their_worlds")
