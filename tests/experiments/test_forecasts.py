from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from experiments import forecasts
from tests.kvae.models.small import tiny, videos

pytest.importorskip("ot", reason='needs pip install -e ".[peers]"')
PRETRAINED = Path(__file__).parents[2] / "pretrained"


def frame(*places):
    found = np.zeros([8, 6], bool)
    for place in places:
        found[place] = True
    return found


def test_a_distance_is_how_far_pixels_are_carried():
    square = [(1, 1), (1, 2), (2, 1), (2, 2)]
    moved = [(y + 3, x + 2) for y, x in square]
    assert forecasts.distance(frame(*square), frame(*square)) == 0
    # All of it by as much; the places in both stay where they are, or it comes to the same.
    assert forecasts.distance(frame(*square), frame(*moved)) == pytest.approx(13**0.5)
    assert forecasts.distance(frame((0, 0)), frame((0, 0), (0, 4))) == pytest.approx(2)
    assert forecasts.distance(frame(), frame()) == 0
    assert forecasts.distance(frame(), frame((3, 3))) == pytest.approx(10)


def test_of_as_many_pixels_it_is_the_best_assignment():
    rng = np.random.default_rng(0)
    frames = np.zeros([2, 48], bool)
    for of_frame in frames:
        of_frame[rng.choice(48, 12, replace=False)] = True
    places = [np.argwhere(of_frame.reshape(8, 6)) for of_frame in frames]
    cost = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1)
    expected = cost[linear_sum_assignment(cost)].mean()
    assert forecasts.distance(*frames.reshape(2, 8, 6)) == pytest.approx(expected)


def test_distances_are_averaged_over_draws():
    truth = np.zeros([1, 2, 8, 6], bool)
    truth[0, :, 1, 1] = True
    guesses = np.zeros([1, 3, 2, 8, 6], bool)
    for draw, column in enumerate((1, 2, 5)):
        guesses[0, draw, 0, 1, column] = guesses[0, draw, 1, 1 + column, 1] = True
    np.testing.assert_allclose(forecasts.mean_distance(guesses, truth), [[5 / 3, 8 / 3]])


def test_draws_begin_where_the_seen_frames_end():
    given = videos(batch=2, num_steps=5)
    options = forecasts.Options((), num_given=5, num_steps=4, num_draws=3)
    model = tiny(given)
    found = forecasts.forecasts(model, given, options, seed=0)
    assert {name: frames.shape for name, frames in found.items()} == {
        "draws": (2, 3, 4, 8, 8),
        "mean forecast": (2, 1, 4, 8, 8),
        "last frame seen": (2, 1, 4, 8, 8),
    }
    for step in range(4):
        np.testing.assert_array_equal(found["last frame seen"][:, 0, step], given[:, -1] > 0)
    again = forecasts.forecasts(model, given, options, seed=0)
    np.testing.assert_array_equal(found["draws"], again["draws"])
    # What comes after the seen frames does not reach them.
    np.testing.assert_array_equal(
        found["mean forecast"][:, 0], model.generate(given, 9, 5).images[:, 5:] > 0.5
    )


def test_a_trained_model_is_better_than_who_knows_nothing(tmp_path, capsys):
    options = "--num_test 6 --num_given 8 --num_steps 8 --num_draws 2".split()
    assert forecasts.main([str(PRETRAINED / "box"), *options, "--output_dir", str(tmp_path)]) == 0
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert "steps 1 to 2 | steps 3 to 4 | steps 5 to 6 | steps 7 to 8" in head
    cells = {line.split("|")[2].strip(): [float(x) for x in line.split("|")[3:-1]] for line in lines}
    assert tuple(cells) == forecasts.METHODS
    assert cells["draws"][0] < 0.5 * cells["last frame seen"][0] < cells["frame of another sequence"][0]
    rows = (tmp_path / "forecasts.csv").read_text().splitlines()
    assert len(rows) == 1 + 8
    assert rows[1].startswith(f"{PRETRAINED / 'box'},1,")
    of_draws = [float(row.split(",")[2]) for row in rows[1:]]
    assert np.mean(of_draws) == pytest.approx(cells["draws"][0], abs=0.01)
    assert np.mean(of_draws[:2]) == pytest.approx(cells["draws"][2], abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pretrained/box", "--num_draws", "0"], "num_draws must be at least 1"),
        (["pretrained/box", "--num_test", "1"], "num_test must be at least 2"),
        ([], "Name a run folder"),
        (["nowhere"], "nowhere"),
        ([str(PRETRAINED / "pendulum")], "not on a world in black and white"),
    ],
)
def test_bad_input(arguments, words, capsys):
    assert forecasts.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_without_pot_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert forecasts.main(["pretrained/box"]) == 2
    assert 'pip install -e ".[peers]"' in capsys.readouterr().err
