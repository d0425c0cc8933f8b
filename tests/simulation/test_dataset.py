import json
import sys
import zipfile

import numpy as np
import pytest

from simulation import dataset, make_world
from simulation.dataset import DatasetMismatch, ensure, generate
from simulation.dataset_file import read_metadata
from simulation.sampling import Workers, simulate
from simulation.worlds import World

SMALL = dict(num_train=6, num_test=4, num_steps=5)


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def folder_content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def reports():
    return []


@pytest.fixture
def small_default_size(monkeypatch):
    monkeypatch.setattr(World, "num_train", 6)
    monkeypatch.setattr(World, "num_test", 4)


@pytest.fixture
def original_files(tmp_path):
    """Files as the original code wrote them; its controls can be pickled objects."""
    for name in ("box.npz", "box_test.npz"):
        np.savez(
            tmp_path / name,
            images=np.zeros((3, 20, 32, 32), np.float32),
            controls=np.array([None], dtype=object),
        )
    return tmp_path


def test_file_format(tmp_path, reports):
    paths = generate("box_gravity", tmp_path / "new", **SMALL, seed=3, report=reports.append)

    assert paths == (tmp_path / "new/box_gravity.npz", tmp_path / "new/box_gravity_test.npz")
    assert sorted(folder_content(tmp_path / "new")) == ["box_gravity.npz", "box_gravity_test.npz"]
    world = make_world("box_gravity")
    for path, split, num_sequences in zip(paths, ("train", "test"), (6, 4), strict=True):
        arrays = load(path)
        assert set(arrays) == {"images", "states", "controls", "metadata"}
        assert arrays["images"].shape == (num_sequences, 5, 32, 32)
        assert arrays["images"].dtype == np.uint8
        assert set(np.unique(arrays["images"])) == {0, 255}
        assert arrays["states"].shape == (num_sequences, 5, 4)
        assert arrays["states"].dtype == np.float32
        assert arrays["controls"].shape == (num_sequences, 5, 0)
        assert arrays["controls"].dtype == np.float32
        metadata = read_metadata(path)
        assert metadata == json.loads(str(arrays["metadata"]))
        assert metadata["world"] == "box_gravity"
        assert metadata["parameters"] == world.parameters
        assert metadata["options"] == {}
        assert metadata["split"] == split
        assert metadata["first"] == 0
        assert metadata["seed"] == 3
        assert metadata["num_sequences"] == num_sequences
        assert metadata["num_steps"] == 5
        assert [state["name"] for state in metadata["states"]] == ["x", "y", "vx", "vy"]
        assert metadata["states"][0]["unit"] == "pixel"
        assert metadata["controls"] == []
        assert set(metadata["versions"]) == {"python", "numpy", "pymunk", "pygame"}


def test_stored_states_are_what_the_frames_show(tmp_path):
    arrays = load(generate("box", tmp_path, **SMALL).train)
    rolled_out = make_world("box").rollout(arrays["states"][:, 0], num_steps=5)
    np.testing.assert_allclose(rolled_out.states, arrays["states"], atol=1e-4)
    x, y = arrays["states"][..., 0].astype(int), 32 - arrays["states"][..., 1].astype(int)
    assert (np.take_along_axis(arrays["images"].reshape(6, 5, -1), (32 * y + x)[..., None], -1) == 255).all()


def test_report_says_what_was_made(tmp_path, reports):
    generate("box", tmp_path, **SMALL, report=reports.append)
    assert [str(file.path) for file in reports] == [
        str(tmp_path / "box.npz"),
        str(tmp_path / "box_test.npz"),
    ]
    assert f"{tmp_path / 'box.npz'}: 6 sequences x 5 steps, 0.0 MB, " in str(reports[0])
    assert all(file.seconds > 0 for file in reports)


def test_fewer_sequences_are_the_beginning_of_more():
    world = make_world("box")
    few, many = (simulate(world, "train", n, num_steps=3, seed=5) for n in (10, 25))
    np.testing.assert_array_equal(few.states, many.states[:10])
    np.testing.assert_array_equal(few.images, many.images[:10])


def test_fewer_steps_are_the_beginning_of_more():
    world = make_world("box")
    few, many = (simulate(world, "train", 4, num_steps, seed=5) for num_steps in (3, 9))
    np.testing.assert_array_equal(few.images, many.images[:, :3])


def test_every_sequence_split_and_seed_has_its_own_stream():
    world = make_world("box")
    streams = [
        simulate(world, split, 20, num_steps=1, seed=seed).states[:, 0]
        for split in ("train", "test")
        for seed in (0, 1, 2**32, 2**32 + 1)
    ]
    velocities = np.concatenate(streams)[:, 2]
    assert len(np.unique(velocities)) == len(velocities) == 160


