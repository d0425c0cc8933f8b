import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulation import make_world
from simulation.worlds.swinging_line import wrapped


def sequences(count, num_steps=20):
    world = make_world("swinging_line")
    return [world.sample_sequence(np.random.default_rng(seed), num_steps) for seed in range(count)]


def test_it_moves_as_the_differential_equation_says():
    """Without noise; a semi-implicit Euler step of 1e-4 s is off by as much of a radian or so a second."""
    world = make_world("swinging_line")
    starts = np.random.default_rng(0).uniform(-3, 3, [5, 2])
    found = world.rollout(starts, 20).states

    def slopes(_, state):
        return [state[1], -3 * 9.81 * math.sin(state[0]) - 0.1 * state[1]]

    for start, states in zip(starts, found, strict=True):
        times = 0.05 * np.arange(20)
        solved = solve_ivp(slopes, (0, 1), start, t_eval=times, rtol=1e-10, atol=1e-10).y.T
        np.testing.assert_allclose(wrapped(states[:, 0] - solved[:, 0]), 0, atol=3e-3)
        np.testing.assert_allclose(states[:, 1], solved[:, 1], atol=1e-2)


def test_lines_together_move_as_each_alone():
    world = make_world("swinging_line")
    theta, velocity = np.random.default_rng(0).uniform(-3, 3, [2, 4])
    together = world.swing(theta, velocity)
    alone = [world.swing(float(a), float(b)) for a, b in zip(theta, velocity, strict=True)]
    np.testing.assert_allclose(np.stack(together, axis=1), alone, atol=1e-11)


def test_what_is_drawn_and_stored():
    found = sequences(100, 3)
    images, states, controls = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    assert images.shape == (100, 3, 24, 24)
    assert images.dtype == np.uint8
    assert states.shape == (100, 3, 2)
    assert controls.shape == (100, 3, 0)
    angle, velocity = states[..., 0], states[..., 1]
    assert -math.pi <= angle.min() < -3
    assert 3 < angle.max() < math.pi
    assert (velocity[:, 0] == 0).all()
    assert abs(np.exp(1j * angle[:, 0]).mean()) < 0.25
    # The noise of the first push, about what the physics alone does.
    world = make_world("swinging_line")
    expected = world.rollout(states[:, 0], 2).states[:, 1]
    np.testing.assert_allclose(states[:, 1, 0], expected[:, 0], atol=1e-12)
    assert (velocity[:, 1] - expected[:, 1]).std() == pytest.approx(0.1, rel=0.25)


def test_the_line_is_where_the_angle_says():
    world = make_world("swinging_line")
    rows, columns = np.mgrid[:24, :24] + 0.5
    for angle in np.linspace(-3, 3, 13):
        image = world.render([[[angle, 0.0]]])[0, 0] / 255
        x, y = ((image * of).sum() / image.sum() - 12 for of in (columns, rows))
        # Its middle is half a line away from the middle of the frame, and the y axis points down.
        half = 55 * 24 / 128 / 2
        assert (x, y) == (
            pytest.approx(half * math.sin(angle), abs=0.2),
            pytest.approx(half * math.cos(angle), abs=0.2),
        )
        assert image.sum() == pytest.approx(8 * 55 * (24 / 128) ** 2, rel=0.15)


def test_fewer_steps_are_the_beginning_of_more():
    for few, many in zip(sequences(3, 4), sequences(3, 9), strict=True):
        for a, b in zip(few, many, strict=True):
            np.testing.assert_array_equal(a, b[:, :4])


def test_states_are_drawn_as_their_frames_were_without_noise():
    world = make_world("swinging_line")
    images, states, _ = world.rollout([[1.0, 2.0], [0.2, -1.0]], 6)
    np.testing.assert_array_equal(world.render(states), images)


def test_a_larger_picture():
    world = make_world("swinging_line", resolution=48)
    assert world.options == {"resolution": 48}
    image = world.rollout([[math.pi / 2, 0.0]], 1).images[0, 0] / 255
    assert image.shape == (48, 48)
    assert image[24, 40] > 0.9
    assert image[:, :22].max() < 0.1


@pytest.mark.parametrize("resolution", [7, 129])
def test_a_picture_too_small_or_too_large_is_refused(resolution):
    with pytest.raises(ValueError, match=f"between 8 and 128. Received: {resolution}"):
        make_world("swinging_line", resolution=resolution)


def test_initial_states_that_are_none_are_refused():
    world = make_world("swinging_line")
    with pytest.raises(ValueError, match=r"numbers of shape \[N, 2\] \(angle, velocity\)"):
        world.rollout([[0.0]], 3)
    with pytest.raises(ValueError, match="num_steps must be an integer of at least 1"):
        world.rollout([[0.0, 0.0]], 0)
