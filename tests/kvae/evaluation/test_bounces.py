import numpy as np
import pytest

from kvae.evaluation.bounces import bounces
from simulation import make_world
from simulation.sampling import simulate


@pytest.mark.parametrize("world", ["box", "box_gravity", "pong"])
def test_bounces_are_where_a_wall_was(world):
    states = simulate(make_world(world), "test", 40, 20, seed=0).states
    found = bounces(states, world)
    assert found.shape == (40, 20)
    assert not found[:, 0].any()
    assert 0.02 < found.mean() < 0.5
    # Of a ball that bounces a component of its velocity changes its sign.
    velocity = states[..., 2:4]
    turned = (np.sign(velocity[:, 1:, 0]) != np.sign(velocity[:, :-1, 0])).any(axis=-1)
    assert found[turned].any(axis=1).all()
    at = np.argwhere(np.sign(velocity[:, 1:, 0]) != np.sign(velocity[:, :-1, 0]))
    assert len(at) > 10
    assert all(found[n, t + 1] for n, t in at)


def test_free_flight_has_none_and_unknown_states_are_not_guessed():
    fall = np.zeros([3, 9, 4])
    fall[..., 2], fall[..., 3] = 3.0, 5.0 - np.arange(9)
    assert not bounces(fall, "box_gravity").any()
    assert bounces(None, "box") is None
    assert bounces(fall, "pendulum") is None
    assert bounces(fall[..., :2], "box") is None
