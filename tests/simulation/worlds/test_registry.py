import numpy as np
import pytest

from simulation import make_world, register, sampling, trust, world_names
from simulation.dataset import ensure, generate
from simulation.dataset_file import read_metadata
from simulation.generate import main
from simulation.inspection import verify
from simulation.worlds import registry

SMALL = {"num_train": 3, "num_test": 2, "num_steps": 4}

MODULE = '''
import numpy as np
from simulation.worlds import Quantity, Sequences, World, register

@register("blink")
class Blink(World):
    """Frames of one grey level. It only samples sequences."""

    image_shape = (8, 8)
    state_quantities = (Quantity("level", "1", "grey level"),)
    control_quantities = ()

    def __init__(self, brightest=255):
        self.parameters = {"brightest": brightest}

    def sample_sequence(self, rng, num_steps=20):
        levels = rng.integers(0, self.parameters["brightest"] + 1, [1, num_steps, 1])
        images = np.broadcast_to(levels[..., None], [1, num_steps, 8, 8]).astype(np.uint8)
        return Sequences(images, levels.astype(float), np.zeros([1, num_steps, 0], np.float32))
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module with a world of somebody's own, and return its name."""
    (tmp_path / "my_worlds.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_worlds", dict(registry._worlds))
    return "my_worlds"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_world_of_ones_own_needs_no_edit(module, tmp_path, monkeypatch, capsys, jobs):
    monkeypatch.setattr(sampling, "CHUNK", 2)
    sizes = ["--num_train", "5", "--num_test", "2", "--num_steps", "3"]
    command = ["--dataset", f"{module}:blink", "--data_dir", str(tmp_path), *sizes, "--jobs", jobs]
    assert main(command) == 0
    file = tmp_path / "my_worlds-blink.npz"
    assert read_metadata(file)["world"] == "my_worlds:blink"
    with np.load(file) as arrays:
        np.testing.assert_array_equal(arrays["images"][..., 0, 0], arrays["states"][..., 0])
    assert main(["--verify", str(file), "--jobs", jobs]) == 0
    assert main(command) == 0
    assert capsys.readouterr().out.count("there already, left as it is") == 2


def test_its_options_are_those_of_what_makes_it(module):
    trust(module)
    world = make_world("my_worlds:blink", brightest=9)
    assert (world.name, world.options) == ("my_worlds:blink", {"brightest": 9})
    assert make_world("blink").name == "blink"
    with pytest.raises(ValueError, match=r"has no option 'darkest'. Its options: brightest\."):
        make_world("my_worlds:blink", darkest=9)


def test_a_file_imports_no_module_that_it_names(module, tmp_path, monkeypatch):
    trust(module)
    files = generate("my_worlds:blink", tmp_path, **SMALL)
    monkeypatch.setattr(registry, "_trusted", set())
    with pytest.raises(
        ValueError, match="names code, the module my_worlds, which is not run unless you say so"
    ):
        verify(files.train)
    # Who only learns from them needs no code.
    assert ensure("my_worlds:blink", tmp_path) == files
    files.test.unlink()
    with pytest.raises(ValueError, match="names code, the module my_worlds"):
        ensure("my_worlds:blink", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("my_worlds:wink", "The module my_worlds registers no world 'wink'. It registers: blink."),
        ("json:wink", "The module json registers no world 'wink'. It registers: none."),
        ("no_such_module:blink", "cannot be imported: there is no such module in this folder, nor installed"),
        ("my_worlds.py:blink", "a module is named without .py"),
        ("broken_worlds:blink", "The module broken_worlds cannot be imported: ZeroDivisionError"),
    ],
)
def test_modules_and_worlds_that_are_not_there(module, tmp_path, capsys, dataset, message):
    (tmp_path / "broken_worlds.py").write_text("1 / 0")
    assert main(["--dataset", dataset, "--data_dir", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_no_name_is_taken_twice(monkeypatch):
    monkeypatch.setattr(registry, "_worlds", dict(registry._worlds))
    with pytest.raises(ValueError, match=r"There is a world 'box' already, of simulation\.worlds\.box"):
        register("box")(lambda: None)
    for name in ("", "a:b"):
        with pytest.raises(ValueError, match="The name of a world must have no colon, and not be empty"):
            register(name)
    # Another test may have registered more.
    assert world_names()[:6] == ("box", "box_gravity", "polygon", "pong", "pendulum", "swinging_line")
