from pathlib import Path

import numpy as np

from experiments import trivial_fills
from experiments.trivial_fills import (
    cross_fade,
    last_seen,
    linear_errors,
    linear_motion,
    squared_error,
    wrong_pixels,
)
from kvae.data.dataset import load
from simulation.dataset import generate

OBSERVED = np.array([1, 1, 0, 0, 0, 1, 0])


def test_linear_motion():
    states = np.zeros([2, 7, 3])
    states[0, :, 0] = [5, 1, 9, 9, 9, 5, 9]
    states[1, :, 2] = [0, 4, 9, 9, 9, 0, 9]
    found = linear_motion(states, OBSERVED)
    assert found.shape == states.shape
    np.testing.assert_allclose(found[0, :, 0], [5, 1, 2, 3, 4, 5, 5])
    np.testing.assert_allclose(found[1, :, 2], [0, 4, 3, 2, 1, 0, 0])
    assert (found[0, :, 1:] == 0).all()


def test_a_run_without_weights_is_set_beside_linear_motion(tmp_path, capsys):
    generate("box", tmp_path, num_train=1, num_test=30, seed=0, report=lambda file: None)
    results = Path(__file__).parents[2] / "results"
    arguments = [str(results / "runs" / "reproduce_box_0_kvae"), "--data_dir", str(tmp_path)]
    assert trivial_fills.main(arguments) == 0
    found, kept = capsys.readouterr().out, (results / "worlds" / "box.md").read_text()
    lines, of_kept = ([line for line in text.splitlines() if "| **" in line] for text in (found, kept))
    assert len(lines) == 4
    assert lines == of_kept
    assert "| linear motion | 0.00" in found
    assert trivial_fills.main([*arguments, "--output_dir", str(tmp_path)]) == 2
    assert "has no films/final_imputation_strip.png" in capsys.readouterr().err


def test_linear_motion_of_pong_has_paddles(tmp_path):
    """They depend on where the ball was before, so not on the hidden frames alone."""
    generate("pong", tmp_path, num_train=1, num_test=30, seed=0, report=lambda file: None)
    path = tmp_path / "pong_test.npz"
    observed = np.ones(20)
    observed[10] = 0
    assert linear_errors(path, load(path), [observed])[0] < 0.01


def test_last_frame_and_cross_fade():
    frames = np.arange(7.0)[None, :, None, None] * np.ones([2, 7, 3, 4])
    np.testing.assert_array_equal(last_seen(frames, OBSERVED)[0, :, 1, 2], [0, 1, 1, 1, 1, 5, 5])
    np.testing.assert_allclose(cross_fade(frames, OBSERVED)[1, :, 0, 3], [0, 1, 2, 3, 4, 5, 5])


def test_errors():
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    guess = np.array([0.0, 0.6, 0.6, 0.0])
    assert wrong_pixels(guess, truth) == 0.5
    np.testing.assert_allclose(squared_error(guess, truth), (0.36 + 0.16 + 1) / 4)
