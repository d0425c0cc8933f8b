"""What the page answers, by parts, without a browser; and the models it offers."""

import json
import shutil

import numpy as np
import pytest

from kvae.config import Config
from kvae.data import Dataset
from kvae.errors import UserError
from kvae.explore import shelf as shelves
from kvae.explore.answers import NUM_IMAGINED, Answers
from kvae.explore.session import NUM_SAMPLES, Exploration, Future, Look
from kvae.explore.shelf import Shelf
from kvae.explore.situation import MAX_FUTURE, Situation, middle
from kvae.models.kvae import KVAE
from kvae.runs.pretrained import pretrained

NUM, T = 3, 6


def sequences(model, missing):
    """In place of a simulation: frames with the world's sides."""
    rng = np.random.default_rng(0)
    images = (rng.random([NUM, T, *model.frame_shape]) > 0.7).astype(np.uint8) * 255
    return Dataset(images, np.zeros([NUM, T, 0], np.float32))


class Quick(Exploration):
    """Finds what was there, where a model would infer: that is tested elsewhere, and takes its time."""

    def look(self, sequence, hidden, seed=0):
        frames = self.dataset.images[sequence] / 255.0
        is_hidden = self.missing(sequence)
        is_hidden[list(hidden)] = True
        codes = self.codes[sequence]
        samples = np.stack([frames] * NUM_SAMPLES)
        seen = (frames, is_hidden, self.missing(sequence), frames, frames, samples)
        alpha = np.full([len(frames), 2], 0.5)
        return Look(*seen, codes, codes, np.tile(np.eye(2), [len(frames), 1, 1]), codes, alpha, codes, codes)

    def imagine(self, look, num_future, seed=0):
        frames = np.zeros([NUM_SAMPLES, num_future, *self.model.frame_shape])
        return Future(frames, np.zeros([NUM_SAMPLES, num_future, 2]))


@pytest.fixture(autouse=True, scope="module")
def _nothing_takes_time():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "Exploration", Quick)
        yield


