import math

import numpy as np
import pytest

from simulation import make_world

LOWER_WALL, UPPER_WALL, RADIUS, DT, GRAVITY = 2.0, 30.0, 3.0, 0.2, -5.0
WORLDS = ("box", "box_gravity")


def sample_initial_states(name, num_sequences, seed=0):
    world = make_world(name)
    rng = np.random.default_rng(seed)
    return np.stack([world.sample_initial_state(rng) for _ in range(num_sequences)])


def rollout_samples(name, num_sequences, num_steps=20):
    return make_world(name).rollout(sample_initial_states(name, num_sequences), num_steps)


def touches_wall(states):
    position = states[..., :2]
    near = (position <= LOWER_WALL + RADIUS) | (position >= UPPER_WALL - RADIUS)
    return near.any(axis=-1)


@pytest.mark.parametrize("name", WORLDS)
def test_shapes_types_and_values(name):
    images, states, controls = rollout_samples(name, num_sequences=3, num_steps=7)
    assert images.shape == (3, 7, 32, 32)
    assert images.dtype == np.uint8
    assert set(np.unique(images)) == {0, 255}
    assert states.shape == (3, 7, 4)
    assert states.dtype == np.float64
    assert controls.shape == (3, 7, 0)
    assert controls.dtype == np.float32


@pytest.mark.parametrize("name", WORLDS)
def test_first_state_is_the_initial_state(name):
    initial_states = sample_initial_states(name, 5)
    states = make_world(name).rollout(initial_states).states
    np.testing.assert_array_equal(states[:, 0], initial_states)


@pytest.mark.parametrize("name", WORLDS)
def test_a_sequence_does_not_depend_on_those_before_it(name):
    initial_states = sample_initial_states(name, 10)
    world = make_world(name)
    together = world.rollout(initial_states)
    for n in reversed(range(10)):
        alone = world.rollout(initial_states[n : n + 1])
        np.testing.assert_array_equal(alone.images[0], together.images[n])
        np.testing.assert_array_equal(alone.states[0], together.states[n])


def test_box_keeps_the_speed():
    states = rollout_samples("box", num_sequences=100).states
    speed = np.linalg.norm(states[..., 2:], axis=-1)
    assert touches_wall(states).any(), "no bounce, so nothing was tested"
    np.testing.assert_allclose(speed, speed[:, :1].repeat(20, axis=1), rtol=0, atol=1e-6)


def test_box_reverses_the_velocity_across_a_wall():
    states = make_world("box").rollout([[16.0, 20.0, 12.0, 0.0]], num_steps=10).states[0]
    assert states[0, 2] == 12.0
    assert states[-1, 2] == pytest.approx(-12.0, abs=1e-9)
    np.testing.assert_allclose(states[:, 1], 20.0, atol=1e-9)


def test_box_gravity_falls_freely_between_walls():
    states = rollout_samples("box_gravity", num_sequences=100).states
    # The solver sees a wall that the ball is in after moving; one step later it may still push.
    touches = touches_wall(states)
    free = ~(touches[:, :-1] | touches[:, 1:])
    before, after = states[:, :-1][free], states[:, 1:][free]
    assert len(before) > 500
    np.testing.assert_allclose(after[:, :2], before[:, :2] + DT * before[:, 2:], atol=1e-9)
    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-9)
    np.testing.assert_allclose(after[:, 3], before[:, 3] + DT * GRAVITY, atol=1e-9)


def test_box_gravity_changes_the_energy_only_by_what_its_integrator_adds():
    states = rollout_samples("box_gravity", num_sequences=100).states
    energy = 0.5 * (states[..., 2:] ** 2).sum(axis=-1) - GRAVITY * states[..., 1]
    touches = touches_wall(states)
    free = ~(touches[:, :-1] | touches[:, 1:])
    # Moving with the velocity before the fall adds (g dt)^2 / 2 at every step.
    np.testing.assert_allclose(np.diff(energy)[free], 0.5 * (GRAVITY * DT) ** 2, atol=1e-9)


def test_ball_stays_within_the_box():
    position = rollout_samples("box", num_sequences=500, num_steps=50).states[..., :2]
    assert position.min() > LOWER_WALL
    assert position.max() < UPPER_WALL
    # It gets to the walls, too.
    assert position.min() < LOWER_WALL + RADIUS
    assert position.max() > UPPER_WALL - RADIUS


def test_ball_leaves_box_gravity_only_when_a_step_is_longer_than_its_radius():
    states = rollout_samples("box_gravity", num_sequences=1000).states
    outside = ((states[..., :2] < LOWER_WALL) | (states[..., :2] > UPPER_WALL)).any(axis=-1)
    lost = outside.any(axis=1)
    assert lost.mean() < 0.02
    just_before = states[lost, outside[lost].argmax(axis=1) - 1]
    assert (abs(just_before[:, 2:]).max(axis=1) * DT > RADIUS).all()


