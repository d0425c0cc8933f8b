import shutil
from pathlib import Path

import pytest

from experiments import analyse, kept_runs, screen_dynamics
from kvae.runs.run_folder import RunFolderError

ROOT = Path(__file__).parents[2]
WITHOUT_WEIGHTS = ROOT / "results" / "runs" / "reproduce_box_1_kvae"
COMMANDS = {
    analyse: [str(WITHOUT_WEIGHTS)],
    screen_dynamics: [str(WITHOUT_WEIGHTS), "K=6"],
}


def test_what_needs_weights_says_how_to_train_them_again():
    with pytest.raises(kept_runs.NoWeightsError) as raised:
        kept_runs.load_model(WITHOUT_WEIGHTS)
    assert f"{WITHOUT_WEIGHTS} has no model.keras" in str(raised.value)
    assert str(raised.value).endswith("  python run_kvae.py --dataset box --seed 1")
    with pytest.raises(kept_runs.NoWeightsError) as raised:
        kept_runs.load_model(ROOT / "results" / "more_data" / "runs" / "reproduce_box_1_kvae")
    assert str(raised.value).endswith(
        "  python run_kvae.py --dataset box --num_epochs 0 --refine_epochs 75 --seed 1 "
        "--init_model results/runs/reproduce_box_1_kvae --data_dir big"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda module: module.__name__)
def test_commands_say_so(command, capsys):
    assert command.main(COMMANDS[command]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {WITHOUT_WEIGHTS} has no model.keras")
    assert error.endswith("python run_kvae.py --dataset box --seed 1\n")


def test_a_run_with_weights_is_loaded_and_what_is_no_run_is_told(tmp_path):
    shutil.copytree(ROOT / "pretrained" / "box", tmp_path / "box")
    assert kept_runs.load_model(tmp_path / "box").config.K == 9
    with pytest.raises(RunFolderError, match="is not a run folder"):
        kept_runs.load_model(tmp_path)
