import csv
import json
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

import run_kvae
import simulation.generate
from experiments import made_runs, reproduce
from experiments.compare import command_of
from kvae.config.command_line import parse
from kvae.evaluation import pictures
from kvae.runs.options import read_options
from kvae.training.recorder import Recorder

SMALL = (
    "--kf_update_steps 0 --num_filters 4,4 --alpha_units 4 --batch_size 8 --generate_step 9 "
    "--n_steps_gen 10 --t_steps_mask 4 --precision float32"
).split()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that runs the command with tiny models in this process, and what was started."""
    places = ["--log_dir", str(tmp_path / "logs"), "--data_dir", str(tmp_path / "data")]
    sizes = ["--num_train", "16", "--num_test", "10", "--num_steps", "10"]
    assert simulation.generate.main(["--dataset", "box", *sizes, *places[2:]]) == 0
    started = []

    def start(words, check):
        arguments = words[2:]
        started.append(arguments)
        if "--resume" not in arguments:
            small = (
                [*SMALL, *"--num_paths 10 --K 3 --refine_epochs 0 --kf_elbo sampled".split()]
                if "kvae" in arguments
                else SMALL
            )
            arguments = [*arguments, *small]
        return SimpleNamespace(returncode=run_kvae.main(arguments))

    monkeypatch.setattr(made_runs, "subprocess", SimpleNamespace(run=start))
    # They are not looked at.
    monkeypatch.setattr(pictures, "draw", lambda *arguments, **named: None)
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)

    def run(*options):
        output = ["--output_dir", str(tmp_path / "out"), "--run_options", "num_epochs=1"]
        return reproduce.main([*options, *output, *places])

    return run, started


def test_it_trains_what_is_missing_and_sets_all_side_by_side(command, tmp_path, capsys):
    run, started = command
    assert run("--models", "kvae", "ae_rnn") == 0
    assert [arguments[5] for arguments in started] == ["kvae", "ae_rnn"]
    report = capsys.readouterr().out
    with (tmp_path / "out" / "box.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["method"]) for row in rows} == {
        *(("kvae", method) for method in ("smoothing", "filtering", "generation", "sampling", "linear")),
        *(("ae_rnn", method) for method in ("filtering", "generation")),
        ("any", "last"),
    }
    # The table's numbers are those of the file, beside the paper's and the limit.
    of_linear = [r for r in rows if (r["mask"], r["method"]) == ("planning", "linear")]
    cells = " | ".join(f"{float(row['wrong_pixels']):.4f}" for row in of_linear)
    assert f"| **linear motion of KVAE's codes** | {cells} |" in report
    assert "| paper: KVAE, smoothing | 0.0061 | 0.0078 |" in report
    assert "| perfect observer, by Metropolis | 0.0030 | 0.0039 |" in report
    assert (tmp_path / "out" / "box.png").stat().st_size > 10000
    assert (tmp_path / "out" / "box.md").read_text().startswith("# box: hidden frames")

    # The last frame seen, by hand.
    with np.load(tmp_path / "data" / "box_test.npz") as file:
        images = file["images"] > 0
    wrong = (images[:, [3] * 5] != images[:, 4:9]).mean()
    (of_last,) = [r for r in rows if (r["mask"], r["x"], r["method"]) == ("planning", "5", "last")]
    assert float(of_last["wrong_pixels"]) == pytest.approx(wrong, rel=1e-4)

    # What the runs say themselves is there at once.
    assert run("--models", "kvae", "--quick") == 0
    report = capsys.readouterr().out
    assert "whole test set, but for sampling, a part of it; one seed." in report
    with (tmp_path / "logs" / "reproduce_box_0_kvae" / "imputation_planning.csv").open() as file:
        of_run = [row for row in csv.DictReader(file) if row["method"] == "sampling"]
    cells = " | ".join(f"{float(row['wrong_pixels']):.4f}" for row in of_run)
    assert f"| **KVAE, posterior sampling** | {cells} |" in report
    assert "linear motion" not in report

    # Given again nothing is trained; a run that was stopped goes on; a run of other options is not taken.
    started.clear()
    assert run("--models", "kvae", "ae_rnn", "--quick") == 0
    assert started == []
    folder = tmp_path / "logs" / "reproduce_box_0_ae_rnn"
    (folder / "evaluation.json").unlink()
    assert run("--models", "kvae", "ae_rnn", "--quick") == 0
    assert started == [["--resume", str(folder)]]
    facts = json.loads((folder / "config.json").read_text())
    facts["options"]["num_epochs"] = 7
    (folder / "config.json").write_text(json.dumps(facts))
    assert run("--models", "ae_rnn") == 2
    assert "num_epochs 7 and not 1" in capsys.readouterr().err


DRAWN = {
    "reproduce/box": "--dataset box --seeds 3 --log_dir results/runs",
    "reproduce/box_gravity": "--dataset box_gravity --log_dir results/runs --quick",
    "reproduce/polygon": "--dataset polygon --log_dir results/runs --quick",
    "reproduce/pong": "--dataset pong --log_dir results/runs --quick",
    "more_data/box": "--dataset box --seeds 3 --models kvae vae_rnn --init_dir results/runs --data_dir big "
    "--log_dir results/more_data/runs --run_options num_epochs=0 refine_epochs=75",
}


@pytest.fixture
def training_nothing(monkeypatch):
    """Runs are not made; places are those from the repository's root."""
    monkeypatch.setattr(made_runs, "subprocess", None)
    monkeypatch.chdir(reproduce.ROOT)


