import math
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import actions
from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.runs.run_folder import RunFolder
from simulation import make_world
from simulation.dataset import generate

ANGLES = np.linspace(-math.pi, math.pi, 60, endpoint=False)


def frames_of(angles):
    """Draw a dot at each angle, [..., 16, 16]."""
    x, y = np.arange(16) - 7.5, 7.5 - np.arange(16)[:, None]
    angles = np.asarray(angles)[..., None, None]
    return np.exp(-((x - 5 * np.cos(angles)) ** 2) - (y - 5 * np.sin(angles)) ** 2)


class Oracle:
    """A model whose frames turn by what it is told, from the last given one on."""

    def generate(self, images, num_steps, num_given, controls):
        start = actions.angles_of_frames(images[:, :num_given] / 255, frames_of(ANGLES), ANGLES)
        told = controls[:, num_given:, 0].cumsum(axis=1)
        turned = np.concatenate([start, start[:, -1:] + told], axis=1)
        return SimpleNamespace(images=SimpleNamespace(numpy=lambda: frames_of(turned)))


def test_the_angle_of_a_frame_is_that_of_the_known_one_most_like_it():
    found = actions.angles_of_frames(frames_of([[0.5, -2.0], [3.0, -3.0]]), frames_of(ANGLES), ANGLES)
    np.testing.assert_allclose(found, [[0.5, -2.0], [3.0, -3.0]], atol=math.pi / 60 + 0.06)


def test_errors_are_taken_on_the_circle():
    off = actions.differences(np.array([[3.1, 0.0], [-3.1, 1.0]]), np.array([[-3.1, 0.0], [3.1, 0.0]]))
    mean, error = actions.mean_and_error(off)
    np.testing.assert_allclose(mean, [math.degrees(2 * math.pi - 6.2), math.degrees(0.5)])
    np.testing.assert_allclose(error, [0, math.degrees(0.5)], atol=1e-9)


def test_who_is_told_the_torques_is_right_and_who_is_not_is_wrong():
    rng = np.random.default_rng(0)
    torques = rng.choice([-1, 1], [4, 12, 1]) * 2 * math.pi / 60 * 3
    torques[:, 0] = 0
    true = torques[..., 0].cumsum(axis=1)
    images = np.round(255 * frames_of(true)).astype(np.uint8)
    found = actions.generated_angles([Oracle(), Oracle()], images, torques, 4, frames_of(ANGLES), ANGLES)
    means = {name: actions.differences(of, true)[:, 4:].mean() for name, of in found.items()}
    told, same_untold, untold, held, read = means.values()
    assert told < 1
    assert read < 1
    assert min(same_untold, untold, held) > 10
    np.testing.assert_allclose(same_untold, held, atol=1)


def test_the_equations_are_those_of_the_environment():
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    world = make_world("gym:Pendulum-v1", frame_skip=3, policy="random")
    found = world.sample_sequence(np.random.default_rng(0), 12)
    swung = actions.swing(found.states[:, 0], found.controls[:, 1:, 0], 3, world.unwrapped)
    np.testing.assert_allclose(np.cos(swung), found.states[:, 1:, 0], atol=1e-4)
    np.testing.assert_allclose(np.sin(swung), found.states[:, 1:, 1], atol=1e-4)


def test_the_command_prints_the_table(tmp_path, capsys):
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    generate("gym:Pendulum-v1", tmp_path, num_train=3, num_test=1, num_steps=4, options={"frame_size": 8})
    folders = []
    for use_controls in (True, False):
        tiny = {"num_filters": (4,), "alpha_units": 4, "K": 2, "use_controls": use_controls}
        where = {"dataset": "gym:Pendulum-v1", "data_dir": str(tmp_path), "log_dir": str(tmp_path)}
        model = KVAE(Config(**tiny, **where, out_distr="gaussian", run_name=str(use_controls)))
        model.build((None, None, 8, 8))
        folder = RunFolder.create(model.config)
        folder.write_config(model.config, "float32")
        folder.save_model(model)
        folders.append(str(folder.path))
    assert actions.main([*folders, "--num_sequences", "2"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 9
    assert lines[0].endswith("| 1 | 2 | 5 | 10 | 20 | 30 |")
    assert actions.main([*folders[::-1], "--num_sequences", "2"]) == 2
    assert "Name the run that learned with torques first" in capsys.readouterr().err