def test_same_arguments_give_the_same_bytes(tmp_path):
    first = generate("box", tmp_path / "a", **SMALL, seed=9)
    again = generate("box", tmp_path / "b", **SMALL, seed=9)
    other = generate("box", tmp_path / "c", **SMALL, seed=10)
    for path, same, different in zip(first, again, other, strict=True):
        assert path.read_bytes() == same.read_bytes()
        assert path.read_bytes() != different.read_bytes()
        # The time of day must not enter the file.
        with zipfile.ZipFile(path) as archive:
            assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_file_is_readable_by_others_as_the_umask_has_it(tmp_path):
    path = generate("box", tmp_path, **SMALL).train
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_matching_files_are_left_as_they_are(tmp_path, reports, monkeypatch):
    paths = generate("box", tmp_path, **SMALL)
    monkeypatch.setattr(dataset, "make", None)  # calling it would raise a TypeError
    before = [path.stat().st_mtime_ns for path in paths]
    assert generate("box", tmp_path, **SMALL, report=reports.append) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert [file.seconds for file in reports] == [None, None]
    assert "there already, left as it is" in str(reports[0])


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ({"num_train": 7}, ["box.npz", "num_sequences is 6, not 7"]),
        ({"num_test": 3}, ["box_test.npz", "num_sequences is 4, not 3"]),
        ({"num_steps": 8}, ["num_steps is 5, not 8"]),
        ({"seed": 1, "num_train": 9}, ["seed is 1234, not 1", "num_sequences is 6, not 9"]),
    ],
)
def test_other_sizes_or_seed_are_refused(tmp_path, change, differences):
    generate("box", tmp_path, **SMALL)
    before = folder_content(tmp_path)
    with pytest.raises(DatasetMismatch) as error:
        generate("box", tmp_path, **(SMALL | change))
    for text in (*differences, "--regenerate True", "--data_dir"):
        assert text in str(error.value)
    assert "parameters" not in str(error.value)
    assert folder_content(tmp_path) == before


@pytest.mark.parametrize("make", [ensure, lambda *args: generate(*args, **SMALL)])
def test_another_world_is_refused_and_its_parameters_named(tmp_path, make):
    generate("box", tmp_path, **SMALL)
    for name in ("box.npz", "box_test.npz"):
        (tmp_path / name).rename(tmp_path / name.replace("box", "box_gravity"))
    before = folder_content(tmp_path)
    with pytest.raises(DatasetMismatch) as error:
        make("box_gravity", tmp_path)
    assert 'world is "box", not "box_gravity"' in str(error.value)
    assert "gravity is [0.0, 0.0], not [0.0, -5.0]" in str(error.value)
    assert "ball_radius" not in str(error.value)
    assert folder_content(tmp_path) == before


def test_a_parameter_that_only_one_side_has_is_a_difference(tmp_path):
    path = generate("box", tmp_path, **SMALL).train
    arrays = load(path)
    metadata = json.loads(str(arrays["metadata"]))
    metadata["parameters"].pop("dt")
    metadata["parameters"]["wind"] = 1
    np.savez(path, **(arrays | {"metadata": np.array(json.dumps(metadata))}))
    with pytest.raises(DatasetMismatch, match=r"dt is absent, not 0\.2; wind is 1, not absent"):
        ensure("box", tmp_path)


def test_one_mismatch_keeps_the_other_file_from_being_made(tmp_path):
    generate("box", tmp_path, **SMALL).train.unlink()
    with pytest.raises(DatasetMismatch, match="box_test"):
        generate("box", tmp_path, **(SMALL | {"num_test": 5}))
    assert sorted(folder_content(tmp_path)) == ["box_test.npz"]


def test_regenerate_replaces(tmp_path):
    paths = generate("box", tmp_path, **SMALL)
    generate("box", tmp_path, **SMALL, seed=2, regenerate=True)
    assert [read_metadata(path)["seed"] for path in paths] == [2, 2]
    assert len(folder_content(tmp_path)) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
