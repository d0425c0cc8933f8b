"""Where the sequences to explore come from: a dataset file, or a short simulation where there is none."""

from pathlib import Path

from kvae.config import Config
from kvae.config.datasets import cut_of, is_own_videos
from kvae.data import dataset as data
from kvae.errors import UserError
from kvae.explore.session import frame_sides
from kvae.models.kvae import KVAE
from kvae.videos.dataset import find_test_file

NUM_SIMULATED = 100
"""Sequences that are simulated where there is no file: a second's work."""


def sequences(model: KVAE, file: Path | None) -> tuple[data.Dataset, str]:
    """Return the sequences for a model, and a text that says where they come from.

    Args:
        model: a `KVAE`.
        file: the dataset file; None: the test file of the run's dataset. If that is missing, the first of a
            world's sequences are simulated, in memory.

    Raises:
        UserError: there is no file, and no world to simulate.
    """
    config = model.config
    if file is None and is_own_videos(config.dataset):
        file = _file_of_own_videos(config)
    usual = Path(config.data_dir) / f"{config.dataset}_test.npz"
    if file is not None or usual.exists():
        path = file or usual
        return data.load(path, config.use_controls), str(path)
    return _simulated(model, usual), f"simulated just now, as there is no {usual}"


def _file_of_own_videos(config: Config) -> Path:
    file = find_test_file(config.dataset, config.data_dir, cut_of(config))
    if file is None:
        raise UserError(
            f"The test data of the run, sequences of {config.dataset}, are not in {config.data_dir}. "
            "python run_kvae.py --reload_model RUN_FOLDER makes them again where the run was started; or "
            "name a dataset file with --data FILE"
        )
    return file


def _simulated(model: KVAE, usual: Path) -> data.Dataset:
    """Return the first sequences of the test file that `simulation.generate` would make."""
    # This is part of a command, which alone may know both packages.
    from simulation import make_world, world_names
    from simulation.dataset import SEED
    from simulation.sampling import simulate

    name = model.config.dataset
    if name not in world_names():
        raise UserError(
            f"There is no {usual}, and {name!r} is no world that could be simulated: name a dataset "
            "file with --data FILE"
        )
    world = make_world(name)
    sides = frame_sides(model)
    if world.image_shape != sides:
        try:
            world = make_world(name, resolution=sides[0])
        except ValueError as error:
            raise UserError(f"No data for frames of {sides[0]}x{sides[1]}: {error}") from error
    found = simulate(world, "test", NUM_SIMULATED, world.num_steps, SEED)
    controls = found.controls if model.config.use_controls else found.controls[..., :0]
    return data.Dataset(found.images, controls, None)
