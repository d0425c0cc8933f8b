"""The model against the original code of 2017: same weights, same frames, same numbers.

The folder `model` below KVAE_GOLDEN_DIR (by default tests/golden, whose README says what is in it) holds
weights and what the original computes from them, for any number of sequences and any masks.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.runs.weights import load_weights

FOLDER = Path(os.environ.get("KVAE_GOLDEN_DIR", Path(__file__).parents[2] / "golden")) / "model"


def golden():
    with np.load(FOLDER / "box.npz") as file:
        return {name: file[name] for name in file.files}


GOLDEN = golden()
MASKS = sorted(name.split("/")[0] for name in GOLDEN if name.endswith("/mask"))


def assert_close(found, expected, tolerance=1e-4, scale=None):
    """Agree within a fraction of a scale, by default the largest magnitude."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    scale = np.abs(expected).max() if scale is None else scale
    assert np.abs(found - expected).max() <= tolerance * scale


@pytest.fixture(scope="module")
def images():
    packed = GOLDEN["x"]
    bits = np.unpackbits(packed, axis=-1)
    return bits.reshape(*packed.shape[:-1], -1)


@pytest.fixture(scope="module")
def model(images):
    model = KVAE(Config(precision="float32"))
    model.build(images.shape)
    load_weights(model, FOLDER / "box_weights.npz")
    return model


@pytest.fixture(scope="module", params=MASKS)
def case(request):
    prefix = request.param + "/"
    found = {name.removeprefix(prefix): GOLDEN[name] for name in GOLDEN if name.startswith(prefix)}
    return request.param, found


def test_codes(model, images):
    q = model.encode(images)
    assert_close(q.mean(), GOLDEN["a_mean"])
    assert_close(q.variance(), GOLDEN["a_var"])


def test_decoded_frames(model, images):
    expected = GOLDEN["full/x_prob"]
    decoded = model.reconstruct(images).images.numpy()
    # The original clips its probabilities.
    assert_close(np.clip(decoded[:, [0, 5, 10, 15]], 1e-6, 1 - 1e-6).reshape(expected.shape), expected)


def masks_of(mask):
    """How the model can be told of a mask: fully observed sequences have a fast way of their own."""
    return [mask, None] if mask.all() else [mask]


def test_alpha_and_moments(model, images, case):
    _, expected = case
    codes = model.encode(images).mean()
    controls = tf.zeros([*codes.shape[:2], 1])
    for mask in masks_of(expected["mask"]):
        filtered, dynamics = model.lgssm.filter(codes, mask, controls)
        smoothed = model.lgssm.smooth(filtered, dynamics)
        assert_close(dynamics.model.C, expected["C"])
        assert_close(dynamics.model.A[:, 1:], expected["A_next"][:, :-1])
        assert_close(dynamics.alpha[:, 1:], expected["alpha_next"][:, :-1])
        assert_close(filtered.filtered_mean, expected["filtered_mean"])
        assert_close(filtered.filtered_cov, expected["filtered_cov"])
        assert_close(smoothed.smoothed_mean, expected["smoothed_mean"])
        assert_close(smoothed.smoothed_cov, expected["smoothed_cov"], tolerance=1e-2)
        assert_close(model.smooth(images, mask).codes, expected["a_smoothed"])


def test_bound(model, images, case):
    _, expected = case
    mask = expected["mask"]
    bound = model.elbo(images, mask, sample=False)
    # At the mean log q is a sum of logarithms that nearly cancel: what is added counts, not what is left.
    added = np.abs(0.5 * np.log(2 * np.pi * GOLDEN["a_var"])).sum(axis=-1)
    assert_close(bound.log_qa, expected["log_qa"], scale=(mask * added).sum() / mask.sum())
    logits = model.decoder(tf.reshape(model.encode(images).mean(), [-1, 2])).numpy()
    probabilities = np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
    p = np.clip(probabilities, 1e-6, 1 - 1e-6).reshape(images.shape)
    log_px = np.where(images > 0, np.log(p), np.log(1 - p)).sum(axis=(2, 3))
    assert_close((mask * log_px).sum() / mask.sum(), expected["log_px"])
    # Without the clipping, and by the model itself, it is a little higher.
    assert expected["log_px"] < bound.log_px < 0.9 * expected["log_px"]


def test_sampled_term(model, images, case):
    _, expected = case
    codes, mask = model.encode(images).mean(), tf.constant(expected["mask"], tf.float32)
    filtered, dynamics = model.lgssm.filter(codes, mask, tf.zeros([*codes.shape[:2], 1]))
    smoothed = model.lgssm.smooth(filtered, dynamics)
    num_draws, batch = 200, len(images)

    def repeated(tensor):
        return tf.tile(tensor, [num_draws, *[1] * (tensor.shape.rank - 1)])

    draws = model.lgssm.sampled_term(
        repeated(codes),
        repeated(mask),
        dynamics.map_sequences(repeated),
        tf.nest.map_structure(repeated, smoothed),
        noise=tf.random.stateless_normal([num_draws * batch, *smoothed.smoothed_mean.shape[1:]], [1, 2]),
    )
    draws = draws.numpy().reshape(num_draws, batch).sum(axis=1) / expected["mask"].sum()
    standard_error = np.hypot(draws.std() / np.sqrt(num_draws), expected["kf_elbo_sampled_sem"])
    assert abs(draws.mean() - expected["kf_elbo_sampled_mean"]) < 4 * standard_error
    assert model.elbo(images, mask, sample=False).exact > draws.mean() - 4 * standard_error


def test_imputation(model, images, case):
    _, expected = case
    if "wrong_pixels_smoothed" not in expected:
        pytest.skip("nothing is hidden under this mask")
    mask = expected["mask"]
    imputed = model.impute(images, mask, num_paths=0).images.numpy()
    wrong = ((imputed > 0.5) != (images > 0.5)).mean(axis=(2, 3))
    hidden = mask == 0
    # A pixel in 40,000 may fall on the other side of 0.5 by rounding.
    tolerance = max(2.5e-5, 1.01 / (hidden.sum() * images[0, 0].size))
    assert wrong[hidden].mean() == pytest.approx(expected["wrong_pixels_smoothed"], abs=tolerance)
    assert (wrong[~hidden] == 0).all()
    # The same weights do better when hidden codes are sampled: far better where the gap is long.
    sampled = model.impute(images, mask).images.numpy()
    wrong_when_sampled = ((sampled > 0.5) != (images > 0.5)).mean(axis=(2, 3))[hidden].mean()
    longest_gap = (mask == 0).sum(axis=1).max()
    assert wrong_when_sampled < (0.7 if longest_gap > 10 else 1) * wrong[hidden].mean()


def test_roll_out(model, images):
    num_steps = GOLDEN["generate/a"].shape[1]
    num_given = GOLDEN["generate/start_mean"].shape[1]
    generated = model.generate(images, num_steps, num_given)
    assert_close(generated.states.mean[:, :num_given], GOLDEN["generate/start_mean"])
    assert_close(generated.states.mean, GOLDEN["generate/z"])
    assert_close(generated.codes, GOLDEN["generate/a"])
    assert_close(generated.alpha[:, 1:], GOLDEN["generate/alpha_next"][:, :-1])
