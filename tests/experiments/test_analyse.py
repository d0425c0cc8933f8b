from types import SimpleNamespace

import numpy as np
import pytest

import simulation.generate
from experiments import analyse
from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.models.kvae import KVAE
from kvae.runs.run_folder import RunFolder
from simulation import make_world


class Oracle:
    """A model that knows the world: its codes are positions, its states hold half of the velocity."""

    config = Config(num_paths=2)

    def __init__(self, states, images):
        self.states, self.images = states, images
        rng = np.random.default_rng(0)
        self.noise = rng.normal(size=[*states.shape[:2], 2]) * states[..., 2:].std(axis=(0, 1))

    def _of(self, images):
        # Sequences are told apart by their frames.
        return [int(np.flatnonzero((self.images == video).all(axis=(1, 2, 3)))[0]) for video in images]

    def reconstruct(self, images):
        return SimpleNamespace(codes=_numpy(3 * self.states[self._of(images), :, :2] - 1))

    def smooth(self, images, mask=None):
        of = self._of(images)
        mean = np.concatenate([self.states[of, :, :2], self.states[of, :, 2:] + self.noise[of]], axis=-1)
        # As sure as can be, and right in nine of ten pixels.
        wrong = np.random.default_rng(1).random(images.shape) < 0.1
        return SimpleNamespace(
            states=SimpleNamespace(mean=_numpy(mean)), images=_numpy(np.float32((images > 0) ^ wrong))
        )

    def impute(self, images, mask):
        # Sure of what is black, and of nine in ten of the others, which it says.
        white = images > 0
        mistaken = np.random.default_rng(2).random(images.shape) < white.mean() / 9 / (1 - white.mean())
        return SimpleNamespace(images=_numpy(np.where(white | mistaken, 0.9, 0.0)))


def _numpy(array):
    return SimpleNamespace(numpy=lambda: array)


@pytest.fixture(scope="module")
def box():
    world = make_world("box")
    found = world.rollout(
        np.array([world.sample_initial_state(np.random.default_rng(i)) for i in range(60)]), 20
    )
    return world, Dataset(found.images, found.controls, found.states)


def test_what_codes_and_states_say_of_the_ball(box):
    _, test = box
    found = analyse.disentanglement(Oracle(test.states, test.images), test)
    for source in ("code a", "smoothed state z"):
        assert [found[source, name] for name in "xy"] == pytest.approx([1, 1])
    assert abs(found["code a", "vx"]) < 0.2
    # Noise as large as the signal leaves half of it.
    assert [found["smoothed state z", name] for name in ("vx", "vy")] == pytest.approx([0.5, 0.5], abs=0.06)


def test_calibration_tells_the_sure_from_the_right(box):
    _, test = box
    found = analyse.calibration(Oracle(test.states, test.images), test.images)
    assert found["sampling"].error < 0.03
    assert found["smoothing"].error == pytest.approx(0.1, abs=0.02)


def test_reliability_by_hand():
    found = analyse.reliability(np.array([0.0, 0.1, 0.9, 0.9, 1.0]), np.array([0, 1, 1, 0, 1]), 2)
    np.testing.assert_allclose(found.stated, [0.05, 2.8 / 3])
    np.testing.assert_allclose(found.found, [0.5, 2 / 3])
    np.testing.assert_array_equal(found.count, [2, 3])
    assert found.error == pytest.approx((2 * 0.45 + 3 * (2.8 / 3 - 2 / 3)) / 5)


def test_the_ball_is_found_where_it_is(box):
    world, test = box
    walls = (test.images > 0).mean(axis=(0, 1)) > 0.9
    position, is_ball = analyse.find_ball(test.images > 0, walls)
    assert is_ball.mean() > 0.95
    # Rows count from the top.
    expected = np.stack([32 - test.states[..., 1], test.states[..., 0]], axis=-1)
    assert np.median(np.linalg.norm(position - expected, axis=-1)[is_ball]) < 1
    # Neither two balls nor none are one.
    two = world.render(test.states[:, :1]) | np.roll(world.render(test.states[:, :1]), 12, axis=3)
    assert analyse.find_ball(two > 0, walls)[1].mean() < 0.5
    assert not analyse.find_ball(np.zeros([1, 1, 32, 32], bool), walls)[1].any()


def test_the_command(tmp_path, capsys):
    places = ["--data_dir", str(tmp_path / "data")]
    sizes = ["--num_train", "8", "--num_test", "8", "--num_steps", "10"]
    assert simulation.generate.main(["--dataset", "box", *sizes, *places]) == 0
    model = KVAE(Config(num_filters=(4, 4), alpha_units=4, num_paths=4, data_dir=str(tmp_path / "data")))
    model.build((None, None, 32, 32))
    folder = RunFolder(tmp_path / "tiny_kvae")
    folder.save_model(model)
    folder.write_config(model.config, "float32")
    output = ["--output_dir", str(tmp_path / "out"), "--num_steps", "14", "--num_sequences", "8"]
    assert analyse.main([str(tmp_path / "tiny_kvae"), *output]) == 0
    assert "| code a |" in (tmp_path / "out" / "box.md").read_text()
    assert (tmp_path / "out" / "box.png").stat().st_size > 10000
    capsys.readouterr()
    assert analyse.main([str(tmp_path)]) == 2
    assert "Error: " in capsys.readouterr().err
