import numpy as np
import pytest

from kvae import evaluation
from kvae.config import Config
from kvae.errors import TrainingError
from kvae.evaluation import pictures
from kvae.evaluation.motion import Motion
from kvae.models.kvae import KVAE
from kvae.training import recorder as recorder_module
from kvae.training.progress import Progress
from kvae.training.recorder import Recorder, _duration
from tests.kvae.training.small import TINY, videos


class Folder:
    """Stands in for a run's folder; `saved` are the epochs whose model was kept."""

    def __init__(self):
        self.saved, self.epoch = [], 0

    def save_model(self, model):
        self.saved.append(self.epoch)

    def record(self, epoch, *arguments):
        assert epoch == self.epoch


SEEN = Motion(np.ones([4, 4]), *[np.zeros([4, 4])] * 2, np.ones(2), np.full(2, 0.01))
UNSEEN = SEEN._replace(error=np.ones([4, 4]), coherence=np.ones([4, 4]))
GIVEN_UP = UNSEEN._replace(code_variance=np.zeros(2))


def end_epochs(monkeypatch, bounds, train_bounds, motions=(), lines=None):
    """Let a recorder end epochs with these test and training bounds; return progress and folder."""
    lines, motions = [] if lines is None else lines, iter([*motions, *[SEEN] * 20])
    monkeypatch.setattr(recorder_module, "motion_of", lambda *arguments: next(motions))
    monkeypatch.setattr(evaluation, "test_bound", lambda *arguments: {"total": next(bounds)})
    monkeypatch.setattr(Recorder, "_imputation", lambda self, model: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda self, model: None)
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    bounds, folder, progress = iter(bounds), Folder(), Progress()
    model = KVAE(Config(**TINY, num_epochs=len(train_bounds)))
    model.compile()
    recorder = Recorder(model, folder, videos(2), lines.append)
    for bound in train_bounds:
        model.reset_metrics()
        model.means["total"].update_state(bound)
        folder.epoch = progress.epoch + 1
        try:
            recorder.end_epoch(progress, 0, 1.0)
        except TrainingError as error:
            return progress, folder, error
        progress.epoch += 1
    return progress, folder, None


def test_the_best_epoch_is_that_of_the_best_test_bound(monkeypatch):
    progress, folder, error = end_epochs(monkeypatch, [-5.0, -6.0, -3.0, -3.0, -4.0], [-1.0] * 5)
    assert error is None
    assert folder.saved == [1, 3]
    assert (progress.best_bound, progress.best_epoch) == (-3.0, 3)


@pytest.mark.parametrize(("bounds", "train_bounds"), [([-5, np.nan], [-1, -1]), ([-5, -1], [-1, np.nan])])
def test_what_is_not_finite_is_not_saved(monkeypatch, bounds, train_bounds):
    progress, folder, error = end_epochs(monkeypatch, bounds, train_bounds)
    split = "test" if np.isnan(bounds[1]) else "training"
    assert f"The {split} bound became nan in epoch 2" in str(error)
    assert folder.saved == [1]
    assert progress.epoch == 1


@pytest.mark.parametrize(
    ("motions", "told"),
    [
        ([UNSEEN] * 12, {5: "do not see: in rows 0 to 3, columns 0 to 3 (16 pixels"}),
        ([UNSEEN] * 4 + [SEEN] + [UNSEEN] * 4 + [SEEN] * 3, {}),
        ([UNSEEN] * 2 + [GIVEN_UP] * 10, {7: "All codes are given up"}),
        ([GIVEN_UP] * 5 + [UNSEEN] * 7, {5: "All codes are given up", 10: "do not see"}),
    ],
)
def test_what_is_not_seen_for_some_epochs_is_said_once(monkeypatch, motions, told):
    lines = []
    end_epochs(monkeypatch, np.arange(12.0), [0.0] * 12, motions, lines)
    progress = [line for line in lines if line.startswith("epoch ")]
    assert len(progress) == 12
    shown = "motion  0.000, 100 % unseen" if motions[0] is not SEEN else "motion  1.000"
    assert shown in progress[0]
    warnings = {line: lines.index(line) for line in lines if line.startswith("Warning")}
    assert len(lines) == 12 + len(told) == 12 + len(warnings)
    for (epoch, words), warning in zip(told.items(), warnings, strict=True):
        assert f"after epoch {epoch}: " in warning
        assert words in warning


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 min 00 s"),
        (59.4, "0 min 59 s"),
        (59.6, "1 min 00 s"),
        (3599.9, "1 h 00 min"),
        (7384, "2 h 03 min"),
    ],
)
def test_durations_are_in_words(seconds, text):
    assert _duration(seconds) == text
