from dataclasses import asdict

import pytest

from kvae.runs.checkpoint import CheckpointError
from kvae.training.progress import Progress


def test_progress_comes_back():
    progress = Progress(3, 2, -4.5, 1, 60.0, {"metrics.csv": 7})
    assert Progress.from_dict(asdict(progress), "last.npz") == progress


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 3}, "last.npz is of another version"),
        ({"epoch": -1}, "last.npz does not say where a training stands"),
        ({"batch": 1.5}, "does not say"),
        ({"best_epoch": True}, "does not say"),
        ({"best_bound": "good"}, "does not say"),
        ({"seconds": None}, "does not say"),
        ({"file_sizes": [7]}, "does not say"),
        ({"file_sizes": {"metrics.csv": "7"}}, "does not say"),
    ],
)
def test_what_is_no_progress_is_told(changed, message):
    with pytest.raises(CheckpointError, match=message):
        Progress.from_dict(asdict(Progress()) | changed, "last.npz")


def test_an_older_checkpoint_has_not_refined():
    values = {name: value for name, value in asdict(Progress()).items() if name not in ("refinement", "data")}
    assert Progress.from_dict(values, "last.npz") == Progress()
