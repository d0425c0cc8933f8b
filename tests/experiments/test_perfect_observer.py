import csv
from types import SimpleNamespace

import numpy as np
import pytest

import simulation.generate
from experiments import perfect_observer
from simulation import make_world
from simulation.sampling import sequence_rng


@pytest.mark.parametrize("name", ["box", "box_gravity"])
def test_along_each_axis_the_ball_moves_as_in_the_simulator(name):
    world = make_world(name)
    starts = np.stack([world.sample_initial_state(sequence_rng(0, "test", n)) for n in range(100)])
    states = world.rollout(starts, 20).states
    # A ball that falls through the floor is not followed.
    inside = (abs(states[..., :2] - 16) < 14).all(axis=(1, 2))
    assert inside.mean() > 0.95
    for axis in (0, 1):
        paths = perfect_observer.axis_paths(world, axis, starts[:, axis], starts[:, 2 + axis], 20)
        np.testing.assert_allclose(paths[inside], states[inside, :, axis], atol=1e-5)


@pytest.mark.parametrize(
    "hidden",
    [slice(4, 12), pytest.param(slice(4, 20), marks=pytest.mark.slow)],
    ids=["a gap", "all that comes"],
)
def test_motions_are_those_of_the_simulator_given_what_is_seen(hidden):
    """Beside starts near the true one that the simulator itself rolls out, by their density."""
    world, rng = make_world("box"), np.random.default_rng(0)
    truth = world.sample_sequence(sequence_rng(0, "test", 3), 20)
    start, images = truth.states[0, 0], truth.images[0]
    pixels, seen = truth.states[0, :, :2].astype(int), np.ones(20, bool)
    seen[hidden] = False

    axes = [perfect_observer._starts(rng, world, axis, pixels[:, axis], 100_000) for axis in (0, 1)]
    motions = perfect_observer._draw_motions(rng, world, axes, pixels, seen, 1000)
    frames = world.rollout(motions, 20).images
    assert (frames[:, seen] == images[seen]).all(axis=(1, 2, 3)).mean() > 0.95
    found = (frames > 0).mean(axis=0)

    # Nothing is in the ball's way in the first four frames, and all that they allow lies within this reach.
    tried = start + rng.uniform(-1, 1, [3_000_000, 4]) * [1, 1, 3.4, 3.4]
    times = 0.2 * np.arange(4)
    flown = tried[:, None, :2] + times[:, None] * tried[:, None, 2:]
    assert flown.min() > 5
    assert flown.max() < 27
    speed = np.hypot(tried[:, 2], tried[:, 3])
    tried = tried[(flown.astype(int) == pixels[:4]).all(axis=(1, 2)) & (speed > 10) & (speed < 15)]
    rolled = world.rollout(tried, 20)
    fits = (rolled.images[:, seen] == images[seen]).all(axis=(1, 2, 3))
    assert fits.sum() > 30
    position, velocity = tried[fits, :2], tried[fits, 2:]
    density = np.exp(-((position - 16) ** 2).sum(1) / 200) / np.hypot(*velocity.T)
    expected = np.average(rolled.images[fits] > 0, axis=0, weights=density)
    assert abs(found - expected)[hidden].mean() < 0.004
    # The frames differ from motion to motion, so that there was something to get wrong.
    assert (abs(expected - 0.5) < 0.4)[hidden].mean() > 0.005


def test_the_command_writes_a_table_and_knows_less_with_more_hidden(tmp_path, capsys):
    places = ["--data_dir", str(tmp_path), "--output_dir", str(tmp_path / "out")]
    sizes = ["--num_train", "1", "--num_test", "6"]
    assert simulation.generate.main(["--dataset", "box", *sizes, *places[:2]]) == 0
    capsys.readouterr()
    few = ["--num_motions", "40", "--num_starts", "50000"]
    assert perfect_observer.main(["--num_sequences", "5", *few, *places]) == 0
    report = capsys.readouterr().out
    assert (tmp_path / "out" / "perfect_observer_box.md").read_text() == report
    with perfect_observer.csv_path(tmp_path / "out", "box").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["x"] for row in rows] == [
        *"1 3 5 7 9 11 13 15".split(),
        *"0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1".split(),
    ]
    wrong = [float(row["wrong_pixels"]) for row in rows]
    assert 0 <= wrong[0] < wrong[7] < 0.01 < wrong[17]
    assert all(row["sequences"] == "5" for row in rows[:8])
    assert " | ".join(f"{rate:.4f}" for rate in wrong[:8]) in report


def test_a_world_that_is_another_one_is_refused(tmp_path, capsys):
    sizes = ["--num_train", "1", "--num_test", "1", "--friction", "0.5", "--data_dir", str(tmp_path)]
    assert simulation.generate.main(["--dataset", "box", *sizes]) == 0
    assert perfect_observer.main(["--data_dir", str(tmp_path)]) == 2
    assert "is not of box as it is by default" in capsys.readouterr().err
    assert perfect_observer.main(["--data_dir", str(tmp_path / "none")]) == 2


def test_a_sequence_that_no_motion_fits_is_left_out():
    world = SimpleNamespace(parameters={"speed_range": (10.0, 15.0)})
    axis = perfect_observer._Axis(np.ones(2), np.ones(2), np.ones([2, 3], int))
    judged = perfect_observer._judge(
        np.random.default_rng(0),
        world,
        [axis, axis],
        np.ones([3, 2], int),
        np.zeros([3, 4, 4], np.uint8),
        np.array([True, True, False]),
        5,
    )
    assert judged == (0, 0, 0.0)
    assert perfect_observer._point(1, [judged, (3, 10, 1.0)])[1:] == (0.3, 0.0, 1)
