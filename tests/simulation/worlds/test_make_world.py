import json

import pytest

from simulation import make_world, world_names


@pytest.mark.parametrize("name", world_names())
def test_every_world_describes_itself(name):
    world = make_world(name)
    assert world.name == name
    assert json.loads(json.dumps(world.parameters)) == world.parameters
    assert world.parameters["image_size"] == list(world.image_shape)
    for quantity in (*world.state_quantities, *world.control_quantities):
        assert all(quantity)


def test_worlds_differ_in_their_parameters():
    assert make_world("box").parameters != make_world("box_gravity").parameters


def test_unknown_world_gets_a_suggestion_and_the_list():
    with pytest.raises(ValueError, match="Unknown world 'box_gravty'") as error:
        make_world("box_gravty")
    assert "Did you mean 'box_gravity'?" in str(error.value)
    assert "box, box_gravity" in str(error.value)


def test_unknown_world_unlike_any_gets_the_list_alone():
    with pytest.raises(ValueError, match="The worlds are: box, box_gravity") as error:
        make_world("zzz")
    assert "Did you mean" not in str(error.value)
