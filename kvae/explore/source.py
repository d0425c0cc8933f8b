"""Where the sequences to explore come from: a dataset file, or a short simulation where there is none."""

from collections.abc import Callable
from pathlib import Path

from kvae import data
from kvae.config import Config
from kvae.config.datasets import IN_MEMORY, cut_of, is_own_videos
from kvae.data.controls import Classes
from kvae.errors import UserError
from kvae.models.kvae import KVAE
from kvae.system import called
from kvae.system.files import file_name
from kvae.videos.dataset import find_test_file


def sequences(
    model: KVAE,
    file: Path | None,
    simulate: Callable[[KVAE, Path], data.Dataset],
    classes: Classes | None = None,
) -> tuple[data.Dataset, str]:
    """Return the sequences for a model, and a text that says where they come from.

    Args:
        model: a `KVAE`.
        file: the dataset file; None: the test file of the run's dataset.
        simulate: makes the sequences of a world whose test file, which it is given, is missing.
        classes: that the run's controls are of, see `kvae.data.controls`; None: it is not known whether they
            are.

    Raises:
        UserError: the test data of own videos are not there; and what `data.load` and `simulate` raise.
    """
    config = model.config
    if file is None and is_own_videos(config.dataset):
        file = _file_of_own_videos(config)
    usual = Path(config.data_dir) / f"{file_name(config.dataset)}_test.npz"
    if file is not None or usual.exists():
        path = file or usual
        use_controls = config.use_controls and not config.learn_u
        if classes is None and config.dim_u > 1 and use_controls and len(data.read_classes(path)) == 1:
            # One column of classes, of which a file that is explored may not hold all.
            classes = (tuple(range(config.dim_u)),)
        found = data.load(path, use_controls, classes)
        turned = {3: " in grey", 1: " as colour"}[found.channels] if found.channels != config.channels else ""
        return found.in_channels(int(config.channels)), f"{path}{turned}"
    return simulate(model, usual), f"simulated just now, as there is no {usual}"


def _file_of_own_videos(config: Config) -> Path:
    if config.dataset == IN_MEMORY:
        raise UserError("The run learned from arrays in memory: name a dataset file with --data FILE")
    file = find_test_file(config.dataset, config.data_dir, cut_of(config))
    if file is None:
        raise UserError(
            f"The test data of the run, sequences of {config.dataset}, are not in {config.data_dir}. "
            f"{called.command('train')} --reload_model RUN_FOLDER makes them again where the run was "
            "started; or name a dataset file with --data FILE"
        )
    return file