def make_run(folder, **options):
    """Make a run folder of an untrained model of small frames."""
    config = Config(num_filters=(4,), K=2, alpha_units=4, num_paths=4, **options)
    model = KVAE(config)
    model.build((None, None, 8, 8))
    folder.mkdir()
    model.save(folder / "model.keras")
    (folder / "config.json").write_text(json.dumps({"options": config.to_dict()}))
    return str(folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of runs, of which some cannot be explored."""
    folder = tmp_path_factory.mktemp("logs")
    make_run(folder / "mine")
    (folder / "rival").mkdir()
    (folder / "rival" / "config.json").write_text(json.dumps({"options": {"model": "ae_rnn"}}))
    (folder / "rival" / "model.keras").write_bytes(b"")
    (folder / "broken").mkdir()
    (folder / "broken" / "model.keras").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("first") / "run")


@pytest.fixture(scope="module")
def shelf(runs, first):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelves, "MAX_FRAMES", 8)
        yield Shelf(first, None, sequences, runs)


@pytest.fixture(scope="module")
def answers(shelf):
    return Answers(shelf)


@pytest.fixture
def now(first):
    return Situation(first, hidden=(1, 2))


def last(parts):
    found = {}
    for part in parts:
        found |= part
    return found


def test_trained_models_and_runs_are_offered(shelf, first, runs):
    assert shelf.names == [first, *pretrained(), str(runs / "mine")]
    # One of them is not offered twice; a page for others offers no runs.
    assert Shelf("pong", None, sequences).names == [
        "pong",
        *(name for name in pretrained() if name != "pong"),
    ]


def test_frames_come_first_and_plots_after_them(answers, now):
    first, second = answers.shown(now, {"sequence": 7})
    assert set(first) == {"sequence", "situation", "status", "summary", "frames", "about"}
    assert set(second) == {"codes", "alpha"}
    assert first["situation"] == now
    assert first["frames"].count('aria-pressed="true"') == 2
    assert all(text.startswith("<h2>") and "<svg" in text for text in second.values())


def test_an_address_is_opened(answers, first):
    found = last(answers.opened({"sequence": "2", "hide": "2-3", "seed": "5", "imagine": "7", "utm": "x"}))
    assert found["situation"] == Situation(first, 1, (1, 2), 5, 7)
    assert found["sequence"] == {"value": 2, "label": f"Sequence of {NUM}"}
    assert found["steps"] == 7
    assert found["frames"].count("imagined") == 2 * 3 * 7
    assert found["status"] == ""


def test_numbers_of_an_address_that_are_out_of_range_are_the_nearest(answers, first):
    found = last(answers.opened({"sequence": "1e9", "hide": "5-900", "imagine": "-4", "seed": "x"}))
    assert found["situation"] == Situation(first, NUM - 1, (4, 5))
    assert found["steps"] == NUM_IMAGINED


@pytest.mark.parametrize("name", ["no_such", "/etc", "../pretrained/box", ""])
def test_an_address_names_models_that_are_offered_alone(answers, first, name):
    found = last(answers.opened({"model": name, "sequence": "2"}))
    assert "There is no model" in found["status"]
    assert found["situation"] == Situation(first, hidden=middle(T))


@pytest.mark.parametrize(
    ("typed", "sequence", "put_right"),
    [(2, 1, {}), (0, 0, {"sequence": 1}), (10**9, NUM - 1, {"sequence": NUM}), (None, 0, {})],
)
def test_a_typed_sequence_is_clamped(answers, now, typed, sequence, put_right):
    then, fields = answers.choose_sequence(now, typed)
    assert then == now._replace(sequence=sequence)
    assert fields == put_right
    assert last(answers.shown(then, fields))["summary"]


@pytest.mark.parametrize(
    ("typed", "future", "put_right"),
    [(9, 9, {}), (0, 0, {}), (-1, 0, {"steps": 0}), (10**6, MAX_FUTURE, {"steps": MAX_FUTURE})],
)
def test_typed_steps_are_clamped(answers, now, typed, future, put_right):
    then, fields = answers.imagine(now, typed)
    assert (then.future, fields) == (future, put_right)
    assert last(answers.shown(then, fields))["frames"].count('imagined" data-row') == 3 * future
    # Nothing is imagined before that is asked for.
    assert answers.choose_steps(now, typed) == (now, put_right)
    assert answers.choose_steps(now._replace(future=3), typed)[0].future == future
    assert answers.imagine(now, None)[0].future == NUM_IMAGINED


def test_buttons(answers, now):
    assert answers.click(now, 2)[0].hidden == (1,)
    assert answers.click(now, 99)[0].hidden == (1, 2, T - 1)
    assert answers.hide_middle(now)[0].hidden == middle(T)
    assert answers.show_all(now)[0].hidden == ()
    assert answers.draw_anew(now)[0] == now._replace(seed=1)
    assert answers.hide_random(now)[0].seed == 1


def test_a_run_is_chosen_by_its_path(answers, shelf, runs, now):
    found = last(answers.choose_model(now, f" {runs / 'mine'} "))
    assert found["situation"].model == str(runs / "mine")
    assert str(runs / "mine") in found["about"]
    # One that was not offered is, from then on.
    shutil.copytree(runs / "mine", runs / "later")
    assert str(runs / "later") not in shelf.names
    parts = list(answers.choose_model(now, str(runs / "later")))
    assert "Loading" in parts[0]["status"]
    assert str(runs / "later") in last(parts)["model"]["choices"]
    assert last(answers.opened({"model": str(runs / "later")}))["situation"].model == str(runs / "later")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere is not a run folder"),
        ("rival", "is a run of ae_rnn"),
        ("broken", "is not a run folder"),
    ],
)
def test_what_is_no_model_is_told_and_all_stays(answers, runs, now, name, message):
    found = last(answers.choose_model(now, str(runs / name) if name != "nowhere" else name))
    assert message in found["status"]
    assert found["model"] == now.model
    assert "situation" not in found


def test_a_page_for_others_takes_no_paths(runs, first, now):
    shelf = Shelf(first, None, sequences)
    assert not shelf.any_folder
    found = last(Answers(shelf).choose_model(now, str(runs / "mine")))
    assert "There is no model" in found["status"]


def test_a_clip_is_brought(answers, now, tmp_path):
    frames = np.zeros([7, 40, 60, 3], np.uint8)
    frames[:, 10:20, 20:40] = [255, 0, 0]
    mask = np.ones(7)
    mask[3] = 0
    np.savez(tmp_path / "clip<1>.npz", images=frames, mask=mask)
    found = last(answers.bring_clip(now, str(tmp_path / "clip<1>.npz")))
    then = found["situation"]
    assert then.clip == str(tmp_path / "clip<1>.npz")
    assert found["sequence"]["label"] == "Sequence of 1"
    assert "the video itself lacks 4" in found["summary"]
    assert (
        "clip&lt;1&gt;.npz; clip&lt;1&gt;.npz is in colour: its frames are turned to grey" in found["about"]
    )
    # It is not in the address, which would lead nowhere.
    assert f'data-query="{now._replace(clip="x").query()}"' in found["frames"]
    assert answers.click(then, 99)[0].hidden[-1] == 6
    # Another model is shown with its own sequences.
    assert last(answers.choose_model(then, now.model))["situation"].clip == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("long.npy", np.zeros([9, 8, 8], np.uint8), "long.npy has more than 8 frames"),
        ("many.npy", np.zeros([2, 5, 8, 8], np.uint8), "holds several videos"),
        ("text.mp4", b"no video", "text.mp4"),
        ("text.txt", b"no video", "none of the files that are understood"),
    ],
)
def test_a_clip_that_cannot_be_used_is_told(answers, now, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    found = last(answers.bring_clip(now, str(path)))
    assert message in found["status"]
    assert 'role="alert"' in found["status"]
    # Where it lies on the machine is nobody's business.
    assert str(tmp_path) not in found["status"]
    assert "situation" not in found


@pytest.mark.parametrize("use", [True, False])
def test_controls_of_a_clip_are_used_or_named(tmp_path, use):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, [5, 8, 8], np.uint8)
    controls = rng.normal(size=[5, 2]).astype(np.float32)
    np.savez(tmp_path / "clip.npz", images=frames, controls=controls)
    shelf = Shelf(make_run(tmp_path / "run", dim_u=2, use_controls=use), None, sequences)
    found = shelf.shown(shelf.first, str(tmp_path / "clip.npz"))
    if use:
        np.testing.assert_array_equal(found.exploration.dataset.controls[0], controls)
        assert found.sequences == "clip.npz"
    else:
        assert found.exploration.dataset.dim_u == 0
        assert "controls of clip.npz left out" in found.sequences


def test_few_are_kept_at_a_time(monkeypatch, first, runs):
    monkeypatch.setattr(shelves, "_NUM_KEPT", 1)
    shelf = Shelf(first, None, sequences, runs)
    shelf.shown(first)
    assert shelf.has_ready(first)
    shelf.shown(str(runs / "mine"))
    assert not shelf.has_ready(first)
    with pytest.raises(UserError, match="gone is not a run folder"):
        shelf.shown("gone")