@pytest.mark.parametrize("stage", ["simulation", "writing"])
def test_failure_leaves_the_folder_as_it_was(tmp_path, monkeypatch, error, stage):
    generate("box", tmp_path, **SMALL)
    before = folder_content(tmp_path)

    def fail_while_writing(*args):
        assert len(folder_content(tmp_path)) == 3
        raise error

    two = simulate(make_world("box"), "train", 2, SMALL["num_steps"], seed=0)

    def fail_while_simulating(*args):
        yield two
        raise error

    if stage == "writing":
        monkeypatch.setattr(np.lib.format, "write_array_header_1_0", fail_while_writing)
    else:
        monkeypatch.setattr(Workers, "simulate", fail_while_simulating)
    with pytest.raises(error if isinstance(error, type) else OSError):
        generate("box", tmp_path, **SMALL, seed=2, regenerate=True)
    assert folder_content(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_train": 0}, "num_train must be at least 1. Received: 0"),
        ({"num_test": -2}, "num_test must be at least 1. Received: -2"),
        ({"num_steps": 0}, "num_steps must be an integer of at least 1. Received: 0"),
        ({"seed": -1}, "seed must not be negative. Received: -1"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_touched(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        generate("box", tmp_path / "new", **(SMALL | change))
    assert not (tmp_path / "new").exists()


def test_ensure_makes_what_is_missing(tmp_path, reports, small_default_size):
    paths = ensure("box", tmp_path / "new", report=reports.append)
    assert [file.path for file in reports] == list(paths)
    metadata = [read_metadata(path) for path in paths]
    assert [m["num_sequences"] for m in metadata] == [6, 4]
    assert [m["num_steps"] for m in metadata] == [20, 20]
    assert [m["seed"] for m in metadata] == [1234, 1234]
    assert [m["split"] for m in metadata] == ["train", "test"]

    assert ensure("box", tmp_path / "new", report=reports.append) == paths
    assert len(reports) == 2


def test_ensure_makes_the_same_files_as_generate(tmp_path, small_default_size):
    ensure("box", tmp_path / "a")
    generate("box", tmp_path / "b", num_train=6, num_test=4)
    assert folder_content(tmp_path / "a") == folder_content(tmp_path / "b")


@pytest.mark.parametrize("quiet", [False, True])
def test_ensure_shows_a_bar_on_a_terminal_unless_it_is_to_be_quiet(
    tmp_path, reports, small_default_size, capsys, monkeypatch, quiet
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ensure("box", tmp_path, report=reports.append, quiet=quiet)
    assert ("box train" in capsys.readouterr().err) is not quiet


def test_ensure_takes_any_size_and_seed(tmp_path, reports, small_default_size):
    paths = generate("box", tmp_path, num_train=2, num_test=1, num_steps=3, seed=77)
    paths.test.unlink()
    train = paths.train.read_bytes()
    assert ensure("box", tmp_path, report=reports.append) == paths
    assert paths.train.read_bytes() == train
    assert [file.path for file in reports] == [paths.test]


def test_ensure_refuses_the_other_split(tmp_path):
    paths = generate("box", tmp_path, **SMALL)
    paths.test.write_bytes(paths.train.read_bytes())
    with pytest.raises(DatasetMismatch, match='split is "train", not "test"'):
        ensure("box", tmp_path)


def test_ensure_takes_files_of_the_original_code(original_files, reports):
    before = folder_content(original_files)
    paths = ensure("box", original_files, report=reports.append)
    assert [read_metadata(path) for path in paths] == [None, None]
    assert folder_content(original_files) == before
    assert reports == []


def test_ensure_takes_files_without_metadata_of_a_world_it_does_not_know(original_files):
    for path in list(original_files.iterdir()):
        path.rename(path.with_name(path.name.replace("box", "clock")))
    assert ensure("clock", original_files).train == original_files / "clock.npz"
    (original_files / "clock_test.npz").unlink()
    with pytest.raises(ValueError, match="Unknown world 'clock'"):
        ensure("clock", original_files)


def test_generate_does_not_replace_files_of_the_original_code(original_files):
    before = folder_content(original_files)
    with pytest.raises(DatasetMismatch, match=r"it has no metadata.*--regenerate True"):
        generate("box", original_files, **SMALL)
    assert folder_content(original_files) == before


def not_an_archive(path):
    path.write_text("not an archive")


def truncated(path):
    path.write_bytes(generate("box", path.parent / "whole", **SMALL).train.read_bytes()[:-200])


def lone_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def empty(path):
    path.touch()


def metadata_that_is_no_object(path):
    np.savez(path, images=np.zeros(1), metadata=np.array("3"))


def metadata_that_is_not_json(path):
    np.savez(path, images=np.zeros(1), metadata=np.array("{world"))


@pytest.mark.parametrize(
    "damage",
    [
        not_an_archive,
        truncated,
        lone_array,
        empty,
        metadata_that_is_no_object,
        metadata_that_is_not_json,
    ],
)
def test_damaged_file_is_named(tmp_path, damage):
    damage(tmp_path / "box.npz")
    with pytest.raises(ValueError, match=r"box\.npz is not a dataset file, or a damaged one"):
        ensure("box", tmp_path)


def test_missing_file_has_no_metadata_to_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_metadata(tmp_path / "box.npz")


def test_default_files_are_small(tmp_path):
    """A tenth of the default size, scaled up: both files together stay below 10 MB."""
    paths = generate("box_gravity", tmp_path, num_train=500, num_test=100)
    assert 10 * sum(path.stat().st_size for path in paths) < 10e6
