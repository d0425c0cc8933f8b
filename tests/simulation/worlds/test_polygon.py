import numpy as np
import pytest

from simulation import make_world


@pytest.mark.parametrize("vertices", ["hexagon", "octagon"])
def test_shapes_of_the_original(vertices):
    world = make_world("polygon", vertices=vertices)
    assert len(world.parameters["walls"]) == {"hexagon": 6, "octagon": 8}[vertices]
    image = world.sample_sequence(np.random.default_rng(0), 1).images[0, 0]
    for x, y in world.parameters["room"]:
        assert image[32 - int(y), int(x)] == 255


def test_any_simple_path():
    """A narrow one, off the middle, where the original's start would be outside."""
    vertices = [(2, 2), (2, 12), (30, 12), (30, 2)]
    world = make_world("polygon", vertices=vertices)
    starts = np.stack([world.sample_initial_state(np.random.default_rng(n)) for n in range(100)])
    assert starts[:, 1].min() >= 5
    assert starts[:, 1].max() <= 9
    assert np.ptp(starts[:, 0]) > 5
    states = world.rollout(starts, 50).states
    assert states[..., 1].min() > 2
    assert states[..., 1].max() < 12
