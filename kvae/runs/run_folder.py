"""The folder that a run leaves: configuration, numbers, pictures, films, TensorBoard events, model.

`kvae.runs.load` reads a model from it again.
"""

import csv
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kvae.config import Config
from kvae.errors import in_words
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.factory import make_model
from kvae.plots import canvas, films
from kvae.runs import provenance
from kvae.runs.columns import COLUMNS, SPLITS, TAGS
from kvae.runs.events import Events, whole_records
from kvae.runs.options import RunFolderError, in_use, taken
from kvae.system.files import make_folder, replacing, sync_file, sync_folder
from kvae.system.lock import FolderLock, HeldError, NoLocksError

_TEMPORARY = re.compile(r"\..+-[0-9a-f]{32}(\.\w+)?")
"""Names of `replacing`."""


Point = tuple[float, str, tuple[float, float]]
"""Of a curve: x, the method, and its two errors, see `kvae.evaluation.CurvePoint`."""


class RunFolder:
    """The folder of a run. As a context manager it is closed at the end.

    Args:
        path: the folder, which must be there.

    Attributes:
        events: its `Events`, for TensorBoard.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoints" / "last.npz"
        self.events = Events(self.path)
        self._lock = FolderLock(self.path)
        self._bare: SequenceAutoencoder | None = None

    @classmethod
    def create(cls, config: Config) -> "RunFolder":
        """Make the new folder `<log_dir>/<run_name>_<model>` of a run, and own it.

        Without a run_name it is the time; of several runs that start in one second the second's ends in -2.

        Raises:
            RunFolderError: the folder is there already, or cannot be made.
        """
        now = time.strftime("%Y%m%d_%H%M%S")
        for number in count(1):
            name = config.run_name or (now if number == 1 else f"{now}-{number}")
            folder = cls(Path(config.log_dir) / f"{name}_{config.model}")
            try:
                make_folder(folder.path, exist_ok=False)
                break
            except OSError as error:
                if not isinstance(error, FileExistsError) or not folder.path.is_dir():
                    raise RunFolderError(
                        f"Cannot make the run folder {folder.path}: {in_words(error)}"
                    ) from error
                if config.run_name:
                    raise taken(folder.path) from None
        folder.own()
        return folder

    def own(self) -> None:
        """See to it that no other process writes to the folder until it is closed, or this process ends.

        Raises:
            RunFolderError: another process does, or the folder cannot be written to.
        """
        try:
            self._lock.acquire()
        except HeldError as error:
            raise in_use(self.path, error) from None
        except NoLocksError as error:
            print(
                f"Warning: the disk of {self.path} knows no locks ({error.strerror}): see to it yourself "
                "that nothing else writes to this run",
                file=sys.stderr,
            )
        except OSError as error:
            raise RunFolderError(f"{self.path} cannot be written to: {in_words(error)}") from error

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def write_config(self, config: Config, precision: str, data: dict[str, Any] | None = None) -> None:
        """Write config.json: options, the data's identity, the precision, versions, commit, machine."""
        facts = {"options": config.to_dict(), "precision": precision, **provenance.facts()}
        facts |= {"data": data} if data else {}
        self.write_json("config.json", facts)

    def replace_options(self, config: Config) -> None:
        """Write other options into config.json; what else it says stays."""
        facts = json.loads((self.path / "config.json").read_text())
        self.write_json("config.json", facts | {"options": config.to_dict()})

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a file of text."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text)

    def record(
        self,
        epoch: int,
        step: int,
        train: Mapping[str, float],
        test: Mapping[str, float],
        validation: Mapping[str, float] | None = None,
    ) -> None:
        """Append a row to metrics.csv, and the same numbers to TensorBoard.

        Args:
            epoch: epochs completed.
            step: updates completed.
            train: metrics of the epoch by name, see `TAGS`.
            test: metrics on test data by name; those that were not computed are left out.
            validation: likewise, on the sequences that are held out, if any are.
        """
        row: dict[str, Any] = {"epoch": epoch, "step": step}
        for split, metrics in zip(SPLITS, (train, validation, test), strict=True):
            if not metrics:
                continue
            by_tag = {TAGS[name]: value for name, value in metrics.items()}
            row |= {f"{split}_{tag.replace('/', '_')}": f"{value:.6g}" for tag, value in by_tag.items()}
            self.events.add_scalars(split, by_tag, step)
        path = self.path / "metrics.csv"
        columns = _columns_of(path)
        with path.open("a", newline="") as file:
            # A run that another version began keeps its columns.
            writer = csv.DictWriter(file, columns or COLUMNS, extrasaction="ignore")
            if not columns:
                writer.writeheader()
            writer.writerow(row)

    def add_film(self, name: str, film: np.ndarray, step: int, prefix: str = "", fps: int = 10) -> None:
        """Write a film to films/ as MP4, and to TensorBoard as GIF."""
        films.write_mp4(self.path / "films" / f"{prefix}{name}.mp4", film, fps=fps)
        self.events.add_picture(f"films/{name}", films.encode_gif(film, fps=fps), film.shape[1:3], step)

    def add_strip(self, name: str, strip: np.ndarray, step: int, prefix: str = "") -> None:
        """Write a strip of frames to films/ as PNG, and to TensorBoard."""
        path = self.path / "films" / f"{prefix}{name}.png"
        films.write_png(path, strip)
        self.events.add_picture(f"films/{name}", path.read_bytes(), strip.shape[:2], step)

    def add_plot(self, name: str, figure: Figure, step: int, prefix: str = "", folder: str = "plots") -> None:
        """Write a plot as PNG, and to TensorBoard."""
        path = self.path / folder / f"{prefix}{name}.png"
        canvas.save_png(path, figure)
        width, height = figure.get_size_inches() * figure.dpi
        self.events.add_picture(f"plots/{name}", path.read_bytes(), (int(height), int(width)), step)

    def write_curve(self, name: str, points: Iterable[Point], model: str) -> None:
        """Write the imputation curve of a model, by name, as CSV.

        Args:
            name: of the file, without .csv.
            points: of `evaluation.CurvePoint`, or the like: x, method, (wrong_pixels, normalised_rmse).
            model: its kind, such as `kvae`.
        """
        with replacing(self.path / f"{name}.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["x", "model", "method", "wrong_pixels", "normalised_rmse"])
            for x, method, error in points:
                wrong, rmse = (f"{value:.6g}" for value in error)
                writer.writerow([x, model, method, wrong, rmse])

    def save_model(self, model: SequenceAutoencoder) -> None:
        """Write model.keras: configuration and weights, without the optimizer's moments."""
        if self._bare is None or self._bare.config != model.config:
            # Made once: Keras does not give back all that a model takes. Anew where its dynamics are others.
            self._bare = make_model(model.config, name=model.name)
            self._bare.build_from_config(model.get_build_config())
        self._bare.set_weights(model.get_weights())
        with replacing(self.path / "model.keras") as temporary:
            self._bare.save(temporary)

    def file_sizes(self) -> dict[str, int]:
        """Return the size of every file that grows, metrics.csv and TensorBoard's, by name.

        What these sizes count is on the disk then: who writes them down may count on it.
        """
        files = self._growing_files()
        for path in files:
            sync_file(path)
        # Files that were deleted left their folders too.
        splits = (self.path / split for split in SPLITS)
        for folder in {self.path, *(path for path in splits if path.is_dir())}:
            sync_folder(folder)
        return {str(path.relative_to(self.path)): path.stat().st_size for path in files}

    def cut_back(self, file_sizes: Mapping[str, int]) -> None:
        """Take away what was recorded since `file_sizes` gave these sizes, so that it can be told again.

        And with it what a kill left unfinished under a temporary name. Where a power cut, or somebody, has
        taken more than that, whole rows are kept, and a warning tells of it.
        """
        for unfinished in self.path.rglob(".*"):
            if _TEMPORARY.fullmatch(unfinished.name) and unfinished.is_file():
                unfinished.unlink()
        files = {str(path.relative_to(self.path)): path for path in self._growing_files()}
        missing = any(size and name not in files for name, size in file_sizes.items())
        short = []
        for name, path in files.items():
            size = file_sizes.get(name, 0)
            if size > path.stat().st_size:
                short.append(name)
                size = whole_rows(path) if path.suffix == ".csv" else whole_records(path)
            if size:
                os.truncate(path, size)
            else:
                path.unlink()
        if missing or short:
            which = f"{', '.join(short)} in {self.path}" if short else f"Files in {self.path}"
            what = "shorter than it was" if short else "missing"
            print(
                f"Warning: {which}: {what}, as after a power cut. What is left of the logs stays, and "
                "the run goes on",
                file=sys.stderr,
            )

    def close(self) -> None:
        """Close TensorBoard's files, and let others write to the folder."""
        self.events.close()
        self._lock.release()

    def _growing_files(self) -> list[Path]:
        files = [self.path / "metrics.csv", *self.events.files()]
        return [path for path in files if path.exists()]


def whole_rows(path: Path) -> int:
    """Return how many bytes of a CSV file are whole rows, from the first on."""
    size = 0
    with path.open("rb") as file:
        for row in file:
            # A power cut may leave zeros where nothing was written.
            if not row.endswith(b"\n") or b"\0" in row:
                break
            size += len(row)
    return size


def check_links(path: str | os.PathLike) -> None:
    """Raise RunFolderError where a run folder, that is to be written to, holds links: they may lead out."""
    for found in Path(path).rglob("*"):
        if found.is_symlink():
            raise RunFolderError(f"{found} is a link: a run writes to its own folder alone. Delete the link")


def _columns_of(path: Path) -> list[str]:
    """Return the names in the first row of a table; none where there is no table yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])