@pytest.mark.parametrize("table", DRAWN)
def test_tables_are_drawn_again_from_runs_without_weights(table, training_nothing, tmp_path, capsys):
    assert reproduce.main([*DRAWN[table].split(), "--output_dir", str(tmp_path)]) == 0
    kept = reproduce.ROOT / "results" / table
    (drawn,) = tmp_path.glob("*.csv")
    assert drawn.read_bytes() == kept.with_suffix(".csv").read_bytes()
    # But for the command, which said where to draw them.
    lines, of_kept = (
        [line for line in path.with_suffix(".md").read_text().splitlines() if "-m experiments" not in line]
        for path in (drawn, kept)
    )
    assert lines == of_kept
    assert drawn.with_suffix(".png").stat().st_size > 10000


def test_nothing_is_trained_before_weights_are_found_missing(training_nothing, tmp_path, capsys):
    output = ["--output_dir", str(tmp_path)]
    assert reproduce.main(["--dataset", "pong", "--seeds", "2", "--log_dir", "results/runs", *output]) == 2
    error = capsys.readouterr().err
    assert "reproduce_pong_0_kvae has neither curves on the whole test set" in error
    assert "--quick does without" in error

    begin = ["--init_dir", "results/runs", "--log_dir", str(tmp_path), "--run_options", "num_epochs=0"]
    assert reproduce.main(["--models", "vae_rnn", "--seeds", "2", *begin, *output]) == 2
    error = capsys.readouterr().err
    assert "reproduce_box_0_vae_rnn has no model.keras to begin with" in error
    (words,) = re.findall(r"python run_kvae\.py (.*), and then name --init_dir logs$", error, re.M)
    config = parse(shlex.split(words), read_options)
    assert (config.model, config.run_name, config.log_dir) == ("vae_rnn", "reproduce_box_0", "logs")
    assert config.num_epochs > 0
    assert list(tmp_path.iterdir()) == []


def test_runs_can_begin_with_those_of_another_folder():
    first = reproduce.ROOT / "results" / "runs"
    options = reproduce.Options(init_dir=first, run_options=("num_epochs=0", "refine_epochs=75"))
    for model in ("kvae", "vae_rnn"):
        config = parse(reproduce.run_arguments(options, model, 2), read_options)
        assert config.init_model == str(first / f"reproduce_box_2_{model}")
        assert (config.model, config.seed, config.num_epochs, config.refine_epochs) == (model, 2, 0, 75)
        # What the table says that made the run does.
        words = shlex.split(command_of(config.to_dict()))[2:]
        places = ["--run_name", config.run_name, "--data_dir", "data", "--log_dir", "logs"]
        assert parse([*words, *places], read_options) == config


def test_a_run_that_fails_ends_it(command, monkeypatch, capsys):
    run, _ = command
    stopped = SimpleNamespace(run=lambda words, check: SimpleNamespace(returncode=130))
    monkeypatch.setattr(made_runs, "subprocess", stopped)
    assert run("--models", "vae_rnn") == 2
    assert "exit code 130; given again, this command goes on" in capsys.readouterr().err
