import numpy as np
import pytest

import simulation.generate
from experiments import screen_dynamics
from kvae.config import Config
from kvae.errors import UserError
from kvae.models.kvae import KVAE
from kvae.runs.run_folder import RunFolder


def tiny(**options):
    model = KVAE(Config(**{"num_filters": (4, 4, 4), "alpha_units": 5, "num_paths": 4, **options}))
    model.build((None, None, 32, 32))
    return model


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    words = f"--dataset box --num_train 12 --num_test 6 --num_steps 20 --data_dir {data_dir}"
    assert simulation.generate.main(words.split()) == 0
    folder = tmp_path_factory.mktemp("run")
    model = tiny(data_dir=str(data_dir))
    RunFolder(folder).save_model(model)
    RunFolder(folder).write_config(model.config, "float32")
    return folder


def test_new_dynamics_stand_behind_the_same_encoder_and_decoder():
    trained = tiny(K=2)
    model = screen_dynamics.with_new_dynamics(trained, "K=5,learn_noise=True,alpha_units=7")
    assert (model.config.K, model.config.learn_noise, model.config.alpha_units) == (5, True, 7)
    assert model.config.num_filters == (4, 4, 4)
    assert model.lgssm.A.shape == (5, 4, 4)
    images = np.random.default_rng(0).random([2, 3, 32, 32], np.float32)
    np.testing.assert_array_equal(model.call(images), trained.call(images))
    assert screen_dynamics.with_new_dynamics(trained, "").config == trained.config
    hiding = screen_dynamics.with_new_dynamics(trained, "refine_miss_prob=0.4")
    assert hiding.config.refine_miss_prob == 0.4


def test_an_option_of_the_networks_is_refused():
    with pytest.raises(UserError, match="activation is no option of the dynamics"):
        screen_dynamics.with_new_dynamics(tiny(), "K=2,activation=tanh")


@pytest.mark.parametrize(
    "trials",
    [
        ["K=2,learn_offset=True"],
        # All is compiled for every trial.
        pytest.param(["", "K=2,learn_offset=True"], marks=pytest.mark.slow),
    ],
    ids=len,
)
def test_a_row_for_each_trial(trials, run_folder, capsys, without_xla):
    arguments = [str(run_folder), *trials, "--epochs", "1"]
    assert screen_dynamics.main([*arguments, "--num_sequences", "5"]) == 0
    printed = capsys.readouterr().out
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0]] == [
        "trial",
        "state space term",
        *"1 5 9 11 15".split(),
        "seconds",
    ]
    assert [row[0].strip() for row in rows[2:]] == [
        trial.replace(",", ", ") or "as it was" for trial in trials
    ]
    for row in rows[2:]:
        assert all(0 <= float(value) <= 1 for cell in row[2:7] for value in cell.split("/"))


def test_what_cannot_be_screened_is_told(run_folder, tmp_path, capsys):
    assert screen_dynamics.main([str(run_folder), "no_such_option=1"]) == 2
    assert "no_such_option is no option of the dynamics" in capsys.readouterr().err
    assert screen_dynamics.main([str(tmp_path / "none"), ""]) == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
