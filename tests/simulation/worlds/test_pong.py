import numpy as np
import pytest

from simulation import make_world


def test_a_frame_shows_the_state_after_its_step():
    states = make_world("pong").rollout([[16.0, 16.0, 5.0, 0.0]], 3).states[0]
    np.testing.assert_allclose(states[:, 0], [17.0, 18.0, 19.0], atol=1e-9)


def paddle_rows(image, column):
    return np.flatnonzero(image[:, column])


def test_paddles_follow_the_ball():
    """Up at two pixels a step, while the ball is more than a pixel above; never out of the frame."""
    world = make_world("pong", contacts=False)
    images = world.rollout([[16.0, 16.0, 0.0, 10.0]], 8).images[0]
    middles = [paddle_rows(image[2:30], 0).mean() for image in images]
    # The ball is at 16, 18, 20, .. before the steps, so the paddle starts with the second.
    assert middles[0] == pytest.approx(middles[1] + 2)
    assert middles[1] == pytest.approx(middles[2] + 2)
    assert middles[:6] == sorted(middles[:6], reverse=True)


def test_the_ball_loses_speed_at_every_bounce():
    world = make_world("pong")
    states = np.concatenate([world.sample_sequence(np.random.default_rng(n), 60).states for n in range(20)])
    speed = np.linalg.norm(states[..., 2:], axis=-1)
    assert speed[:, 0] == pytest.approx(10.0)
    bounced = np.flatnonzero(speed[:, -1] < 9.99)
    assert len(bounced) > 15
    assert speed.max() < 10.0 + 1e-6


def test_the_nearest_ball_is_followed():
    world = make_world("pong", num_balls=2, contacts=False)
    start = [[8.0, 8.0, 0.0, 0.0, 22.0, 24.0, 0.0, 0.0]]
    image = world.rollout(start, 5).images[0, -1]
    assert paddle_rows(image[3:30], 0).mean() > paddle_rows(image[3:30], 30).mean()
