"""Scores by hand, and what a model is shown."""

import math

import numpy as np
import pytest

from experiments.peers import scores, tasks
from experiments.peers.tasks import Split, line
from kvae.config import Config
from kvae.models.kvae import KVAE


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    found = [line().sample_sequence(np.random.default_rng(n), 6) for n in range(3)]
    images, states, _ = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    exists = rng.random([3, 6]) < 0.8
    seen = exists & (rng.random([3, 6]) < 0.6)
    exists[:, 1], seen[:, 0] = True, exists[:, 0]
    return Split(images, states, exists, seen & exists)


@pytest.fixture(scope="module")
def model():
    built = KVAE(Config(num_filters=(4,), K=2, alpha_units=4, grey_targets=True, precision="float32"))
    built.build((None, None, 24, 24))
    rng = np.random.default_rng(1)
    built.lgssm.C.assign(rng.normal(size=built.lgssm.C.shape))
    return built


def test_cross_entropy_pixel_by_pixel():
    rng = np.random.default_rng(0)
    p, x = rng.random([2, 3, 4]), rng.random([2, 3, 4])
    p[0, 0, 0], p[1, 2, 3] = 0, 1
    for n in range(2):
        total = 0.0
        for p_i, x_i in zip(p[n].ravel(), x[n].ravel(), strict=True):
            p_i = min(max(p_i, 1e-6), 1 - 1e-6)
            total -= x_i * math.log(p_i) + (1 - x_i) * math.log(1 - p_i)
        assert scores.cross_entropy(p, x)[n] == pytest.approx(total, rel=1e-12)


def test_nothing_is_below_the_entropy_of_the_targets():
    rng = np.random.default_rng(0)
    x = rng.random([5, 4, 4])
    x[0] = 0
    x[1] = 1
    least = scores.entropy(x)
    np.testing.assert_array_equal(least[:2], 0)
    np.testing.assert_allclose(least[2:], scores.cross_entropy(x, x)[2:], rtol=1e-12)
    assert (scores.cross_entropy(np.clip(x + 0.01, 0, 1), x)[2:] > least[2:]).all()


def test_a_score_is_over_the_frames_that_it_is_said_to_be(split):
    filled = np.random.default_rng(0).random(split.images.shape)
    sums = scores.Sums()
    sums.add(filled[:2], split.first(2))
    sums.add(filled[2:], Split(*(array[2:] for array in split)))
    entropies, errors, means = [], [], []
    for n in range(3):
        of_sequence = []
        for t in range(6):
            truth = split.images[n, t] / 255
            if split.exists[n, t]:
                entropies.append(scores.cross_entropy(filled[n, t], truth))
            if split.exists[n, t] and not split.seen[n, t]:
                of_sequence.append(np.mean((filled[n, t] - truth) ** 2))
        errors += of_sequence
        if of_sequence:
            means.append(np.mean(of_sequence))
    found = sums.score()
    assert found.cross_entropy == pytest.approx(np.mean(entropies))
    assert found.squared_error == pytest.approx(np.mean(errors))
    assert found.median == pytest.approx(np.median(means))
    assert 0 < found.standard_error < found.squared_error


def test_the_last_frame_seen(split):
    otherwise = np.full([24, 24], 0.3)
    found = scores.last_seen(split, otherwise)
    for n in range(3):
        expected = otherwise
        for t in range(6):
            if split.seen[n, t]:
                expected = split.images[n, t] / 255
            np.testing.assert_array_equal(found[n, t], expected)


def test_others_know_nothing_or_all(split):
    task = tasks.TASKS["cru"]
    found = scores.of_others(task, split, split)
    assert list(found) == ["floor", "perfect observer", "last frame seen", "mean image"]
    assert found["floor"].cross_entropy < found["perfect observer"].cross_entropy
    errors = [found[name].squared_error for name in ("floor", "perfect observer", "last frame seen")]
    assert errors == sorted(errors)
    mean = split.images[split.exists].mean(axis=0) / 255
    judged = split.exists & ~split.seen
    expected = ((mean - split.images[judged] / 255) ** 2).mean()
    assert found["mean image"].squared_error == pytest.approx(expected)


def test_a_model_fills_in_by_its_own_methods(split, model):
    ((part, filled),) = scores.fills(model, split, 30)
    assert len(part.images) == 3
    seen, hidden = split.seen, ~split.seen
    smoothed = model.smooth(split.images, seen.astype(np.float32)).images.numpy()
    filtered = model.filter(split.images, seen.astype(np.float32)).images.numpy()
    np.testing.assert_allclose(filled["smoothing"][hidden], smoothed[hidden], atol=1e-5)
    np.testing.assert_allclose(filled["filtering"][hidden], filtered[hidden], atol=1e-5)
    decoded = model.reconstruct(split.images).images.numpy()
    for method in scores.METHODS:
        np.testing.assert_allclose(filled[method][seen], decoded[seen], atol=1e-5)
    # By sampling it is near what `impute` says, with other draws.
    imputed = model.impute(split.images, seen.astype(np.float32), num_paths=1000).images.numpy()
    np.testing.assert_allclose(filled["sampling"][hidden], imputed[hidden], atol=0.05)


def test_what_is_hidden_is_not_looked_at(split, model):
    images = np.where(split.seen[..., None, None], split.images, np.uint8(99))
    ((_, filled),) = scores.fills(model, split, 30)
    ((_, again),) = scores.fills(model, split._replace(images=images), 30)
    for method in scores.METHODS:
        np.testing.assert_array_equal(filled[method], again[method])
    # Filtering looks back alone.
    late = split._replace(seen=split.seen & (np.arange(6) < 3))
    ((_, early),) = scores.fills(model, late, 30)
    hidden = ~split.seen[:, :3]
    np.testing.assert_allclose(
        early["filtering"][:, :3][hidden], filled["filtering"][:, :3][hidden], atol=1e-6
    )


def test_the_strip_is_drawn(split, model, tmp_path):
    scores.draw_strip(model, split, 30, tmp_path / "strip.png", num_steps=4)
    assert (tmp_path / "strip.png").read_bytes().startswith(b"\x89PNG")
