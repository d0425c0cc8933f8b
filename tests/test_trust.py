"""Datasets, configurations and models from somebody else run no code of theirs, and write where they may.

Every attempt is shown to be one: what it tries works where nothing guards against it.
"""

import io
import json
import pickle
import zipfile

import keras
import numpy as np
import pytest

import run_kvae
import simulation.generate
from kvae import data
from kvae.config import Config
from kvae.data import archives
from kvae.errors import UserError
from kvae.models.kvae import KVAE
from kvae.runs import checkpoint, run_folder, weights
from kvae.runs.load import load
from kvae.runs.options import RunFolderError
from simulation import dataset_file, inspection

TINY = {"num_filters": (4,), "alpha_units": 4, "K": 2, "num_paths": 0}


class Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture
def sprung(tmp_path):
    """Return where a trap leaves its mark; at the end it must not be there."""
    mark = tmp_path / "sprung"
    yield mark
    assert not mark.exists()


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run with a tiny model, and the model."""
    model = KVAE(Config(**TINY, log_dir=str(tmp_path), run_name="theirs"))
    model.build((None, None, 8, 8))
    folder = run_folder.RunFolder.create(model.config)
    folder.write_config(model.config, "float32")
    folder.save_model(model)
    return folder.path, model


def rewrite(path, change):
    """Change the members of a zip file, a dictionary."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


# --- arrays ---


@pytest.mark.parametrize("member", ["images", "controls", "states", "metadata", "facts"])
def test_no_array_is_unpickled(member, sprung, tmp_path):
    arrays = {
        "images": np.zeros([1, 2, 8, 8], np.uint8),
        "controls": np.zeros([1, 2, 0], np.float32),
        "states": np.zeros([1, 2, 4], np.float32),
        "metadata": np.array("{}"),
    }
    path = tmp_path / "box.npz"
    np.savez(path, **arrays | {member: np.array([Trap(sprung)], object)})
    model = KVAE(Config(**TINY))
    model.build((None, None, 8, 8))
    readers = [
        data.load,
        archives.read_arrays,
        dataset_file.read_metadata,
        inspection.describe_file,
        inspection.write_preview,
        lambda path: checkpoint.restore(path, model),
        lambda path: weights.load_weights(model, path),
    ]
    refused = 0
    for read in readers:
        try:
            read(path)
        except ValueError:
            refused += 1
        assert not sprung.exists()
    # Those that read all there is, at least.
    assert refused >= 3
    # It is a trap.
    with np.load(path, allow_pickle=True) as file:
        file[member][0].close()
    assert sprung.exists()
    sprung.unlink()


def test_a_pickle_by_the_name_of_a_dataset_is_refused(sprung, tmp_path):
    path = tmp_path / "box.npz"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(data.DataError, match="not a readable"):
        data.load(path)


# --- models ---


def test_of_a_model_the_weights_alone_are_read(run, sprung, monkeypatch):
    """Keras would build whatever class its configuration names, and call what it names."""
    path, model = run

    def point_elsewhere(members):
        config = json.loads(members["config.json"])
        config |= {"module": "os", "class_name": "system", "registered_name": None}
        config["config"] = {"command": f"touch {sprung}"}
        members["config.json"] = json.dumps(config).encode()

    rewrite(path / "model.keras", point_elsewhere)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", lambda *arguments, **options: 1 / 0)
    loaded = load(path)
    for found, wanted in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_lambda_in_a_model_is_not_made(run, sprung):
    path, _ = run
    inputs = keras.Input((8,))
    # A path of its own: what a lambda closes over is not saved with it.
    leave = eval(f"lambda x: (open({str(sprung)!r}, 'w').close(), x)[1]")
    trap = keras.layers.Lambda(leave)
    keras.Model(inputs, trap(inputs)).save(path / "model.keras")
    # Made above, when the model was traced.
    sprung.unlink()
    with pytest.raises(RunFolderError, match="cannot be loaded"):
        load(path)
    assert not sprung.exists()
    # It is a trap.
    keras.models.load_model(path / "model.keras", safe_mode=False)(np.zeros([1, 8]))
    assert sprung.exists()
    sprung.unlink()


