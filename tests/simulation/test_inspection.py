import json
import math

import numpy as np
import pytest
from PIL import Image

from simulation.dataset import generate
from simulation.generate import main
from simulation.inspection import describe_file, verify, write_preview

SMALL = dict(num_train=6, num_test=4, num_steps=5)


@pytest.fixture
def box(tmp_path):
    return generate("box", tmp_path, **SMALL, options={"num_balls": 2}).train


@pytest.fixture
def of_the_original(tmp_path):
    path = tmp_path / "original.npz"
    np.savez(path, images=np.zeros((3, 7, 32, 32), np.float32), controls=np.array([None], dtype=object))
    return path


def changed(path, **arrays):
    with np.load(path) as file:
        before = dict(file)
    np.savez(path, **(before | arrays))


def test_a_file_is_described(box):
    text = describe_file(box)
    for line in (
        "world: box",
        "options: num_balls=2",
        "num_sequences: 6",
        "images: 6 sequences x 5 steps, 32x32 uint8; values 0 and 255; mean 0.",
        "pixels that change from a frame to the next: 0.",
    ):
        assert line in text
    with np.load(box) as file:
        x = file["states"][..., 0]
    numbers = "".join(f"{number:10.3f}" for number in (x.min(), x.mean(), x.std(), x.max()))
    assert f"x_1                        pixel{numbers}" in text


def test_a_file_without_metadata_is_described(of_the_original):
    text = describe_file(of_the_original)
    assert "no metadata" in text
    assert "images: 3 sequences x 7 steps, 32x32 float32; values 0.0; mean 0.0000 of white" in text


@pytest.mark.parametrize(
    ("world", "options"), [("box", {}), ("box", {"num_balls": 2, "colours": True}), ("pendulum", {})]
)
def test_a_film_and_a_contact_sheet(tmp_path, world, options):
    path = generate(world, tmp_path, **SMALL, options=options).train
    gif, png = write_preview(path)
    assert (gif.name, png.name) == (f"{world}_preview.gif", f"{world}_preview.png")
    with np.load(path) as file:
        images = file["images"]
    side, factor = {"box": (32, 2), "pendulum": (16, 4)}[world]
    with Image.open(gif) as film:
        assert film.n_frames == 5
        assert film.size == (factor * (6 * side + 5 * 2), factor * side)
    with Image.open(png) as sheet:
        assert sheet.size == (factor * (5 * side + 4 * 2), factor * (4 * side + 3 * 2))
        # The third frame of the second sequence.
        pixels = np.asarray(sheet)[::factor, ::factor]
    top, left = side + 2, 2 * (side + 2)
    np.testing.assert_array_equal(pixels[top : top + side, left : left + side], images[1, 2])


def test_a_long_sequence_fits_a_sheet(tmp_path):
    path = generate("box", tmp_path, num_train=1, num_test=1, num_steps=45).train
    _, png = write_preview(path)
    with Image.open(png) as sheet:
        assert sheet.width == 2 * (math.ceil(45 / 3) * 34 - 2)


def test_a_file_in_colour_is_described(tmp_path):
    path = generate("box", tmp_path, **SMALL, options={"num_balls": 2, "colours": True}).train
    assert "32x32 in colour uint8; " in describe_file(path)
    assert "colours=True" in describe_file(path)


@pytest.mark.parametrize(
    "options", [{}, {"resolution": 16, "greyscale": True}, {"num_balls": 2, "colours": True}]
)
def test_what_a_file_says_of_itself_makes_it_again(tmp_path, options):
    paths = generate("box_gravity", tmp_path, **SMALL, seed=3, options=options, shards=2)
    for path in (*paths.train.iterdir(), paths.test):
        assert verify(path)


@pytest.mark.parametrize("name", ["images", "states"])
def test_a_file_that_was_changed_is_not_made_again(box, name):
    with np.load(box) as file:
        array = file[name]
    array[3, 2] = 255 - array[3, 2]
    changed(box, **{name: array})
    assert not verify(box)


def test_a_file_that_does_not_say_how_it_was_made(box, of_the_original):
    with pytest.raises(ValueError, match="it has no metadata"):
        verify(of_the_original)
    with np.load(box) as file:
        metadata = json.loads(str(file["metadata"]))
    del metadata["first"]
    changed(box, metadata=np.array(json.dumps(metadata)))
    with pytest.raises(ValueError, match="does not say all of how it was made: 'first'"):
        verify(box)


def test_the_command(box, capsys):
    assert main(["--describe", str(box), "--preview", str(box), "--verify", str(box)]) == 0
    output = capsys.readouterr().out
    assert "world: box" in output
    assert "box_preview.gif" in output
    assert "holds just what its metadata says" in output


@pytest.mark.parametrize("option", ["--describe", "--preview", "--verify"])
def test_the_command_with_bad_files(tmp_path, capsys, option):
    assert main([option, str(tmp_path / "none.npz")]) == 2
    (tmp_path / "text.npz").write_text("text")
    assert main([option, str(tmp_path / "text.npz")]) == 2
    np.savez(tmp_path / "other.npz", frames=np.zeros(3))
    assert main([option, str(tmp_path / "other.npz")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("Error: ") for line in errors)


def test_the_command_ignores_no_option(box, capsys):
    for option in (["--num_balls", "2"], ["--num_train", "5"], ["--shards", "2"], ["--data_dir", "x"]):
        assert main(["--describe", str(box), *option]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert f"{option[0][2:]} has no effect without --dataset" in output.err
    assert main(["--verify", str(box), "--jobs", "2"]) == 0


def test_the_command_says_that_a_file_was_changed(box, capsys):
    changed(box, images=np.zeros((6, 5, 32, 32), np.uint8))
    assert main(["--verify", str(box)]) == 2
    assert "does not hold what its metadata says" in capsys.readouterr().err
