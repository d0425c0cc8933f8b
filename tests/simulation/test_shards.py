"""Training data in shards, made by one process or several, one machine or several."""

import numpy as np
import pytest

from simulation import dataset
from simulation.dataset import DatasetMismatch, ensure, generate
from simulation.dataset_file import read_metadata

SMALL = dict(num_train=10, num_test=3, num_steps=4)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def arrays_of(paths):
    loaded = []
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            loaded.append({name: file[name] for name in ("images", "states", "controls")})
    return {name: np.concatenate([arrays[name] for arrays in loaded]) for name in loaded[0]}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.npz")}


@pytest.mark.parametrize("world", ["box", "pendulum"])
def test_shards_hold_the_sequences_of_the_one_file(tmp_path, world):
    single = generate(world, tmp_path / "a", **SMALL)
    sharded = generate(world, tmp_path / "b", **SMALL, shards=4)
    assert sharded.train == tmp_path / "b" / world
    paths = sorted(sharded.train.iterdir())
    assert [path.name for path in paths] == [f"train-{i:05d}-of-00004.npz" for i in range(4)]
    assert sharded.test.read_bytes() == single.test.read_bytes()
    expected = arrays_of([single.train])
    for name, array in arrays_of(paths).items():
        np.testing.assert_array_equal(array, expected[name])
    # As even as can be.
    metadata = [read_metadata(path) for path in paths]
    assert [m["num_sequences"] for m in metadata] == [2, 3, 2, 3]
    assert [m["first"] for m in metadata] == [0, 2, 5, 7]


@pytest.mark.parametrize("shards", [None, 2])
def test_the_files_are_the_same_whatever_the_number_of_processes(tmp_path, monkeypatch, shards):
    monkeypatch.setattr("simulation.sampling.CHUNK", 2)
    for jobs in (1, 2):
        generate(
            "polygon", tmp_path / str(jobs), **SMALL, shards=shards, jobs=jobs, options={"friction": 0.1}
        )
    assert content(tmp_path / "1") == content(tmp_path / "2")


def test_one_shard_alone_as_one_machine_of_several_makes_it(tmp_path):
    whole = generate("box", tmp_path / "whole", **SMALL, shards=3).train
    for shard in (2, 0, 1):
        generate("box", tmp_path / "parts", **SMALL, shards=3, shard=shard)
        assert f"train-{shard:05d}-of-00003.npz" in names(tmp_path / "parts" / "box")
    assert content(whole) == content(tmp_path / "parts" / "box")
    # The test file is not a shard's business.
    assert names(tmp_path / "parts") == ["box"]


def test_an_interrupted_command_given_again_makes_what_is_missing(tmp_path, monkeypatch):
    made = []
    make = dataset.make

    def interrupted(path, *args):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(path.name)
        return make(path, *args)

    monkeypatch.setattr(dataset, "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate("box", tmp_path, **SMALL, shards=4)
    assert names(tmp_path / "box") == ["train-00000-of-00004.npz", "train-00001-of-00004.npz"]
    with pytest.raises(ValueError, match=r"has 2 of 4 shards; number 2 is missing.*--shards 4"):
        ensure("box", tmp_path)

    monkeypatch.setattr(dataset, "make", make)
    reports = []
    generate("box", tmp_path, **SMALL, shards=4, report=reports.append)
    assert [file.seconds is None for file in reports] == [True, True, False, False, False]
    assert content(tmp_path) == content(generate("box", tmp_path / "new", **SMALL, shards=4).train.parent)


def test_ensure_finds_shards_and_makes_the_test_file_like_them(tmp_path):
    made = generate("box", tmp_path, **SMALL, shards=2, options={"resolution": 16})
    made.test.unlink()
    assert ensure("box", tmp_path, report=lambda _: None) == made
    metadata = read_metadata(made.test)
    assert metadata["options"] == {"resolution": 16}
    assert (metadata["num_steps"], metadata["num_sequences"]) == (4, 1000)


def test_ensure_takes_other_options_but_the_same_in_both_files(tmp_path):
    paths = generate("box", tmp_path, **SMALL, options={"num_balls": 2})
    assert ensure("box", tmp_path) == paths
    generate("box", tmp_path / "plain", **SMALL).test.replace(paths.test)
    with pytest.raises(DatasetMismatch, match="num_balls is 1, not 2"):
        ensure("box", tmp_path)


def test_a_file_in_the_way_of_shards_and_shards_in_the_way_of_a_file(tmp_path):
    generate("box", tmp_path, **SMALL)
    with pytest.raises(DatasetMismatch, match=r"box\.npz is there already, .* --regenerate True"):
        generate("box", tmp_path, **SMALL, shards=2)
    generate("box", tmp_path, **SMALL, shards=2, regenerate=True)
    assert names(tmp_path) == ["box", "box_test.npz"]
    with pytest.raises(DatasetMismatch, match="of-00002"):
        generate("box", tmp_path, **SMALL, shards=3)
    generate("box", tmp_path, **SMALL, shards=3, regenerate=True)
    assert len(names(tmp_path / "box")) == 3
    generate("box", tmp_path, **SMALL, regenerate=True)
    assert list((tmp_path / "box").iterdir()) == []
    assert ensure("box", tmp_path).train == tmp_path / "box.npz"


def test_a_file_beside_shards_or_two_kinds_of_shards_are_told(tmp_path):
    generate("box", tmp_path, **SMALL, shards=2)
    generate("box", tmp_path / "other", **SMALL).train.replace(tmp_path / "box.npz")
    with pytest.raises(DatasetMismatch, match="are both there"):
        ensure("box", tmp_path)
    (tmp_path / "box.npz").unlink()
    other = generate("box", tmp_path / "more", **SMALL, shards=3).train
    (other / "train-00001-of-00003.npz").replace(tmp_path / "box" / "train-00001-of-00003.npz")
    with pytest.raises(ValueError, match="in 2 and in 3 shards"):
        ensure("box", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shards": 0}, "shards must be between 1 and the number of training sequences, 10"),
        ({"shards": 11}, "Received: 11"),
        ({"shards": 2, "shard": 2}, "shard must be between 0 and 1. Received: 2"),
        ({"shards": 2, "shard": -1}, "Received: -1"),
        ({"shard": 0}, "say of how many"),
        ({"jobs": 0}, "jobs must be at least 1. Received: 0"),
    ],
)
def test_bad_numbers(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        generate("box", tmp_path / "new", **(SMALL | change))
    assert not list(tmp_path.rglob("*.npz"))