@pytest.mark.parametrize("name", WORLDS)
def test_frames_show_the_walls_and_the_ball_at_its_state(name):
    images, states, _ = rollout_samples(name, num_sequences=20)
    walls = np.zeros((32, 32), bool)
    walls[[2, 30], 2:31] = walls[2:31, [2, 30]] = True
    assert (images[..., walls] == 255).all()
    for image, (x, y) in zip(images.reshape(-1, 32, 32), states[..., :2].reshape(-1, 2), strict=True):
        row, column = 32 - int(y), int(x)
        assert image[row, column] == 255
        disc = image[row - 1 : row + 2, column - 1 : column + 2]
        assert (disc == 255).all()
    # About the area of the ball; contact marks and the radius line add a few pixels.
    ball_pixels = ((images > 0) & ~walls).sum(axis=(2, 3))
    assert ball_pixels[~touches_wall(states)].min() >= 0.8 * math.pi * RADIUS**2
    assert ball_pixels.max() <= 2.0 * math.pi * RADIUS**2


def test_more_steps_of_the_physics_lose_no_ball():
    world = make_world("box_gravity", substeps=10, contacts=False)
    states = world.rollout(sample_initial_states("box_gravity", 500)).states
    assert states[..., :2].min() > LOWER_WALL
    assert states[..., :2].max() < UPPER_WALL


def test_contacts_are_all_that_they_add():
    unmarked = make_world("box", contacts=False)
    initial_states = sample_initial_states("box", 30)
    marked = make_world("box").rollout(initial_states)
    bare = unmarked.rollout(initial_states)
    np.testing.assert_array_equal(bare.states, marked.states)
    assert (marked.images >= bare.images).all()
    differs = (marked.images != bare.images).any(axis=(2, 3))
    assert differs.any()
    # A frame shows the contacts of the step before it, so the first one has none.
    assert not differs[:, 0].any()
    assert not differs[:, 1:][~touches_wall(marked.states)[:, 1:]].any()


@pytest.mark.parametrize(
    ("name", "std", "speed_range"), [("box", 10.0, (10.0, 15.0)), ("box_gravity", 8.0, (5.0, 10.0))]
)
def test_initial_states_follow_their_distribution(name, std, speed_range):
    num_sequences = 20_000
    states = sample_initial_states(name, num_sequences)
    position, velocity = states[:, :2], states[:, 2:]

    assert position.min() == 6.0
    assert position.max() == 26.0
    share_clipped = math.erfc(10.0 / std / math.sqrt(2.0))
    clipped = ((position == 6.0) | (position == 26.0)).mean(axis=0)
    np.testing.assert_allclose(clipped, share_clipped, atol=0.015)
    np.testing.assert_allclose(position.mean(axis=0), 16.0, atol=0.25)
    assert abs(np.corrcoef(position.T)[0, 1]) < 0.03
    share_near_mean = math.erf(4.0 / std / math.sqrt(2.0))
    near_mean = (abs(position - 16.0) < 4.0).mean(axis=0)
    np.testing.assert_allclose(near_mean, share_near_mean, atol=0.015)

    speed = np.linalg.norm(velocity, axis=1)
    low, high = speed_range
    assert low <= speed.min() < low + 0.01
    assert high - 0.01 < speed.max() <= high
    quarters = np.histogram(speed, bins=4, range=speed_range)[0] / num_sequences
    np.testing.assert_allclose(quarters, 0.25, atol=0.015)
    angle = np.arctan2(velocity[:, 1], velocity[:, 0])
    octants = np.histogram(angle, bins=8, range=(-math.pi, math.pi))[0] / num_sequences
    np.testing.assert_allclose(octants, 0.125, atol=0.012)


def test_sample_sequence_uses_its_rng_alone():
    world = make_world("box")
    first = world.sample_sequence(np.random.default_rng(7), num_steps=3)
    other = world.sample_sequence(np.random.default_rng(8), num_steps=3)
    again = world.sample_sequence(np.random.default_rng(7), num_steps=3)
    assert first.images.shape == (1, 3, 32, 32)
    np.testing.assert_array_equal(first.states, again.states)
    assert (first.states != other.states).any()


def test_no_sequences():
    assert make_world("box").rollout(np.zeros((0, 4)), 3).images.shape == (0, 3, 32, 32)


@pytest.mark.parametrize(
    ("initial_states", "num_steps", "message"),
    [
        ([16.0, 16.0, 1.0, 0.0], 20, r"shape \[N, 4\] \(x, y, vx, vy\). Received shape: \[4\]"),
        (np.zeros((2, 3)), 20, r"shape \[N, 4\].* Received shape: \[2, 3\]"),
        ("here", 20, r"must be numbers of shape \[N, 4\].* Received: 'here'"),
        ([[16, 16, 1, 0], [16, 16, np.nan, 0]], 20, r"finite.* initial_states\[1\] = .*nan"),
        ([[np.inf, 16, 1, 0]], 20, r"finite.* initial_states\[0\] = \[inf"),
        ([[16, 16, 1, 0]], 0, r"num_steps must be an integer of at least 1. Received: 0"),
        ([[16, 16, 1, 0]], 2.5, r"num_steps must be an integer of at least 1. Received: 2.5"),
    ],
)
def test_bad_rollout_arguments(initial_states, num_steps, message):
    with pytest.raises(ValueError, match=message):
        make_world("box").rollout(initial_states, num_steps)
