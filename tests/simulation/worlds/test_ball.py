"""What every ball world can be changed to, and what holds in all of them."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from kvae.data.colour import to_grey
from simulation import make_world
from simulation.worlds.ball import PALETTE

WORLDS = ("box", "box_gravity", "polygon", "pong")
RADIUS, DT = 3.0, 0.2
seeds = st.integers(0, 2**32 - 1)


def sample(world, seed, num_steps=20):
    return world.sample_sequence(np.random.default_rng(seed), num_steps)


@pytest.fixture(scope="module")
def worlds():
    return {name: make_world(name) for name in WORLDS}


# --- property tests ---


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_box_and_polygon_keep_the_speed(worlds, seed):
    # In a corner that is not square the solver's two contacts disagree a little.
    for name, tolerance in (("box", 1e-6), ("polygon", 0.5)):
        speed = np.linalg.norm(sample(worlds[name], seed).states[0, :, 2:], axis=-1)
        np.testing.assert_allclose(speed, speed[0], rtol=0, atol=tolerance)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_the_balls_centre_stays_inside_the_walls(worlds, seed):
    for name in ("box", "polygon", "pong"):
        room = shapely.Polygon(worlds[name].parameters["room"])
        positions = sample(worlds[name], seed, num_steps=50).states[0, :, :2]
        assert shapely.covers(room, shapely.points(positions)).all(), name


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_one_seed_is_one_sequence(worlds, seed):
    for name, world in worlds.items():
        for a, b in zip(sample(world, seed), sample(make_world(name), seed), strict=True):
            np.testing.assert_array_equal(a, b)


@given(seed=seeds, num_balls=st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_several_balls_start_apart_stay_inside_and_keep_their_energy(seed, num_balls):
    world = make_world("box", num_balls=num_balls, contacts=False)
    states = sample(world, seed).states.reshape(20, num_balls, 4)
    start = states[0, :, :2]
    for i in range(num_balls):
        for j in range(i):
            assert math.dist(start[i], start[j]) >= 2 * RADIUS
    assert states[..., :2].min() > 2
    assert states[..., :2].max() < 30
    # Up to what the solver loses where a ball touches two others at once.
    energy = (states[..., 2:] ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(energy, energy[0], rtol=0.02)


# --- options ---


@pytest.mark.parametrize("name", WORLDS)
def test_twice_the_resolution_is_the_same_world_twice_as_large(name, worlds):
    small, large = worlds[name], make_world(name, resolution=64)
    assert large.image_shape == (64, 64)
    start = np.stack([small.sample_initial_state(np.random.default_rng(n)) for n in range(20)])
    few, many = small.rollout(start, 15), large.rollout(2 * start, 15)
    assert many.images.shape == (20, 15, 64, 64)
    # pymunk lets bodies overlap by a tenth of a pixel, whatever their size; that alone does not scale.
    np.testing.assert_allclose(many.states / 2, few.states, atol=1.0)
    assert np.median(abs(many.states / 2 - few.states)) < 0.05
    # The same share of the frame is white, but for walls, which are one pixel wide in both.
    assert many.images.mean() == pytest.approx(few.images.mean(), rel=0.5)


@pytest.mark.parametrize(
    "options",
    [{}, {"resolution": 64, "num_balls": 2}, {"greyscale": True}, {"num_balls": 2, "colours": True}],
)
@pytest.mark.parametrize("name", WORLDS)
def test_states_are_drawn_as_their_frames_were(name, options):
    world = make_world(name, contacts=False, **options)
    for seed in range(10):
        images, states, _ = sample(world, seed)
        differing = (world.render(states) != images).mean()
        # Pong's first paddles follow where the balls were before the first frame, which is not told.
        assert differing < 1e-3 if name == "pong" else differing == 0


def test_the_same_start_at_any_resolution():
    start = make_world("box").sample_initial_state(np.random.default_rng(3))
    large = make_world("box", resolution=64).sample_initial_state(np.random.default_rng(3))
    np.testing.assert_allclose(large, 2 * start)


@pytest.mark.parametrize("name", WORLDS)
def test_greyscale_frames_are_the_binary_ones_with_soft_edges(name, worlds):
    grey = make_world(name, greyscale=True, contacts=False)
    binary = make_world(name, contacts=False)
    start = np.stack([grey.sample_initial_state(np.random.default_rng(n)) for n in range(10)])
    soft, hard = grey.rollout(start, 5).images, binary.rollout(start, 5).images
    assert soft.shape == hard.shape
    levels = np.unique(soft)
    assert len(levels) > 5
    assert {0, 255} <= set(levels)
    # Binary frames are drawn to the pixel at most one away.
    assert (abs(soft / 255 - hard / 255) > 0.5).mean() < 0.08
    # A ball that moves by less than a pixel can be seen to move.
    a, b = (grey.rollout([[15.0 + shift, 16.0, 0, 0]], 1).images for shift in (0.0, 0.5))
    assert (a != b).any()


def test_several_balls_have_states_of_their_own():
    world = make_world("box", num_balls=2)
    assert [q.name for q in world.state_quantities] == "x_1 y_1 vx_1 vy_1 x_2 y_2 vx_2 vy_2".split()
    sequence = world.rollout([[10.0, 16.0, 5.0, 0.0, 22.0, 16.0, -5.0, 0.0]], 10)
    # They meet in the middle, head on, and exchange their velocities.
    np.testing.assert_allclose(sequence.states[0, -1, [2, 6]], [-5.0, 5.0], atol=1e-6)
    for x, y, _, _ in sequence.states[0].reshape(-1, 4)[:2]:
        assert sequence.images[0, 0, 32 - int(y), int(x)] == 255


@pytest.mark.parametrize("greyscale", [False, True])
@pytest.mark.parametrize("name", WORLDS)
def test_balls_in_colour_are_the_grey_ones_each_of_its_own_colour(name, greyscale):
    options = {"num_balls": 2, "contacts": False, "greyscale": greyscale}
    grey, colour = make_world(name, **options), make_world(name, colours=True, **options)
    assert colour.image_shape == (32, 32, 3)
    start = np.stack([grey.sample_initial_state(np.random.default_rng(n)) for n in range(5)])
    of_grey, of_colour = grey.rollout(start, 5), colour.rollout(start, 5)
    np.testing.assert_array_equal(of_grey.states, of_colour.states)
    np.testing.assert_array_equal(of_grey.images > 0, (of_colour.images > 0).any(axis=-1))
    # Where a ball is, its own colour; and nothing but its colour tells it from the other.
    for number, channel in enumerate((0, 1)):
        x, y = np.moveaxis(of_colour.states.reshape(5, 5, 2, 4)[..., number, :2], -1, 0)
        rows, columns = np.meshgrid(np.arange(5), np.arange(5), indexing="ij")
        pixels = of_colour.images[
            rows, columns, np.clip(32 - y.astype(int), 0, 31), np.clip(x.astype(int), 0, 31)
        ]
        assert (pixels.argmax(axis=-1) == channel).mean() > 0.9
    assert {
        tuple(pixel) for pixel in np.unique(to_grey(np.array(PALETTE, np.uint8)[None, :, :3]), axis=0)
    } == {(76,) * len(PALETTE)}


def test_grey_worlds_say_nothing_of_colours():
    assert "colours" not in make_world("box", num_balls=2).parameters
    assert make_world("box", colours=True).parameters["colours"] is True
    with pytest.raises(ValueError, match=r"colours for 5 balls\. Received: num_balls=6"):
        make_world("box", num_balls=6, colours=True, resolution=32)


def test_friction_turns_the_ball_and_damping_slows_it():
    start = [[16.0, 10.0, 8.0, -9.0]]
    plain = make_world("box").rollout(start, 20).states[0]
    rough = make_world("box", friction=0.8).rollout(start, 20).states[0]
    touched = np.argmax(abs(rough - plain).max(axis=1) > 1e-9)
    assert touched > 0
    # Along the wall, friction takes from the speed what it gives to the spin.
    assert abs(rough[touched, 2]) < abs(plain[touched, 2])
    slow = make_world("box", damping=0.5).rollout([[16.0, 16.0, 1.0, 0.0]], 11).states[0]
    np.testing.assert_allclose(slow[:, 2], 0.5 ** (DT * np.arange(11)), rtol=1e-9)


def test_a_thousand_steps():
    states = sample(make_world("box"), 0, num_steps=1000).states[0]
    speed = np.linalg.norm(states[:, 2:], axis=-1)
    np.testing.assert_allclose(speed, speed[0], atol=1e-6)


def test_worlds_say_how_to_make_them_again():
    options = dict(num_balls=2, resolution=48, greyscale=True, friction=0.1, damping=0.9, contacts=False)
    vertices = [[1, 1], [1, 31], [31, 31], [31, 1]]
    for name, more in (("box", {}), ("pong", {}), ("polygon", {}), ("polygon", {"vertices": vertices})):
        world = make_world(name, **options, **more)
        again = make_world(world.name, **world.options)
        assert again.parameters == world.parameters != make_world(name).parameters
        assert again.options == world.options


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("box", {"vertices": "octagon"}, "'box' has no option 'vertices'. Its options: num_balls, resol"),
        ("box", {"num_balls": 0}, "num_balls must be at least 1. Received: 0"),
        ("box", {"num_balls": 20}, "20 balls of radius 3 will not fit"),
        ("box", {"substeps": 0}, "substeps must be at least 1. Received: 0"),
        ("box", {"friction": -1.0}, "friction must be a number, not negative. Received: -1"),
        ("box", {"friction": math.inf}, "friction must be a number, not negative. Received: inf"),
        ("box", {"damping": 0.0}, "damping.* must be above 0 and at most 1. Received: 0"),
        ("box", {"resolution": 4}, "resolution must be at least 8"),
        ("polygon", {"vertices": "round"}, "one of hexagon, octagon. Received: 'round'"),
        ("polygon", {"vertices": [(1, 1), (30, 30)]}, "three corners or more"),
        ("polygon", {"vertices": [(math.nan, 1), (1, 30), (30, 1)]}, "of numbers. Received: .*nan"),
        ("polygon", {"vertices": [(1, 1), (math.inf, 30), (30, 1)]}, "of numbers. Received: .*inf"),
        ("polygon", {"vertices": [(1, 1), (10, 10), (20, 20)]}, "does not cross itself"),
        ("polygon", {"vertices": [(1, 1), (30, 30), (30, 1), (1, 30)]}, "does not cross itself: Self-inter"),
        ("polygon", {"vertices": [(1, 1), (1, 40), (30, 1)]}, "must lie in the frame"),
        ("polygon", {"vertices": [(1, 1), (1, 6), (6, 6), (6, 1)]}, "A ball of radius 3 will not fit"),
    ],
)
def test_impossible_worlds(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_world(name, **options)
