"""The folder that a run leaves: configuration, numbers, pictures, films, TensorBoard events, model."""

import csv
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kvae.config import Config, ConfigError
from kvae.data.archives import free_memory
from kvae.errors import UserError
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.factory import make_model
from kvae.plots import figures, films
from kvae.runs.events import Events
from kvae.system import device
from kvae.system.files import replacing

TAGS = {
    "total": "elbo/total",
    "log_px": "elbo/log_px",
    "log_qa": "elbo/log_qa",
    "state_space": "elbo/state_space",
    "exact": "elbo/exact",
    "sampled": "elbo/sampled",
    "learning_rate": "optimizer/learning_rate",
    "gradient_norm": "optimizer/gradient_norm",
    "encoder_variance": "encoder/variance",
    "seconds": "time/seconds",
    "smoothing": "imputation/smoothing",
    "filtering": "imputation/filtering",
    "generation": "imputation/generation",
    "sampling": "imputation/sampling",
}
"""TensorBoard tag of every metric. The column in metrics.csv has `_` for `/`, after train_ or test_."""

_TRAIN = "total log_px log_qa state_space exact gradient_norm encoder_variance learning_rate seconds"
_TEST = (
    "total log_px log_qa state_space exact sampled encoder_variance smoothing filtering generation sampling"
)
COLUMNS = [
    "epoch",
    "step",
    *(f"train_{TAGS[name].replace('/', '_')}" for name in _TRAIN.split()),
    *(f"test_{TAGS[name].replace('/', '_')}" for name in _TEST.split()),
]
_PACKAGES = "tensorflow keras tensorflow-probability numpy".split()


_LARGEST_CONFIG = 10**6
"""Bytes of the config.json in model.keras."""
_LARGEST_SIDE = 4096
"""Pixels along a side of a frame."""
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{32}(\.\w+)?")
"""Names of `replacing`."""


class RunFolderError(UserError):
    """A run folder cannot be made or read; the message says why."""


