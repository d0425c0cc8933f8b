import concurrent.futures
import csv
import dataclasses
import errno
import fcntl
import json
import os
import platform
import re
from importlib.metadata import version

import imageio.v2 as imageio
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import kvae
from kvae.config import Config
from kvae.errors import UserError
from kvae.evaluation import CurvePoint, ImputationError
from kvae.runs import run_folder
from kvae.runs.load import load
from kvae.runs.options import RunFolderError, read_options
from kvae.system import device


def events(path):
    """Return everything in a folder of TensorBoard events: tag to a list of (step, array)."""
    accumulator = EventAccumulator(str(path), size_guidance={"tensors": 0})
    accumulator.Reload()
    return {
        tag: [(event.step, tf.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }


def test_the_folder_is_new(folder, config, tmp_path):
    assert folder.path == tmp_path / "logs" / "first_kvae"
    assert [path.name for path in folder.path.iterdir()] == [".lock"]
    with pytest.raises(RunFolderError, match=rf"written by process {os.getpid()} on .*another --run_name$"):
        run_folder.RunFolder.create(config)
    folder.close()
    assert list(folder.path.iterdir()) == []
    (folder.path / "something").write_text("of value")
    with pytest.raises(RunFolderError, match="choose another --run_name") as error:
        run_folder.RunFolder.create(config)
    assert str(folder.path) in str(error.value)
    assert isinstance(error.value, UserError)
    assert (folder.path / "something").read_text() == "of value"


def test_without_a_name_the_time_is_the_name(tmp_path):
    folder = run_folder.RunFolder.create(Config(log_dir=str(tmp_path)))
    assert re.fullmatch(r"\d{8}_\d{6}_kvae", folder.path.name)


def test_runs_of_one_second_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.time, "strftime", lambda form: "20250101_120000")
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        folders = list(
            pool.map(lambda _: run_folder.RunFolder.create(Config(log_dir=str(tmp_path))), range(5))
        )
    names = {folder.path.name for folder in folders}
    assert names == {"20250101_120000_kvae", *(f"20250101_120000-{i}_kvae" for i in range(2, 6))}


def test_a_folder_has_one_owner(folder, config):
    with pytest.raises(RunFolderError, match=f"is being written by process {os.getpid()} on "):
        run_folder.RunFolder(folder.path).own()
    folder.close()
    with run_folder.RunFolder(folder.path) as again:
        again.own()
        assert (folder.path / ".lock").exists()
    assert not (folder.path / ".lock").exists()


def test_a_disk_without_locks_is_told_of(folder, monkeypatch, capsys):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    folder.close()
    monkeypatch.setattr(fcntl, "flock", refuse)
    folder.own()
    assert "knows no locks (No locks available)" in capsys.readouterr().err


def test_a_log_that_is_too_short_is_cut_to_whole_rows(folder, capsys):
    for step in (1, 2):
        folder.record(step, step, {"total": -1.0}, {"total": -2.0})
    sizes = folder.file_sizes()
    folder.close()
    for name in sizes:
        os.truncate(folder.path / name, sizes[name] - 3)
    again = run_folder.RunFolder(folder.path)
    again.cut_back(sizes)
    assert capsys.readouterr().err.count("Warning") == 1
    with (folder.path / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    for split in ("train", "test"):
        assert [step for step, _ in events(folder.path / split)["elbo/total"]] == [1]

    # No header any more, no events at all.
    os.truncate(folder.path / "metrics.csv", 10)
    for path in again.events.files():
        path.unlink()
    again.cut_back(sizes)
    assert "Warning" in capsys.readouterr().err
    again.record(2, 2, {"total": -1.0}, {})
    again.close()
    with (folder.path / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["2"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(RunFolderError, match="Cannot make the run folder"):
        run_folder.RunFolder.create(Config(log_dir=str(tmp_path / "logs"), run_name="first"))


def test_the_configuration_is_written_down(folder, config):
    folder.write_config(config, "bfloat16")
    facts = json.loads((folder.path / "config.json").read_text())
    assert set(facts) == {"options", "precision", "versions", "git_commit", "machine"}
    assert Config.from_dict(facts["options"]) == config
    assert read_options(folder.path) == config.to_dict()
    assert facts["precision"] == "bfloat16"
    packages = "tensorflow keras tensorflow-probability numpy".split()
    expected = {"python": platform.python_version(), "kvae": kvae.__version__}
    expected |= {name: version(name) for name in packages}
    assert facts["versions"] == expected
    assert facts["machine"]["platform"] == platform.platform()
    assert facts["machine"]["gpus"] == device.gpu_names()


def test_metrics_are_rows_and_events(folder):
    train = {"total": -1.25, "log_px": -2.0, "gradient_norm": 3.0, "learning_rate": 0.007, "seconds": 1.5}
    test = {"total": -4.0, "sampled": -9.5, "smoothing": 0.125, "filtering": 0.25}
    folder.record(1, 10, train, test, {"total": -4.5})
    folder.record(2, 20, train | {"total": -0.5}, {"total": -3.0})
    folder.close()
    with (folder.path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch",
        "step",
        "train_elbo_total",
        "train_elbo_log_px",
        "train_elbo_log_qa",
        "train_elbo_state_space",
        "train_elbo_exact",
        "train_optimizer_gradient_norm",
        "train_encoder_variance",
        "train_optimizer_learning_rate",
        "train_time_seconds",
        "validation_elbo_total",
        "test_elbo_total",
        "test_elbo_log_px",
        "test_elbo_log_qa",
        "test_elbo_state_space",
        "test_elbo_exact",
        "test_elbo_sampled",
        "test_encoder_variance",
        "test_imputation_smoothing",
        "test_imputation_filtering",
        "test_imputation_generation",
        "test_imputation_sampling",
        "test_motion_explained",
        "test_motion_unseen",
        "test_codes_alive",
    ]
    filled = [{name: float(value) for name, value in row.items() if value} for row in rows]
    of_training = {
        "train_elbo_log_px": -2.0,
        "train_optimizer_gradient_norm": 3.0,
        "train_optimizer_learning_rate": 0.007,
        "train_time_seconds": 1.5,
    }
    first = {
        "epoch": 1,
        "step": 10,
        "train_elbo_total": -1.25,
        "validation_elbo_total": -4.5,
        "test_elbo_total": -4.0,
        "test_elbo_sampled": -9.5,
        "test_imputation_smoothing": 0.125,
        "test_imputation_filtering": 0.25,
    }
    second = {"epoch": 2, "step": 20, "train_elbo_total": -0.5, "test_elbo_total": -3.0}
    assert filled == [first | of_training, second | of_training]

    expected = {
        "train": {
            "elbo/total": [(10, -1.25), (20, -0.5)],
            "elbo/log_px": [(10, -2.0), (20, -2.0)],
            "optimizer/gradient_norm": [(10, 3.0), (20, 3.0)],
            "optimizer/learning_rate": [(10, np.float32(0.007)), (20, np.float32(0.007))],
            "time/seconds": [(10, 1.5), (20, 1.5)],
        },
        "test": {
            "elbo/total": [(10, -4.0), (20, -3.0)],
            "elbo/sampled": [(10, -9.5)],
            "imputation/smoothing": [(10, 0.125)],
            "imputation/filtering": [(10, 0.25)],
        },
    }
    assert {split: events(folder.path / split) for split in expected} == expected


def test_a_table_that_another_version_began_keeps_its_columns(folder):
    path = folder.path / "metrics.csv"
    path.write_text("epoch,step,test_elbo_total,test_gone\n1,10,-4,7\n")
    folder.record(2, 20, {}, {"total": -3.0, "explained": 0.5})
    folder.close()
    assert path.read_text().splitlines()[1:] == ["1,10,-4,7", "2,20,-3,"]


def test_pictures_are_files_and_events(folder):
    film = np.random.default_rng(0).integers(0, 256, [5, 20, 30, 3], np.uint8)
    strip = np.random.default_rng(1).integers(0, 256, [10, 40, 3], np.uint8)
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([0, 1])
    folder.add_film("imputation", film, 7, prefix="epoch_001_", fps=5)
    folder.add_strip("imputation_strip", strip, 7, prefix="epoch_001_")
    folder.add_plot("alpha", figure, 8)
    folder.add_plot("imputation_planning", figure, 9, folder="")
    folder.close()

    assert len(imageio.mimread(folder.path / "films" / "epoch_001_imputation.mp4", memtest=False)) == 5
    written = imageio.imread(folder.path / "films" / "epoch_001_imputation_strip.png")
    np.testing.assert_array_equal(written, strip)
    for path in ("plots/alpha.png", "imputation_planning.png"):
        assert (folder.path / path).read_bytes().startswith(b"\x89PNG")

    found = events(folder.path / "test")
    assert {tag: [step for step, _ in values] for tag, values in found.items()} == {
        "films/imputation": [7],
        "films/imputation_strip": [7],
        "plots/alpha": [8],
        "plots/imputation_planning": [9],
    }
    width, height, gif = found["films/imputation"][0][1]
    assert (width, height) == (b"30", b"20")
    assert gif.startswith(b"GIF8")
    assert len(imageio.mimread(gif, format="gif")) == 5
    for tag, path in (
        ("films/imputation_strip", "films/epoch_001_imputation_strip.png"),
        ("plots/alpha", ""),
    ):
        width, height, png = found[tag][0][1]
        picture = imageio.imread(png, format="png")
        assert picture.shape[:2] == (int(height), int(width))
        assert png == (folder.path / (path or "plots/alpha.png")).read_bytes()


def test_a_curve_is_a_table(folder):
    points = [
        CurvePoint(1, "smoothing", ImputationError(0.0123456789, 0.5)),
        CurvePoint(0.3, "generation", ImputationError(float("nan"), 2.0)),
    ]
    folder.write_curve("imputation_planning", points, "kvae")
    assert (folder.path / "imputation_planning.csv").read_text().splitlines() == [
        "x,model,method,wrong_pixels,normalised_rmse",
        "1,kvae,smoothing,0.0123457,0.5",
        "0.3,kvae,generation,nan,2",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run folder: it has no config.json"),
        (b"", "cannot be read"),
        (b'{"options": {"K": 3}', "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"null", "cannot be read"),
        (b"{}", "cannot be read"),
        (b'{"options": null}', "cannot be read"),
        (b'{"options": []}', "cannot be read"),
        (b'{"options": {"dim_zz": 3}}', "options of another version: Unknown option 'dim_zz'"),
        (b'{"options": {"K": "3"}}', "options of another version: K must be of type int"),
        (b'{"options": {"K": 0}}', "options of another version: K must be at least 1"),
    ],
)
def test_options_that_cannot_be_read_are_an_error(content, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    for read in (read_options, load):
        with pytest.raises(RunFolderError, match=message) as error:
            read(str(tmp_path))
        assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(RunFolderError, match="is not a run folder"):
        read_options(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be read"):
        read_options(tmp_path / "file")


def test_what_was_told_too_early_is_taken_back(folder):
    folder.record(1, 10, {"total": -1.0}, {"total": -2.0})
    sizes = folder.file_sizes()
    assert set(sizes) == {"metrics.csv", *(name for name in sizes if name[:5] in ("train", "test/"))}
    assert len(sizes) == 3
    folder.record(2, 20, {"total": -0.5}, {"total": -0.7})
    folder.close()

    # Another process goes on, and tells step 20 again.
    again = run_folder.RunFolder(folder.path)
    again.cut_back(sizes)
    again.record(2, 20, {"total": -0.6}, {"total": -0.8})
    again.close()
    with (folder.path / "metrics.csv").open(newline="") as file:
        rows = [(row["epoch"], row["train_elbo_total"]) for row in csv.DictReader(file)]
    assert rows == [("1", "-1"), ("2", "-0.6")]
    # Files of one second are read in the order of their names.
    found = sorted(
        (step, round(float(value), 3)) for step, value in events(folder.path / "test")["elbo/total"]
    )
    assert found == [(10, -2.0), (20, -0.8)]

    # From the very beginning: nothing is left.
    last = run_folder.RunFolder(folder.path)
    last.cut_back({})
    assert last.file_sizes() == {}


def test_options_are_a_row_of_tensorboards_table(folder, config):
    folder.events.add_options(dataclasses.replace(config, learn_noise=True))
    folder.close()
    accumulator = EventAccumulator(str(folder.path / "test"))
    accumulator.Reload()
    contents = accumulator.PluginTagToContent("hparams")
    started = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    session = started.hparams
    assert started.group_name == "first_kvae"
    assert session["dataset"].string_value == "box"
    assert session["K"].number_value == 2
    assert session["learn_noise"].bool_value is True
    assert session["num_filters"].string_value == "[4]"
    assert session["seed"].number_value == 0
    # What is the default would make the table wide.
    assert not {"alpha_rnn", "dim_a"} & set(session)
    # Where the run lies, and how it is looked at, changes nothing.
    assert not {"log_dir", "run_name", "resume", "num_paths"} & set(session)
    experiment = HParamsPluginData.FromString(contents["_hparams_/experiment"]).experiment
    assert {info.name for info in experiment.hparam_infos} == set(session)
    assert "elbo/total" in {info.name.tag for info in experiment.metric_infos}


def test_a_graph_is_an_event(folder):
    with tf.Graph().as_default() as graph, tf.name_scope("encoder"):
        tf.constant(1.0, name="one")
    folder.events.add_graph(graph)
    folder.close()
    accumulator = EventAccumulator(str(folder.path / "test"))
    accumulator.Reload()
    assert [node.name for node in accumulator.Graph().node] == ["encoder/one"]


def test_histograms_are_events(folder):
    folder.events.add_histograms({"dynamics/eigenvalue_moduli": np.array([0.5, 0.5, 1.5])}, 7)
    folder.close()
    ((step, buckets),) = events(folder.path / "test")["dynamics/eigenvalue_moduli"]
    assert step == 7
    assert buckets[:, 2].sum() == 3
    assert (buckets[0, 2], buckets[-1, 2]) == (2, 1)
