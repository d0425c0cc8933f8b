"""Draws are the caller's: the same seed, the same numbers, and looking changes nothing."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.models import draws
from kvae.models.factory import make_model
from kvae.runs import checkpoint
from tests.kvae.models.small import TINY, tiny, videos

MASK = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)

CALLS = {
    "impute": lambda model, seed: model.impute(videos(), MASK, num_samples=2, num_paths=20, seed=seed).codes,
    "samples": lambda model, seed: (
        model.impute(videos(), MASK, num_samples=2, num_paths=0, seed=seed).samples.codes
    ),
    "generate": lambda model, seed: model.generate(videos(), 9, 3, stochastic=True, seed=seed).codes,
    "sample": lambda model, seed: model.sample(3, 6, seed=seed).codes,
    "elbo": lambda model, seed: model.elbo(videos(), MASK, sampled_term=True, seed=seed).total,
}
ON_SAMPLES = {
    "reconstruct": lambda model, seed: model.reconstruct(videos(), seed=seed).codes,
    "filter": lambda model, seed: model.filter(videos(), MASK, seed=seed).codes,
    "smooth": lambda model, seed: model.smooth(videos(), MASK, seed=seed).codes,
    "infer": lambda model, seed: model.infer(videos(), MASK, seed=seed).filtered_codes,
}


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def on_samples():
    return tiny(evaluate_on_samples=True)


@pytest.mark.parametrize("name", [*CALLS, *ON_SAMPLES])
def test_the_same_seed_gives_the_same_numbers(name, model, on_samples):
    model, call = (on_samples, ON_SAMPLES[name]) if name in ON_SAMPLES else (model, CALLS[name])
    first = call(model, 3)
    # Whatever is drawn in between.
    assert np.abs(call(model, None) - call(model, None)).max() > 1e-6
    assert np.abs(first - call(model, 4)).max() > 1e-6
    np.testing.assert_array_equal(first, call(model, 3))


@pytest.mark.parametrize("kind", ["ae_rnn", "vae_rnn"])
def test_rivals_take_seeds_too(kind):
    model = make_model(Config(**TINY, model=kind))
    a, b, other, free = (
        model.generate(videos(), 9, 3, stochastic=True, seed=s).codes for s in (1, 1, 2, None)
    )
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - other).max() > 1e-6
    assert np.abs(a - free).max() > 1e-6
    np.testing.assert_array_equal(*(model.elbo(videos(), seed=5).total for _ in range(2)))


def test_what_is_looked_at_does_not_change_what_is_saved(tmp_path, model):
    model.compile()
    model.optimizer.build(model.trainable_variables)
    weights = model.get_weights()
    checkpoint.save(tmp_path / "before.npz", model, {})
    for call in CALLS.values():
        call(model, None)
    model.evaluate({"images": videos()}, batch_size=3, verbose=0)
    model.reset_metrics()
    checkpoint.save(tmp_path / "after.npz", model, {})
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    before, after = (np.load(tmp_path / f"{name}.npz") for name in ("before", "after"))
    assert before.files == after.files
    for name in before.files:
        np.testing.assert_array_equal(before[name], after[name])


def test_a_file_whose_last_weights_count_draws_is_read(tmp_path):
    """As files were written before draws had seeds: two numbers more among the model's own variables."""

    class Counting(type(tiny())):
        def save_own_variables(self, store):
            super().save_own_variables(store)
            count = len(store.keys())
            store[str(count)], store[str(count + 1)] = np.int64(7), np.int64(9)

    options = {"out_distr": "gaussian", "learn_pixel_var": True}
    counting = Counting(Config(**TINY, **options))
    counting.build((None, None, 8, 8))
    counting.log_pixel_var.assign_add(tf.ones([8, 8]))
    counting.save_weights(tmp_path / "old.weights.h5")
    model = tiny(**options)
    model.load_weights(tmp_path / "old.weights.h5")
    for expected, found in zip(counting.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_draws_are_decoded_one_by_one_and_on_average(model):
    codes = tf.random.stateless_normal([3, 5, 6, 2], [0, 1])
    each = draws.decode_each(model, codes)
    for number in range(5):
        np.testing.assert_allclose(each[:, number], model.decode(codes[:, number]).mean(), atol=1e-6)
    np.testing.assert_allclose(draws.decode_mean(model, codes), np.mean(each, axis=1), atol=1e-6)


def test_spread_draws_are_far_apart():
    found = draws.spread(tf.reshape(tf.range(2 * 24), [2, 24]), 3)
    np.testing.assert_array_equal(found, [[0, 8, 16], [24, 32, 40]])


@pytest.mark.parametrize("hidden", [0, 1, 7])
@pytest.mark.parametrize("traced", [False, True])
def test_frames_are_filled_with_the_mean_of_the_draws_where_they_are_hidden(model, hidden, traced):
    frames = np.random.default_rng(0).random([3, 6, 8, 8], np.float32)
    codes = tf.random.stateless_normal([3, 5, 6, 2], [0, 1])
    mask = np.ones([3, 6], np.float32)
    mask.flat[np.random.default_rng(1).choice(18, hidden, replace=False)] = 0
    call = functools.partial(draws.fill, model)
    if traced:
        call = tf.function(call)
    expected = np.where(mask[..., None, None] > 0, frames, draws.decode_mean(model, codes))
    np.testing.assert_allclose(call(tf.constant(frames), tf.constant(mask), codes), expected, atol=1e-6)