class RunFolder:
    """The folder of a run.

    Args:
        path: the folder, which must be there.

    Attributes:
        events: its `Events`, for TensorBoard.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoints" / "last.npz"
        self.events = Events(self.path)
        self._bare: SequenceAutoencoder | None = None

    @classmethod
    def create(cls, config):
        """Make the new folder `<log_dir>/<run_name>_<model>` of a run.

        Raises:
            RunFolderError: the folder is there already, or cannot be made.
        """
        name = config.run_name or time.strftime("%Y%m%d_%H%M%S")
        folder = cls(Path(config.log_dir) / f"{name}_{config.model}")
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            raise RunFolderError(
                f"There is a run in {folder.path} already: choose another --run_name, or delete it, or go "
                f"on with --resume {folder.path}"
            ) from None
        except OSError as error:
            raise RunFolderError(f"Cannot make the run folder {folder.path}: {error}") from error
        return folder

    def write_config(self, config, precision):
        """Write config.json: options, versions, the git commit, the machine, the precision in use."""
        facts = {
            "options": config.to_dict(),
            "precision": precision,
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in _PACKAGES},
            },
            "git_commit": _git_commit(),
            "machine": {
                "platform": platform.platform(),
                "processor": _processor(),
                "gpus": device.gpu_names(),
            },
        }
        self.write_json("config.json", facts)

    def write_json(self, name, value):
        """Write a JSON file."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n")

    def record(self, epoch, step, train, test):
        """Append a row to metrics.csv, and the same numbers to TensorBoard.

        Args:
            epoch: epochs completed.
            step: updates completed.
            train: metrics of the epoch by name, see `TAGS`.
            test: metrics on test data by name; those that were not computed are left out.
        """
        row = {"epoch": epoch, "step": step}
        for split, metrics in (("train", train), ("test", test)):
            if not metrics:
                continue
            by_tag = {TAGS[name]: value for name, value in metrics.items()}
            row |= {f"{split}_{tag.replace('/', '_')}": f"{value:.6g}" for tag, value in by_tag.items()}
            self.events.add_scalars(split, by_tag, step)
        path = self.path / "metrics.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def add_film(self, name, film, step, prefix="", fps=10):
        """Write a film to films/ as MP4, and to TensorBoard as GIF."""
        films.write_mp4(self.path / "films" / f"{prefix}{name}.mp4", film, fps=fps)
        self.events.add_picture(f"films/{name}", films.encode_gif(film, fps=fps), film.shape[1:3], step)

    def add_strip(self, name, strip, step, prefix=""):
        """Write a strip of frames to films/ as PNG, and to TensorBoard."""
        path = self.path / "films" / f"{prefix}{name}.png"
        films.write_png(path, strip)
        self.events.add_picture(f"films/{name}", path.read_bytes(), strip.shape[:2], step)

    def add_plot(self, name, figure, step, prefix="", folder="plots"):
        """Write a plot as PNG, and to TensorBoard."""
        path = self.path / folder / f"{prefix}{name}.png"
        figures.save_png(path, figure)
        width, height = figure.get_size_inches() * figure.dpi
        self.events.add_picture(f"plots/{name}", path.read_bytes(), (int(height), int(width)), step)

    def write_curve(self, name, points, model):
        """Write the imputation curve of a model, by name, a list of `evaluation.CurvePoint`, as CSV."""
        with replacing(self.path / f"{name}.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["x", "model", "method", "wrong_pixels", "normalised_rmse"])
            for x, method, error in points:
                wrong, rmse = (f"{value:.6g}" for value in error)
                writer.writerow([x, model, method, wrong, rmse])

    def save_model(self, model):
        """Write model.keras: configuration and weights, without the optimizer's moments."""
        if self._bare is None:
            # Made once: Keras does not give back all that a model takes.
            self._bare = make_model(model.config, name=model.name)
            self._bare.build_from_config(model.get_build_config())
        self._bare.set_weights(model.get_weights())
        with replacing(self.path / "model.keras") as temporary:
            self._bare.save(temporary)

    def file_sizes(self):
        """Return the size of every file that grows, metrics.csv and TensorBoard's, by name."""
        return {str(path.relative_to(self.path)): path.stat().st_size for path in self._growing_files()}

    def cut_back(self, file_sizes):
        """Take away what was recorded since `file_sizes` gave these sizes, so that it can be told again.

        And with it what a kill left unfinished under a temporary name.
        """
        for unfinished in self.path.rglob(".*"):
            if _TEMPORARY.fullmatch(unfinished.name) and unfinished.is_file():
                unfinished.unlink()
        for path in self._growing_files():
            size = file_sizes.get(str(path.relative_to(self.path)), 0)
            if size > path.stat().st_size:
                raise RunFolderError(f"{path} is shorter than it was: delete {self.path} and start again")
            if size:
                os.truncate(path, size)
            else:
                path.unlink()

    def close(self):
        """Close TensorBoard's files."""
        self.events.close()

    def _growing_files(self):
        files = [self.path / "metrics.csv", *self.events.files()]
        return [path for path in files if path.exists()]


def read_options(path: str | os.PathLike) -> dict[str, Any]:
    """Return the options in the config.json of a run folder, as `Config.from_dict` takes them.

    Raises:
        RunFolderError: there is no such run, or its config.json cannot be read.
    """
    file = Path(path) / "config.json"
    try:
        options = json.loads(file.read_text())["options"]
        Config.from_dict(options)
    except FileNotFoundError:
        raise RunFolderError(f"{path} is not a run folder: it has no config.json") from None
    except ConfigError as error:
        raise RunFolderError(f"{file} holds options of another version: {error}") from error
    # ValueError: broken JSON, or text that is no text, or a number of thousands of digits.
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(f"{file} cannot be read: {error!r}") from error
    return options


def check_links(path: str | os.PathLike) -> None:
    """Raise RunFolderError where a run folder, that is to be written to, holds links: they may lead out."""
    for found in Path(path).rglob("*"):
        if found.is_symlink():
            raise RunFolderError(f"{found} is a link: a run writes to its own folder alone. Delete the link")


def load(path: str | os.PathLike, config: Config | None = None) -> SequenceAutoencoder:
    """Return the model of a run folder, compiled.

    Of model.keras only the sides of the frames and the weights are read; what the model is says config.json.
    So nothing is deserialised by Keras, and a file from somebody else runs no code.

    Args:
        path: the run folder.
        config: a `Config` to use in place of the run's; it must describe the same weights.

    Raises:
        RunFolderError: there is no such run, or it has not saved a model.

    Example:
        >>> import numpy as np
        >>> model = load("pretrained/box")
        >>> model.generate(np.zeros([1, 4, 32, 32], np.uint8), num_steps=10).images.shape
        TensorShape([1, 10, 32, 32])
    """
    config = config or Config.from_dict(read_options(path))
    file = Path(path) / "model.keras"
    if not file.exists():
        raise RunFolderError(f"{path} has no model.keras: the run has saved none yet, or is kept without it")
    try:
        model = make_model(config)
        model.build((None, None, *_frame_sides(file)))
        model.load_weights(file)
        if not all(np.isfinite(weight).all() for weight in model.get_weights()):
            raise ValueError("weights that are not finite")
    # What a damaged file raises depends on the byte that is damaged.
    except Exception as error:
        raise RunFolderError(f"{file} cannot be loaded: {error!r}") from error
    model.compile()
    return model


def _frame_sides(file):
    """Return height and width of a saved model's frames."""
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
            raise ValueError("its config.json is too large")
        if archive.getinfo("model.weights.h5").file_size > free_memory():
            raise ValueError("its weights are larger than the memory that is free")
        shape = json.loads(archive.read("config.json"))["build_config"]["input_shape"]
    height, width = shape[-2:]
    if not all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in (height, width)):
        raise ValueError(f"its frames have sides {height!r} and {width!r}")
    return height, width


def _git_commit():
    """Return the commit of the code that runs, with `+` if files differ from it; None outside git."""
    here = Path(__file__).parent

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _processor():
    """Return the processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
