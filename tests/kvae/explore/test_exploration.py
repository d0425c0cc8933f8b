"""What the page shows: held to the model's own methods, to the truth, and to algebra."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kvae import data
from kvae.config import Config
from kvae.config.datasets import cut_of
from kvae.data import Dataset
from kvae.errors import UserError
from kvae.explore import __main__ as command
from kvae.explore import figures, html, rows, source, words
from kvae.explore.plane import Plane
from kvae.explore.session import NUM_SAMPLES, Exploration, wrong_pixels
from kvae.explore.situation import MAX_FUTURE, in_words, middle
from kvae.models.kvae import KVAE
from kvae.runs.load import load
from kvae.runs.options import read_options
from kvae.videos import dataset as video_dataset

ROOT = Path(__file__).parents[3]
BOX = ROOT / "pretrained" / "box"


@pytest.fixture(scope="module")
def box():
    # With bfloat16 two graphs of the same function differ by more than these tests allow.
    options = read_options(BOX) | {"precision": "float32"}
    model = load(BOX, Config.from_dict(options))
    dataset, _ = source.sequences(model, None, command.simulated)
    return Exploration(model, dataset, num_paths=300)


def tiny(dim_u=0, channels=1, **options):
    """An untrained model of small frames, and two sequences for it."""
    config = Config(num_filters=(4,), K=2, alpha_units=4, precision="float32", dim_u=dim_u or 1, **options)
    model = KVAE(config)
    rng = np.random.default_rng(0)
    images = (rng.random([2, 6, 8, 8] + [3] * (channels == 3)) > 0.5).astype(np.uint8) * 255
    model.build(images.shape)
    return model, Dataset(images, rng.normal(size=[2, 6, dim_u]).astype(np.float32), None)


def test_seen_frames_are_shown_as_they_are(box):
    look = box.look(1, (4, 5, 9))
    np.testing.assert_array_equal(np.flatnonzero(look.hidden), [4, 5, 9])
    np.testing.assert_array_equal(look.truth, box.dataset.images[1] > 0)
    np.testing.assert_array_equal(look.filled[~look.hidden], look.truth[~look.hidden])
    assert look.samples.shape == (NUM_SAMPLES, *look.truth.shape)
    for sample in look.samples:
        np.testing.assert_array_equal(sample[~look.hidden], look.truth[~look.hidden])


def test_hidden_frames_are_filled_in_well(box):
    hidden = middle(20)
    assert hidden == tuple(range(4, 16))
    looks = [box.look(sequence, hidden) for sequence in range(8)]
    filled, filtered = (
        np.mean([wrong_pixels(getattr(look, name), look) for look in looks])
        for name in ("filled", "filtered")
    )
    # With 13 frames hidden, the whole test set: 0.0036 by sampling, 0.0147 by filtering
    # (results/more_data/runs/reproduce_box_0_kvae).
    assert filled < 0.008
    assert 1.5 * filled < filtered < 0.03


def test_it_is_what_the_model_s_methods_return(box):
    model, images = box.model, box.dataset.images[2:3]
    look = box.look(2, middle(20))
    mask = 1 - look.hidden[None].astype(np.float32)
    np.testing.assert_allclose(look.filtered, model.filter(images, mask).images[0], atol=1e-4)
    np.testing.assert_allclose(look.encoded, model.reconstruct(images).codes[0], atol=1e-4)
    imputed = model.impute(images, mask)
    # Two sets of draws from the same posterior.
    assert np.abs(look.filled - imputed.images[0].numpy()).mean() < 0.01
    assert np.abs(look.mean - imputed.codes[0].numpy()).mean() < 0.1
    assert np.abs(look.alpha - imputed.alpha[0].numpy()).mean() < 0.05


def test_with_every_frame_seen_the_posterior_is_the_smoother_s(box):
    look, smoothed = box.look(3, ()), box.model.smooth(box.dataset.images[3:4])
    np.testing.assert_allclose(look.mean, smoothed.codes[0], atol=1e-3)
    C = box.model.lgssm.mix(smoothed.alpha)[2][0].numpy()
    cov = np.einsum("tij,tjk,tlk->til", C, smoothed.states.cov[0].numpy(), C)
    np.testing.assert_allclose(look.cov, cov, rtol=1e-2, atol=1e-5)
    assert wrong_pixels(look.filled, look) is None


def test_a_hidden_frame_is_less_certain_and_is_not_looked_at(box):
    look, all_seen = box.look(7, middle(20)), box.look(7, ())
    spread, with_all_seen = (np.trace(found.cov, axis1=1, axis2=2) for found in (look, all_seen))
    assert (spread[8:12] > 1.5 * with_all_seen[8:12]).all()
    images = box.dataset.images.copy()
    images[7, 4:16] = 0
    original, box.dataset = box.dataset, box.dataset._replace(images=images)
    try:
        other = box.look(7, middle(20))
    finally:
        box.dataset = original
    for name in ("filled", "filtered", "samples", "mean", "cov", "alpha"):
        np.testing.assert_array_equal(getattr(other, name), getattr(look, name))


def test_futures_go_on_from_the_end_each_its_own_way(box):
    look = box.look(0, ())
    future = box.imagine(look, 30)
    assert future.images.shape == (NUM_SAMPLES, 30, 32, 32)
    np.testing.assert_array_equal(box.imagine(look, 5).codes, future.codes[:, :5])
    # The ball moves by less than that in a step, and the codes reach from -5 to 5.
    assert np.abs(future.codes[:, 0] - look.encoded[-1]).max() < 2
    assert np.ptp(future.codes[:, -1], axis=0).max() > 0.1
    # Alpha goes on from the codes that were seen, not from draws of them.
    seen, u = tf.repeat(look.encoded[None], NUM_SAMPLES, axis=0), tf.zeros([NUM_SAMPLES, 20 + MAX_FUTURE, 1])
    rolled = box.model.lgssm.roll_out(tf.constant(look.states), u, tf.constant([0, 1]), given_codes=seen)
    np.testing.assert_allclose(future.codes, rolled.codes[:, 20:50], rtol=1e-3, atol=1e-3)
    # There is a ball in every frame: walls and all, about as many bright pixels as in the truth.
    bright = (future.images > 0.5).sum(axis=(2, 3))
    assert np.abs(bright - look.truth.sum(axis=(1, 2)).mean()).max() < 25


def test_draws_depend_on_the_seed_alone(box):
    a, b, c = (box.look(5, middle(20), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.samples, b.samples)
    assert np.abs(a.samples - c.samples).max() > 0.1


def test_nothing_is_traced_again(box):
    for sequence in range(3):
        look = box.look(sequence, tuple(range(sequence)))
        box.imagine(look, 1 + sequence)
    assert box.num_traces == 2
    start = time.perf_counter()
    box.look(0, middle(20))
    # A tenth of that on a machine with nothing else to do; tracing takes ten seconds.
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize(
    ("dim_a", "dim_u", "options"),
    [
        (1, 0, {}),
        (3, 2, {"out_distr": "gaussian", "alpha_rnn": False, "learn_noise": True}),
        (1, 0, {"channels": 3}),
    ],
)
def test_every_kind_of_model_is_shown(dim_a, dim_u, options, eagerly):
    model, dataset = tiny(dim_u, dim_a=dim_a, **options)
    exploration = Exploration(model, dataset, num_paths=10)
    assert exploration.plane.note
    # All frames may be hidden, the first too.
    for hidden in ((), (0, 3), tuple(range(6))):
        look = exploration.look(1, hidden)
        assert all(np.isfinite(array).all() for array in look)
    future = exploration.imagine(look, MAX_FUTURE)
    figure = figures.code_plane(exploration.plane, look, exploration.codes, future)
    assert html.plot(figure, "codes").startswith("<svg")
    # The screens, six frames of each row, and how the samples go on.
    assert html.film(rows.of(look, future)).count("<img") == 7 + 7 * 6 + 3 * MAX_FUTURE
    assert figures.alpha_over_time(look).axes


def test_grey_targets_are_shown_as_grey_as_they_are(eagerly):
    model, dataset = tiny(grey_targets=True)
    dataset = dataset._replace(images=dataset.images // 3)
    look = Exploration(model, dataset, num_paths=4).look(1, (2, 3))
    np.testing.assert_allclose(look.truth, dataset.images[1] / 255, atol=1e-6)
    np.testing.assert_array_equal(look.filled[~look.hidden], look.truth[~look.hidden])


@pytest.mark.parametrize("num_paths", [0, 6])
def test_as_many_paths_are_followed_as_the_run_says(num_paths, monkeypatch, eagerly):
    given = []
    sample = KVAE.sample_posterior

    def noted(self, codes, mask, u, num_paths, *others):
        given.append(num_paths)
        return sample(self, codes, mask, u, num_paths, *others)

    monkeypatch.setattr(KVAE, "sample_posterior", noted)
    model, dataset = tiny(num_paths=num_paths)
    look = Exploration(model, dataset).look(0, (2, 3))
    assert set(given) == {num_paths}
    assert np.isfinite(look.filled).all()


def test_sequences_that_do_not_fit_are_refused(box):
    _, dataset = tiny(dim_u=3)
    with pytest.raises(UserError, match=r"built for frames of 32x32. Received: frames of 8x8.*--data"):
        Exploration(box.model, dataset)
    other, _ = tiny(dim_u=2)
    with pytest.raises(UserError, match="takes 2 controls per step, but the data have 3"):
        Exploration(other, dataset)
    for sequence, hidden in ((-1, ()), (len(box.dataset.images), ()), (0, (20,))):
        with pytest.raises(IndexError, match="Received"):
            box.look(sequence, hidden)
    with pytest.raises(ValueError, match="Received: 61"):
        box.imagine(box.look(0, ()), 61)


def test_the_plane_of_many_dimensions_keeps_most_of_the_variance():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=[5, 40, 4]) * [0.1, 3, 0.1, 2] + 7
    plane = Plane.of(codes)
    points = plane.points(codes)
    assert points.shape == (5, 40, 2)
    np.testing.assert_allclose(points.reshape(-1, 2).mean(axis=0), 0, atol=1e-9)
    # Distances along the two large dimensions stay what they are, and covariances go with the points.
    difference = np.linalg.norm(codes[0, 0, [1, 3]] - codes[0, 1, [1, 3]])
    assert np.linalg.norm(points[0, 0] - points[0, 1]) == pytest.approx(difference, rel=0.05)
    flat = codes.reshape(-1, 4)
    np.testing.assert_allclose(
        plane.covariances(np.cov(flat.T)), np.cov(points.reshape(-1, 2).T), rtol=1e-6, atol=1e-9
    )
    assert "4 dimensions" in plane.note


def test_hidden_frames_in_words(box):
    for hidden, text in (((), "none"), ((0,), "1"), ((4, 5, 6, 8, 19), "5-7, 9, 20")):
        assert in_words(box.look(0, hidden).hidden) == text
    look = box.look(0, (4, 5, 6))
    assert "Hidden frames: 5-7.</b> Wrong pixels" in words.frames(look)
    # Of grey pixels none is simply wrong.
    assert "Wrong" not in words.frames(look, is_binary=False)
    assert "&lt;b&gt;" in words.about("<b>", "file")


def test_sequences_come_from_a_file_or_are_simulated(box, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"images": box.dataset.images[:2].astype(np.float32) / 255}
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "box_test.npz", **arrays)
    dataset, name = source.sequences(box.model, None, command.simulated)
    assert (len(dataset.images), name) == (2, "data/box_test.npz")
    # Another's colours are turned to what the model takes.
    np.savez("colours.npz", images=np.repeat(arrays["images"][..., None], 3, axis=-1))
    grey, name = source.sequences(box.model, Path("colours.npz"), command.simulated)
    assert name == "colours.npz in grey"
    np.testing.assert_allclose(grey.images, dataset.images, atol=1e-6)
    with pytest.raises(UserError, match=r"no dataset file other\.npz"):
        source.sequences(box.model, Path("other.npz"), command.simulated)
    small, _ = tiny(dataset="lattice")
    with pytest.raises(UserError, match="name a dataset file with --data"):
        source.sequences(small, None, command.simulated)


def test_videos_in_memory_are_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, _ = tiny(dataset="videos_in_memory")
    with pytest.raises(UserError, match="learned from arrays in memory: name a dataset file"):
        source.sequences(model, None, command.simulated)


def test_own_videos_bring_their_test_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "clips").mkdir()
    for number in range(3):
        np.save(tmp_path / "clips" / f"{number}.npy", rng.integers(0, 256, [6, 8, 8], np.uint8))
    model, _ = tiny(dataset="clips/", frame_size=(8,), timesteps=6)
    with pytest.raises(
        UserError, match=r"sequences of clips/, are not in data\. .*--reload_model.*--data FILE"
    ):
        source.sequences(model, None, command.simulated)
    # As the run made them; the same cut otherwise, later, is not taken for it.
    cut = cut_of(model.config)
    made = video_dataset.ensure("clips/", "data", cut, report=str)
    video_dataset.ensure("clips", "data", cut._replace(stride=1), report=str)
    shutil.rmtree("clips")
    dataset, name = source.sequences(model, None, command.simulated)
    assert name == str(made.test)
    np.testing.assert_array_equal(dataset.images, data.load(made.test).images)


@pytest.mark.parametrize(
    ("folder", "message"), [("nowhere", "not a run folder"), ("rival", "is a run of ae_rnn")]
)
def test_mistakes_end_in_a_message(folder, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: name)
    (tmp_path / "rival").mkdir()
    (tmp_path / "rival" / "config.json").write_text('{"options": {"model": "ae_rnn"}}')
    assert command.main([str(tmp_path / folder)]) == 2
    assert message in capsys.readouterr().err


def test_without_gradio_it_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert command.main([str(BOX)]) == 2
    assert 'pip install -e ".[explore]"' in capsys.readouterr().err


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < command.free_port(port) < port + 20
    with pytest.raises(UserError, match="Received: 70000"):
        command.free_port(70000)


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("kvae.explore", ["--help"], "--port"),
        ("kvae.explore", ["nowhere"], "nowhere is not a run folder"),
        ("kvae.explore", ["nowhere.keras"], "There is no file nowhere.keras"),
        ("kvae.apply", ["--help"], "--hide"),
        ("kvae.apply", ["nowhere", "results/box/filling.gif", "--hide", "3"], "nowhere is not a run folder"),
        ("kvae.apply", ["pretrained/box", "nowhere.mp4", "--hide", "3"], "nowhere.mp4"),
        ("kvae.apply", ["pretrained/box", "results/box/filling.gif", "--samples", "17"], "between 0 and 16"),
    ],
)
def test_help_and_mistakes_need_no_tensorflow(module, arguments, said):
    script = f"""
import importlib.util, sys
# Whether it is installed is another question.
importlib.util.find_spec = lambda name, package=None: name
from {module}.__main__ import main
try:
    main({arguments})
finally:
    print([name for name in ("tensorflow", "gradio", "simulation") if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert said in result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
