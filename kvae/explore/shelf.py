"""The models that a page offers, and what they are shown: each is loaded when it is first asked for."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kvae.apply import clips
from kvae.data import Dataset, identity
from kvae.errors import UserError
from kvae.explore import kind, source
from kvae.explore.session import Exploration
from kvae.models.kvae import KVAE
from kvae.runs.load import load
from kvae.runs.options import RunFolderError, read_identity, read_options
from kvae.runs.pretrained import find, pretrained
from kvae.system import called
from kvae.videos import sources
from kvae.videos.errors import TooLongError

MAX_FRAMES = 100
"""Frames of a clip, at most: each is seven pictures on the page."""
_NUM_KEPT = 8
"""Models, and clips, that are ready at a time."""
_NUM_RUNS = 20
"""Runs that are offered, the latest."""


class Shown(NamedTuple):
    """What can be explored.

    Attributes:
        exploration: a model and the sequences for it.
        sequences: where those come from, for people.
    """

    exploration: Exploration
    sequences: str


class Shelf:
    """Models by name: trained ones that come with the program, and runs by their folders.

    Args:
        first: the run folder, or the name of a trained model, that the page begins with.
        data: a dataset file for that one; None: as `kvae.explore.source.sequences` finds it.
        simulate: as for that.
        runs: folder whose runs are offered too, and others by their paths; None: trained models alone, as it
            must be where a page is open to others.
    """

    def __init__(
        self,
        first: str,
        data: Path | None,
        simulate: Callable[[KVAE, Path], Dataset],
        runs: Path | None = None,
    ):
        self.first, self._data, self._simulate = first, data, simulate
        self.any_folder = runs is not None
        self.names = list(dict.fromkeys([first, *pretrained(), *(_runs_in(runs) if runs else ())]))
        self._models: OrderedDict[str, KVAE] = OrderedDict()
        self._shown: OrderedDict[tuple[str, str], Shown] = OrderedDict()

    def has_ready(self, name: str, clip: str = "") -> bool:
        """Return whether there is nothing to wait for."""
        return (name, clip) in self._shown

    def shown(self, name: str, clip: str = "") -> Shown:
        """Return a model with its sequences, or with a clip that somebody brought.

        Args:
            name: of `names`; or, where any folder may be named, that of a run, which then is one of them.
            clip: the file; empty: the model's own sequences.

        Raises:
            UserError: there is no such model, or the clip is none that it can take.
        """
        if (name, clip) not in self._shown:
            model = self._model(name)
            found = self._with_clip(model, name, Path(clip)) if clip else self._with_sequences(model, name)
            _keep(self._shown, (name, clip), found)
        self._shown.move_to_end((name, clip))
        return self._shown[name, clip]

    def _model(self, name: str) -> KVAE:
        if name not in self.names and not self.any_folder:
            raise RunFolderError(f"There is no model {name!r} here: choose one of {', '.join(self.names)}")
        if name not in self._models:
            if find(name).is_dir():
                kind.check(str(read_options(name).get("model", "kvae")), name)
            model = load(name)
            kind.check(model.config.model, name)
            _keep(self._models, name, model)
            if name not in self.names:
                self.names.append(name)
        return self._models[name]

    def _with_sequences(self, model: KVAE, name: str) -> Shown:
        classes = identity.classes_of(read_identity(name))
        file = self._data if name == self.first else None
        dataset, data_name = source.sequences(model, file, self._simulate, classes)
        return Shown(Exploration(model, dataset), data_name)

    def _with_clip(self, model: KVAE, name: str, path: Path) -> Shown:
        found = sources.find(path)
        try:
            clip = clips.read(found[0], model, MAX_FRAMES, 0, path.name)
        except TooLongError as error:
            raise UserError(
                f"{path.name} has more than {MAX_FRAMES} frames, which are all that fit here: cut it, or "
                f"give it to {called.command('apply')}"
            ) from error
        num_frames = len(clip.frames)
        notes = [clip.note]
        controls = None
        if clip.controls is not None:
            controls, note = clips.controls_of(clip.controls, num_frames, 0, model, name, path.name)
            notes.append(note)
        if controls is None:
            controls = np.zeros([num_frames, 0], np.float32)
        dataset = Dataset(clip.frames[None], controls[None], None, clip.there[None])
        return Shown(Exploration(model, dataset), "; ".join([path.name, *filter(None, notes)]))


def _runs_in(folder: Path) -> list[str]:
    """Return the paths of the latest runs in a folder whose models can be explored."""
    found = []
    for file in sorted(folder.glob("*/model.keras"), key=os.path.getmtime, reverse=True):
        try:
            if read_options(file.parent).get("model", "kvae") == "kvae":
                found.append(str(file.parent))
        except UserError:
            # Of another version, or damaged: who wants it can name it, and is told.
            continue
        if len(found) == _NUM_RUNS:
            break
    return found


def _keep(kept: OrderedDict, key: object, value: object) -> None:
    kept[key] = value
    if len(kept) > _NUM_KEPT:
        kept.popitem(last=False)
