"""Runs that may be kept without their weights: what needs weights says how to train the model again."""

import json

from experiments.compare import command_of
from kvae.config import Config
from kvae.errors import UserError


class NoWeightsError(UserError):
    """A run has no weights; the message says how to train its model again."""


def check_weights(run_folder):
    """Raise NoWeightsError where there is a run in a folder, but no model.keras."""
    if (run_folder / "model.keras").exists() or not (run_folder / "config.json").exists():
        return
    options = json.loads((run_folder / "config.json").read_text())["options"]
    command = command_of(options)
    if options["data_dir"] != Config.data_dir:
        command += f" --data_dir {options['data_dir']}"
    raise NoWeightsError(
        f"{run_folder} has no model.keras: the run has saved none yet, or is kept without it. To train "
        f"the model again, into a folder in {Config.log_dir}:  {command}"
    )


def load_model(run_folder):
    """Return the model of a run folder, as `kvae.load` does.

    Raises:
        NoWeightsError: there is a run, but no weights.
        kvae.runs.run_folder.RunFolderError: there is no run, or its model cannot be read.
    """
    from kvae.runs.load import load

    check_weights(run_folder)
    return load(run_folder)
