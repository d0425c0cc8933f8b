import json
from types import SimpleNamespace

import numpy as np
import pytest

import run_kvae
import simulation.generate
from experiments import made_runs
from experiments import torque_pendulum as experiment
from kvae.evaluation import pictures
from kvae.training.recorder import Recorder

TINY = (
    "num_filters=4 alpha_units=4 batch_size=8 t_init_mask=2 t_steps_mask=3 precision=float32 n_steps_gen=8 "
    "validation_split=0.2"
).split()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The command's arguments for a few sequences, and what it has run."""
    sizes = "--dataset pendulum --num_train 16 --num_test 6 --num_steps 6 --data_dir".split()
    assert simulation.generate.main([*sizes, str(tmp_path / "data")]) == 0
    started = []

    def run(words):
        started.append(words)
        return run_kvae.main(words)

    monkeypatch.setattr(made_runs, "run_kvae", run)
    # Of the run they are not looked at.
    monkeypatch.setattr(pictures, "draw", lambda *arguments, **named: None)
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)
    words = ["--data_dir", str(tmp_path / "data"), "--log_dir", str(tmp_path / "logs"), "--num_epochs", "1"]
    return SimpleNamespace(words=words, started=started, logs=tmp_path / "logs")


def test_one_command_trains_and_prints_the_table(small, capsys):
    words = [*small.words, "--seeds", "1", "--models", "dmm", "--run_options", *TINY]
    assert experiment.main(words) == 0
    page = capsys.readouterr().out
    (row,) = [line for line in page.splitlines() if line.startswith("| DMM")]
    scores = json.loads((small.logs / "dmm_0_dmm" / "torque_pendulum.json").read_text())
    bound = json.loads((small.logs / "dmm_0_dmm" / "evaluation.json").read_text())["test_bound"]["total"]
    assert scores["bound"] == bound
    cells = [f"{bound:.2f}", *(f"{scores[name]:.3f}" for name in experiment.QUANTITIES)]
    assert row == f"| DMM | {' | '.join(cells)} | 784.70 | 0.929, 0.979, 0.035 |"
    options = json.loads((small.logs / "dmm_0_dmm" / "config.json").read_text())["options"]
    assert (options["model"], options["dim_a"], options["out_distr"]) == ("dmm", 3, "gaussian")
    # Given again nothing is made anew, and another run is not taken for it.
    assert experiment.main(words) == 0
    assert len(small.started) == 1
    assert experiment.main([*words, "--num_epochs", "2"]) == 2
    assert "with num_epochs 1 and not 2" in capsys.readouterr().err


def test_every_model_has_options_that_can_be():
    from kvae.config.command_line import parse

    options = experiment.Options()
    configs = {
        model: parse(experiment.run_arguments(options, model, 1), None) for model in experiment.OPTIONS
    }
    assert [config.model for config in configs.values()] == ["kvae", "kvae", "dvbf", "dmm"]
    assert [config.conv for config in configs.values()] == [True, False, True, True]
    assert {config.num_epochs for config in configs.values()} == {120}
    assert {config.seed for config in configs.values()} == {1}


def test_r2_is_that_of_a_regression():
    rng = np.random.default_rng(0)
    inputs, others = rng.normal(size=[8, 5, 3]), rng.normal(size=[6, 5, 3])
    mixing = rng.normal(size=[3, 3])
    to = [np.tanh(x @ mixing) + 2 for x in (inputs, others)]
    found = experiment.linear_r2(inputs, to[0], others, to[1])
    flat, wanted, judged, truth = (x.reshape(-1, 3) for x in (inputs, to[0], others, to[1]))
    # By the normal equations, of deviations from the mean.
    deviations = flat - flat.mean(axis=0)
    slopes = np.linalg.solve(deviations.T @ deviations, deviations.T @ (wanted - wanted.mean(axis=0)))
    said = wanted.mean(axis=0) + (judged - flat.mean(axis=0)) @ slopes
    np.testing.assert_allclose(found, 1 - ((said - truth) ** 2).mean(axis=0) / truth.var(axis=0))
    states = np.array([[[np.pi / 2, 3.0]]])
    np.testing.assert_allclose(experiment.quantities(states), [[[1, 0, 3]]], atol=1e-12)
    np.testing.assert_allclose(experiment.linear_r2(inputs, 2 * inputs - 1, others, 2 * others - 1), 1)


def test_several_seeds_have_a_mean_and_a_deviation():
    assert experiment._cell([1.0, 2.0, 3.0], 2) == "2.00 (1.00)"
    assert experiment._cell([0.25], 3) == "0.250"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--seeds 0", "seeds must be between 1 and 1000. Received: 0"),
        ("--num_epochs -1", "num_epochs must not be negative"),
        ("--models dmm dmm", "each once. Received: dmm dmm"),
    ],
)
def test_mistakes_end_in_a_message(words, said, capsys):
    assert experiment.main(words.split()) == 2
    assert said in capsys.readouterr().err
