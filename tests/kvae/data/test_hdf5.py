import builtins
import json

import h5py
import numpy as np
import pytest

from kvae import data
from kvae.data import archives, files, hdf5
from kvae.data.archives import ArchiveError

RNG = np.random.default_rng(0)
ARRAYS = {
    "images": RNG.integers(0, 256, [4, 3, 2, 5], np.uint8),
    "mask": np.array([[True, False, True]] * 4),
    "controls": RNG.normal(size=[4, 3, 2]),
    "states": RNG.normal(size=[4, 3, 1]).astype(np.float32),
}


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".H5"])
def test_a_file_means_what_the_npz_of_the_same_arrays_does(suffix, tmp_path):
    metadata = json.dumps({"num_steps": 3})
    np.savez(tmp_path / "a.npz", **ARRAYS, metadata=metadata)
    path = write(tmp_path / f"a{suffix}", **ARRAYS, metadata=metadata)
    expected, found = data.load(tmp_path / "a.npz"), data.load(path)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
    of_npz, of_h5 = (files.read_headers(p) for p in (tmp_path / "a.npz", path))
    assert {name: of_npz[name] for name in ARRAYS} == {name: of_h5[name] for name in ARRAYS}
    with pytest.raises(data.DataError, match="num_steps is 4 in its metadata"):
        data.load(write(path, **ARRAYS, metadata=json.dumps({"num_steps": 4})))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "There is no dataset file"),
        ("text", r"not a readable \.h5 file"),
        ("npz", r"not a readable \.h5 file"),
        ("half", r"not a readable \.h5 file"),
        ("link", "images is a link to another file"),
        ("virtual", "images lies in another file"),
        ("raw", "images lies in another file"),
        ("group", "images is a group"),
        ("empty", "images is empty"),
        ("words", "images must be numbers"),
        ("no images", "no array named images. Received: frames"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(kind, message, tmp_path):
    path, other = tmp_path / "a.h5", write(tmp_path / "other.h5", images=ARRAYS["images"])
    if kind == "text":
        path.write_text("no file of arrays")
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **ARRAYS)
    elif kind == "half":
        path.write_bytes(other.read_bytes()[:1000])
    elif kind == "no images":
        write(path, frames=ARRAYS["images"])
    elif kind != "missing":
        with h5py.File(path, "w") as file:
            if kind == "link":
                file["images"] = h5py.ExternalLink(str(other), "images")
            elif kind == "virtual":
                layout = h5py.VirtualLayout((4, 3, 2, 5), "u1")
                layout[:] = h5py.VirtualSource(str(other), "images", (4, 3, 2, 5))
                file.create_virtual_dataset("images", layout)
            elif kind == "raw":
                file.create_dataset("images", (4, 3, 2, 5), "u1", external=[(str(other), 0, 120)])
            elif kind == "group":
                file.create_group("images")
            elif kind == "empty":
                file["images"] = h5py.Empty("u1")
            else:
                file["images"] = "frames"
    with pytest.raises(data.DataError, match=message):
        data.load(path)


def test_other_groups_and_arrays_are_named(tmp_path, capsys):
    path = write(tmp_path / "a.h5", images=ARRAYS["images"], rewards=np.zeros(3))
    with h5py.File(path, "a") as file:
        file.create_group("infos")
        file["controls"] = np.array(["left", "right"], object)
    with pytest.raises(data.DataError, match="controls must be numbers"):
        data.load(path)
    said = capsys.readouterr().err
    assert "infos" in said
    assert "rewards" in said


def test_a_file_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        # A promise of bytes, of which none is stored.
        file.create_dataset("images", (10**6, 10**3, 10**3, 10**3), "u1", chunks=(1, 1, 100, 100))
    with pytest.raises(ArchiveError, match="more than the memory that is free"):
        hdf5.read_arrays(path)
    assert archives.free_memory() > 0


def test_without_h5py_it_says_how_to_get_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", images=ARRAYS["images"])
    real = builtins.__import__

    def absent(name, *arguments, **options):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(data.DataError, match=r"pip install \"h5py>=3\.11,<4\""):
        data.load(path)
