import numpy as np
import pytest

from kvae.videos.sources import VideoError
from kvae.videos.timing import Grid, on_grid, spaced, step_of


def grid(times, step, seen=None):
    found = on_grid("a", np.array(times, float), step, None if seen is None else np.array(seen))
    return found.frames.tolist(), found.following.tolist(), found.dropped


def test_steps_without_a_frame_are_missing():
    assert grid([5, 6, 9, 10], 1) == ([0, 1, -1, -1, 2, 3], [0, 1, 2, 2, 2, 3], 0)
    assert grid([5, 6, 7], 1) == ([0, 1, 2], [0, 1, 2], 0)
    assert grid([3], 1) == ([0], [0], 0)


def test_of_two_frames_in_one_step_the_nearer_stays():
    assert grid([0, 0.9, 1.3, 2], 1) == ([0, 1, 3], [0, 1, 3], 1)
    assert grid([0, 0.6, 1.1, 2], 1) == ([0, 2, 3], [0, 2, 3], 1)
    # One that is there wins over one that is not, however near.
    assert grid([0, 0.6, 1.1, 2], 1, [1, 1, 0, 1]) == ([0, 1, 3], [0, 1, 3], 1)


def test_every_third_frame():
    frames, _, dropped = grid(np.arange(30) / 30, 0.1)
    assert (frames, dropped) == ([*range(0, 30, 3), 29], 19)


def test_twice_as_many_steps_as_frames():
    frames, following, _ = grid(np.arange(4) / 10, 0.05)
    assert frames == [0, -1, 1, -1, 2, -1, 3]
    assert following == [0, 1, 1, 2, 2, 3, 3]


def test_the_step_is_the_median_and_does_not_drift():
    times = np.round(np.arange(3000) / 29.97, 3)
    assert step_of([times]) == pytest.approx(1 / 29.97, rel=1e-5)
    kept = np.delete(times, [5, 6, 7, 100, 2000])
    assert step_of([kept]) == pytest.approx(1 / 29.97, rel=1e-5)
    found = on_grid("a", kept, step_of([kept]))
    assert (len(found.frames), found.num_missing, found.dropped) == (3000, 5, 0)
    # Over all clips of a file.
    assert step_of([np.array([0, 1, 2, 3.0]), np.array([0, 4.0])]) == 1
    assert step_of([np.array([3.0])]) == 0


def test_jitter_is_no_gap():
    rng = np.random.default_rng(0)
    times = np.arange(200) + rng.uniform(-0.2, 0.2, 200)
    found = on_grid("a", times, step_of([times]))
    assert (found.num_missing, found.dropped) == (0, 0)


def test_a_film_loses_no_frame():
    found, step = spaced("a", [0, 0.1, 0.2, 0.21, 0.4])
    assert found.frames.tolist() == [0, 1, 2, 3, 4]
    assert step == pytest.approx(0.1)
    found, _ = spaced("a", [0, 0.1, 0.4, 0.5])
    assert found.frames.tolist() == [0, 1, -1, -1, 2, 3]


def test_gaps_that_are_nearly_all_are_damage():
    with pytest.raises(VideoError, match="gaps between them"):
        on_grid("a", np.array([0, 1, 2, 1e9]), 1.0)


def test_places_and_what_follows():
    assert Grid.of([7, 8, 10]).frames.tolist() == [0, 1, -1, 2]
    assert Grid.of([7, 8, 10]).following.tolist() == [0, 1, 2, 2]
