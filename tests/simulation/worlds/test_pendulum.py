import math

import numpy as np
import pytest

from experiments.pendulum_error import errors, solve
from simulation import make_world
from simulation.worlds.pendulum import PendulumParameters


def sequences(count, num_steps=15):
    world = make_world("pendulum")
    return [world.sample_sequence(np.random.default_rng(seed), num_steps) for seed in range(count)]


def test_it_moves_as_the_differential_equation_says():
    """Over 1,000 random starts and torques of 15 steps."""
    found, _ = errors(PendulumParameters.substeps, num_sequences=1000, num_steps=15)
    assert found.shape == (1000, 14, 2)
    assert np.median(found[..., 0]) < 5e-4
    assert np.percentile(found[..., 0], 99) < 5e-3
    assert np.median(found[..., 1]) < 1e-3


def test_the_solution_that_it_is_compared_with():
    """A small swing without friction or torque is a harmonic one, around the lowest point."""
    free = PendulumParameters(friction=0.0)
    start = np.array([[math.pi + 1e-4, 0.0], [math.pi, 1e-4]])
    phi = solve(start, np.zeros([2, 12]), free)[..., 0] - math.pi
    omega, times = math.sqrt(9.81), 0.1 * np.arange(12)
    np.testing.assert_allclose(phi[0], 1e-4 * np.cos(omega * times), atol=1e-9)
    np.testing.assert_allclose(phi[1], 1e-4 * np.sin(omega * times) / omega, atol=1e-9)
    # Where it hangs, a torque u holds it at an angle with m g l sin(phi) = -u; friction takes the rest.
    held = solve(start[:1], np.full([1, 300], 1.0), PendulumParameters())[0, -1]
    np.testing.assert_allclose(9.81 * np.sin(held[0]), -1.0, atol=1e-3)
    np.testing.assert_allclose(held[1], 0.0, atol=1e-3)


def test_what_is_drawn_and_stored():
    found = sequences(200)
    images, states, controls = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    assert images.shape == (200, 15, 16, 16)
    assert images.dtype == np.uint8
    assert states.shape == (200, 15, 2)
    assert controls.shape == (200, 15, 1)
    phi, speed = states[..., 0], states[..., 1]
    assert phi.min() > -math.pi
    assert phi.max() <= math.pi
    # Uniform over the circle, [-4, 4] and [-5, 5].
    assert abs(np.exp(1j * phi[:, 0]).mean()) < 0.15
    assert 3.8 < abs(speed[:, 0]).max() <= 4
    assert (controls[:, 0] == 0).all()
    assert 4.9 < abs(controls).max() <= 5
    assert abs(controls[:, 1:].mean()) < 0.3


def test_the_bob_is_where_the_angle_says():
    world = make_world("pendulum")
    for phi in np.linspace(-3, 3, 13):
        image = world.rollout([[phi, 0.0]], 1).images[0, 0].astype(float)
        rows, columns = np.mgrid[:16, :16]
        x = (image * (columns + 0.5)).sum() / image.sum()
        y = 16 - (image * (rows + 0.5)).sum() / image.sum()
        assert x == pytest.approx(8 + 5 * math.sin(phi), abs=0.05)
        assert y == pytest.approx(8 + 5 * math.cos(phi), abs=0.05)
        # A disc of radius 1.5.
        assert image.sum() / 255 == pytest.approx(math.pi * 1.5**2, rel=0.1)


def test_pixels_have_noise():
    """Of 0.05, where neither black nor white cuts it off."""
    world = make_world("pendulum")
    start = np.tile([[0.3, 0.0]], [400, 1])
    clean = world.rollout(start[:1], 1).images[0, 0] / 255
    noisy = world.rollout(start, 1, rng=np.random.default_rng(0)).images[:, 0] / 255
    grey = (clean > 0.2) & (clean < 0.8)
    assert grey.any()
    np.testing.assert_allclose(noisy.std(axis=0)[grey], 0.05, rtol=0.15)
    np.testing.assert_allclose(noisy.mean(axis=0)[grey], clean[grey], atol=0.01)


def test_at_rest_it_stays_and_from_anywhere_it_falls():
    world = make_world("pendulum")
    states = world.rollout([[0.0, 0.0], [0.1, 0.0], [-0.1, 0.0]], 15).states
    np.testing.assert_array_equal(states[0], 0)
    assert (np.diff(states[1, :, 0]) > 0).all()
    np.testing.assert_allclose(states[1], -states[2], atol=1e-12)


def test_a_control_acts_between_the_frame_before_and_its_own():
    world = make_world("pendulum")
    torque = np.zeros([1, 5, 1])
    torque[0, 2] = 1.0
    states = world.rollout([[math.pi, 0.0]], 5, torque).states[0]
    np.testing.assert_allclose(states[:2, 1], 0, atol=1e-12)
    assert states[2, 1] > 0.05


def test_fewer_steps_are_the_beginning_of_more():
    for few, many in zip(sequences(3, 4), sequences(3, 9), strict=True):
        for a, b in zip(few, many, strict=True):
            np.testing.assert_array_equal(a, b[:, :4])


def test_states_are_drawn_as_their_frames_were_without_noise():
    world = make_world("pendulum")
    images, states, _ = world.rollout([[1.0, 2.0], [0.2, -1.0]], 6)
    np.testing.assert_array_equal(world.render(states), images)


def test_a_larger_picture():
    world = make_world("pendulum", resolution=32)
    assert world.options == {"resolution": 32}
    image = world.rollout([[math.pi / 2, 0.0]], 1).images[0, 0]
    assert image.shape == (32, 32)
    assert image[16, 26] == 255
    assert image.sum() / 255 == pytest.approx(math.pi * 3**2, rel=0.1)


@pytest.mark.parametrize("controls", [np.zeros([1, 4, 1]), np.zeros([1, 5]), np.full([1, 5, 1], np.nan)])
def test_controls_that_do_not_fit(controls):
    with pytest.raises(ValueError, match=r"controls must be finite numbers of shape \[1, 5, 1\]"):
        make_world("pendulum").rollout([[0.0, 0.0]], 5, controls)


def test_a_picture_that_is_too_small():
    with pytest.raises(ValueError, match="resolution must be at least 8"):
        make_world("pendulum", resolution=4)
