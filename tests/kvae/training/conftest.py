import pytest

from kvae.evaluation import pictures
from kvae.training.recorder import Recorder


@pytest.fixture
def without_pictures(monkeypatch):
    """Leave out what takes long, and note when it was asked for."""
    asked = []
    monkeypatch.setattr(
        pictures, "draw", lambda model, test, folder, step, prefix: asked.append((step, prefix))
    )
    monkeypatch.setattr(Recorder, "_imputation", lambda *arguments: {"smoothing": 0.25})
    monkeypatch.setattr(Recorder, "_add_graph", lambda *arguments: None)
    return asked