@pytest.mark.parametrize("kind", ["external storage", "external link"])
def test_weights_do_not_come_from_other_files(kind, run, tmp_path):
    """HDF5 can name other files as the place of its numbers."""
    import h5py

    path, model = run
    secret = tmp_path / "secret"
    variable = model.lgssm.C
    secret_values = np.full(variable.shape, 42, np.float32)

    def point_elsewhere(members):
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            (name,) = [name for name in _datasets(file) if np.array_equal(file[name], variable)]
            del file[name]
            if kind == "external storage":
                secret.write_bytes(secret_values.tobytes())
                place = [(str(secret), 0, secret_values.nbytes)]
                file.create_dataset(name, variable.shape, "float32", external=place)
                # It leads there.
                np.testing.assert_array_equal(file[name][...], secret_values)
            else:
                with h5py.File(secret, "w") as other:
                    other["values"] = secret_values
                file[name] = h5py.ExternalLink(str(secret), "values")
        members["model.weights.h5"] = buffer.getvalue()

    rewrite(path / "model.keras", point_elsewhere)
    with pytest.raises(RunFolderError, match="cannot be loaded"):
        load(path)


def _datasets(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
    return found


def test_a_model_of_endless_sides_is_not_built(run):
    path, _ = run

    def enlarge(members):
        config = json.loads(members["config.json"])
        config["build_config"]["input_shape"] = [None, None, 10**9, 10**9]
        members["config.json"] = json.dumps(config).encode()

    rewrite(path / "model.keras", enlarge)
    with pytest.raises(RunFolderError, match="sides 1000000000"):
        load(path)


# --- folders ---


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "a/../../b", "a\\b", "a\0b"])
def test_a_run_s_name_leads_nowhere_else(name):
    with pytest.raises(UserError, match="a plain name, without slashes"):
        Config(run_name=name)


def test_a_name_of_two_dots_is_one_of_a_folder(tmp_path):
    folder = run_folder.RunFolder.create(Config(log_dir=str(tmp_path), run_name=".."))
    assert folder.path.resolve() == (tmp_path / ".._kvae").resolve()


def with_checkpoint(path):
    """Let a run look as if it could go on."""
    (path / "checkpoints").mkdir(exist_ok=True)
    (path / "checkpoints" / "last.npz").touch()


@pytest.mark.parametrize("flag", ["--resume", "--reload_model"])
def test_a_run_does_not_say_where_data_are_made(flag, run, tmp_path, capsys, monkeypatch):
    path, _ = run
    facts = json.loads((path / "config.json").read_text())
    elsewhere = tmp_path / "elsewhere"
    facts["options"]["data_dir"] = str(elsewhere)
    with_checkpoint(path)
    (path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_kvae.main([flag, str(path)]) == 2
    said = capsys.readouterr().err
    assert f"The run's data are not in {elsewhere}. To simulate them there:" in said
    assert not elsewhere.exists()


def test_a_run_that_is_resumed_does_not_write_through_links(run, tmp_path, capsys):
    path, _ = run
    sizes = f"--num_train 2 --num_test 2 --num_steps 16 --data_dir {tmp_path / 'data'}".split()
    assert simulation.generate.main(["--dataset", "box", *sizes]) == 0
    facts = json.loads((path / "config.json").read_text())
    facts["options"]["data_dir"] = str(tmp_path / "data")
    (path / "config.json").write_text(json.dumps(facts))
    precious = tmp_path / "precious"
    precious.write_text("mine")
    with_checkpoint(path)
    (path / "metrics.csv").symlink_to(precious)
    assert run_kvae.main(["--resume", str(path)]) == 2
    assert "metrics.csv is a link" in capsys.readouterr().err
    assert precious.read_text() == "mine"


def test_a_checkpoint_cuts_only_the_files_of_its_run(run, tmp_path):
    path, _ = run
    precious = tmp_path / "precious.csv"
    precious.write_text("mine, all of it")
    (path / "metrics.csv").write_text("epoch\n1\n")
    hidden = path / ".git"
    hidden.mkdir()
    (hidden / "config").write_text("theirs")
    run_folder.RunFolder(path).cut_back({"../precious.csv": 1, str(precious): 1, "metrics.csv": 6})
    assert precious.read_text() == "mine, all of it"
    assert (path / "metrics.csv").read_text() == "epoch\n"
    assert (hidden / "config").read_text() == "theirs"
