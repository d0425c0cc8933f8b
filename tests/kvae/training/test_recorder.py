import csv

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
from tests.kvae.training.small import TINY, start, videos


class Folder:
    """Stands in for a run's folder; `saved` are the epochs whose model was kept."""

    def __init__(self):
        self.saved, self.epoch = [], 0

    def save_model(self, model):
        self.saved.append(self.epoch)

    def record(self, epoch, *arguments):
        assert epoch == self.epoch


SEEN = Motion(np.ones([4, 4]), *[np.zeros([4, 4])] * 2, np.ones(2), np.full(2, 0.01), np.zeros([4, 4]))
UNSEEN = SEEN._replace(error=np.ones([4, 4]), coherence=np.ones([4, 4]))
GIVEN_UP = UNSEEN._replace(code_variance=np.zeros(2))


def end_epochs(monkeypatch, bounds, train_bounds, motions=(), lines=None, held_out=None):
    """Let a recorder end epochs with these test and training bounds, and those of sequences held out.

    Returns:
        The progress, the folder, and the error that ended it, or None.
    """
    validation = None if held_out is None else videos(1)
    lines, motions = [] if lines is None else lines, iter([*motions, *[SEEN] * 20])
    monkeypatch.setattr(recorder_module, "motion_of", lambda *arguments: next(motions))
    bounds, held_out = iter(bounds), iter(held_out or ())
    monkeypatch.setattr(
        evaluation,
        "test_bound",
        lambda model, data: {"total": next(held_out if data is validation else bounds)},
    )
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    folder, progress = Folder(), Progress()
    model = KVAE(Config(**TINY, num_epochs=len(train_bounds)))
    model.compile()
    recorder = Recorder(model, folder, videos(2), validation, lines.append)
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


def test_the_model_that_is_kept_has_the_best_bound_on_what_was_held_out(monkeypatch):
    lines: list[str] = []
    # The test data would have chosen another one, and say nothing in it.
    test, held_out = [-1.0, -2.0, -7.0, -7.0, -7.0], [-5.0, -6.0, -3.0, -3.0, -4.0]
    progress, folder, error = end_epochs(monkeypatch, test, [-1.0] * 5, lines=lines, held_out=held_out)
    assert error is None
    assert folder.saved == [1, 3]
    assert (progress.best_bound, progress.best_epoch) == (-3.0, 3)
    assert "validation    -5.000   test    -1.000" in lines[0]


def test_where_nothing_was_held_out_the_last_model_is_kept(monkeypatch):
    lines: list[str] = []
    progress, folder, error = end_epochs(monkeypatch, [-5.0, -6.0, -3.0], [-1.0] * 3, lines=lines)
    assert error is None
    assert folder.saved == [1, 2, 3]
    assert progress.best_epoch == 3
    assert not any("validation" in line for line in lines)


@pytest.mark.filterwarnings("ignore:Even though the .* option is set")
@pytest.mark.parametrize(("num_held_out", "draws"), [(2, True), (2, False), (0, True)])
def test_without_test_data_what_is_held_out_is_looked_at(num_held_out, draws, eagerly, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "draw", lambda model, data, *arguments: drawn.append(data))
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)
    model, folder = start(tmp_path, num_epochs=2, num_paths=0)
    model.compile()
    held_out = videos(num_held_out) if num_held_out else None
    lines: list[str] = []
    recorder = Recorder(model, folder, None, held_out, lines.append, draws=draws)
    model.means["total"].update_state(-1.0)
    recorder.end_epoch(Progress(), 3, 1.0)
    (row,) = csv.DictReader((tmp_path / "run_kvae" / "metrics.csv").open())
    assert row["test_elbo_total"] == ""
    assert bool(row["validation_elbo_total"]) == bool(num_held_out)
    assert [data is held_out for data in drawn] == [True] * (draws and bool(num_held_out))
    assert ("validation" in lines[0], "motion" in lines[0]) == (bool(num_held_out),) * 2
    assert "test" not in lines[0]
    assert (tmp_path / "run_kvae" / "model.keras").exists()


@pytest.mark.parametrize("split", ["training", "validation", "test"])
def test_what_is_not_finite_is_not_saved(monkeypatch, split):
    train, held_out, test = (
        [-5.0, np.nan if name == split else -4.0] for name in ("training", "validation", "test")
    )
    progress, folder, error = end_epochs(monkeypatch, test, train, held_out=held_out)
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


def test_what_is_left_is_told_without_the_compiling_before_the_first_step():
    model = KVAE(Config(**TINY, num_epochs=11))
    recorder = Recorder(model, Folder(), videos(2))
    recorder.begin_steps(0, 60.0)
    assert recorder._seconds_left(1, 70.0) == 100
    assert recorder._seconds_left(11, 170.0) == 0
    # Resumed after five epochs, with 80 seconds spent before.
    recorder.begin_steps(5, 140.0)
    assert recorder._seconds_left(7, 160.0) == 40


def test_where_evaluations_are_rare_three_of_them_are_enough(monkeypatch):
    lines: list[str] = []
    recorder = Recorder(KVAE(Config(**TINY)), Folder(), videos(2), say=lines.append)
    recorder._motion = UNSEEN
    for epoch in (1, 10):
        recorder._warn(epoch)
    assert not lines
    recorder._warn(20)
    assert lines[0].startswith("Warning: after epoch 20: Something moves that the codes do not see")
    recorder._warn(30)
    assert len(lines) == 1


def test_of_noise_alone_nothing_is_unseen():
    assert recorder_module._motion_in_words({"explained": 0.1}) == "motion  0.100,   0 % unseen   "
    assert recorder_module._motion_in_words({}) == ""
