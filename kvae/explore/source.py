"""Where the sequences to explore come from: a dataset file, or a short simulation where there is none."""

from collections.abc import Callable
from pathlib import Path

from kvae import data
from kvae.config import Config
from kvae.config.datasets import cut_of, is_own_videos
from kvae.errors import UserError
from kvae.models.kvae import KVAE
from kvae.system.files import file_name
from kvae.videos.dataset import find_test_file


def sequences(
    model: KVAE, file: Path | None, simulate: Callable[[KVAE, Path], data.Dataset]
) -> tuple[data.Dataset, str]:
    """Return the sequences for a model, and a text that says where they come from.

    Args:
        model: a `KVAE`.
        file: the dataset file; None: the test file of the run's dataset.
        simulate: makes the sequences of a world whose test file, which it is given, is missing.

    Raises:
        UserError: the test data of own videos are not there; and what `data.load` and `simulate` raise.
    """
    config = model.config
    if file is None and is_own_videos(config.dataset):
        file = _file_of_own_videos(config)
    usual = Path(config.data_dir) / f"{file_name(config.dataset)}_test.npz"
    if file is not None or usual.exists():
        path = file or usual
        return data.load(path, config.use_controls), str(path)
    return simulate(model, usual), f"simulated just now, as there is no {usual}"


def _file_of_own_videos(config: Config) -> Path:
    file = find_test_file(config.dataset, config.data_dir, cut_of(config))
    if file is None:
        raise UserError(
            f"The test data of the run, sequences of {config.dataset}, are not in {config.data_dir}. "
            "python run_kvae.py --reload_model RUN_FOLDER makes them again where the run was started; or "
            "name a dataset file with --data FILE"
        )
    return file
