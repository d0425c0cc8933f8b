"""Where a training stands, as a checkpoint says it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvae.runs.checkpoint import CheckpointError


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs completed.
        batch: batches completed in the epoch after them.
        best_bound: the best bound so far on the sequences that are held out; -inf where none are.
        best_epoch: the epoch whose model is kept, 0 if none has been.
        seconds: time spent in training, evaluations on the way included.
        file_sizes: of the files that grow, see `RunFolder.file_sizes`.
        refinement: updates of the dynamics alone, after all epochs; 0 until they are done.
        data: what stands for the identity of the data, see `kvae.data.identity`; empty where it is unknown.
    """

    epoch: int = 0
    batch: int = 0
    best_bound: float = -math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    file_sizes: dict[str, int] = field(default_factory=dict)
    refinement: int = 0
    data: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any], path: Path) -> "Progress":
        """Return the progress in the checkpoint `path`.

        Raises:
            CheckpointError: these are not the values of one.
        """
        try:
            found = cls(**values)
        except TypeError as error:
            raise CheckpointError(f"{path} is of another version: {error}") from error
        counts = [found.epoch, found.batch, found.best_epoch, found.refinement]
        if isinstance(found.file_sizes, dict):
            counts += found.file_sizes.values()
        if (
            not isinstance(found.file_sizes, dict)
            or not isinstance(found.data, str)
            or any(type(count) is not int or count < 0 for count in counts)
            or not all(isinstance(value, int | float) for value in (found.best_bound, found.seconds))
        ):
            raise CheckpointError(f"{path} does not say where a training stands: {values}")
        return found
