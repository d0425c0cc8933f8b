import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.errors import TrainingError
from kvae.models.kvae import KVAE
from kvae.models.rivals import RecurrentAutoencoder
from kvae.training import refinement
from kvae.training.refinement import EncodedSequences


def tiny(**options):
    model = KVAE(Config(**{"num_filters": (4,), "alpha_units": 5, "batch_size": 4, **options}))
    model.build((None, None, 8, 8))
    return model


def videos(count=10, dim_u=0):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 2, [count, 5, 8, 8]).astype(np.uint8)
    return Dataset(images, rng.normal(size=[count, 5, dim_u]).astype(np.float32), None)


def lines(count=64, num_steps=8):
    """Codes on straight lines, known to 0.1."""
    start, velocity = np.random.default_rng(0).normal(size=[2, count, 1, 2])
    mean = np.float32(start + velocity * np.arange(num_steps)[:, None])
    return EncodedSequences(mean, np.full_like(mean, 0.1), np.zeros([count, num_steps, 1], np.float32), None)


def log_likelihood(model, codes):
    """Per frame, of the means."""
    return float(tf.reduce_mean(model.lgssm.filter(codes.mean, None, codes.controls)[0].log_likelihood))


def test_every_sequence_is_encoded_once():
    model, dataset = tiny(dim_u=2), videos(dim_u=2)
    mask = np.ones([10, 5])
    found = refinement.encode(model, dataset, mask)
    q = model.encode(dataset.images)
    np.testing.assert_allclose(found.mean, q.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.stddev, q.stddev(), rtol=1e-5)
    np.testing.assert_array_equal(found.controls, dataset.controls)
    assert found.mask is mask


def test_without_controls_they_are_zero_and_without_noise_the_codes_are_the_means():
    found = refinement.encode(tiny(use_vae=False, dim_u=3), videos())
    np.testing.assert_array_equal(found.controls, np.zeros([10, 5, 3]))
    np.testing.assert_array_equal(found.stddev, np.zeros([10, 5, 2]))


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_motion_is_found(masked):
    """The likelihood ends near that of the true model, also if half of the frames must do."""
    model, codes = tiny(K=1, learn_noise=True), lines()
    if masked:
        seen = np.random.default_rng(1).random([64, 8]) < 0.5
        hidden = np.where(seen[..., None], codes.mean, np.float32(np.nan))
        codes = codes._replace(mean=hidden, mask=np.float32(seen))
    before = log_likelihood(model, lines())
    updates = refinement.refine(model, codes, num_epochs=300, learning_rate=0.02)
    assert updates == 300
    # In each of two dimensions six of eight steps are known to 0.1, two are as wide as start and velocity.
    best = (6 * 2 * -np.log(0.1) - 8 * 2 * 0.5 * (1 + np.log(2 * np.pi))) / 8
    assert before < best - 3
    assert best - 1.2 < log_likelihood(model, lines()) < best + 1


@pytest.mark.parametrize("masked", [False, True])
def test_a_recurrent_rival_learns_to_predict_codes(masked):
    """Before it has learned anything it is a code's own size off."""
    config = Config(model="vae_rnn", num_filters=(4,), alpha_units=20, noise_emission=0.1)
    model, codes = RecurrentAutoencoder(config), lines()
    model.build((None, None, 8, 8))
    codes = codes._replace(mean=codes.mean / codes.mean.std())
    means = tf.constant(codes.mean)
    if masked:
        seen = np.random.default_rng(1).random([64, 8]) < 0.8
        hidden = np.where(seen[..., None], codes.mean, np.float32(np.nan))
        codes = codes._replace(mean=hidden, mask=np.float32(seen))

    def error():
        predicted, _ = model.predictor(means, tf.ones([64, 8]), tf.zeros([64, 8, 1]), tf.zeros_like(means))
        return float(tf.sqrt(tf.reduce_mean((predicted - means)[:, 2:] ** 2)))

    decoder = [weight.numpy() for weight in model.decoder.weights]
    before = error()
    refinement.refine(model, codes, num_epochs=200, learning_rate=0.02)
    assert error() < 0.25 < before
    for weight, old in zip(model.decoder.weights, decoder, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_encoder_and_decoder_stay_and_a_repetition_ends_the_same(without_xla):
    ends = []
    for _ in range(2):
        model = tiny(learn_noise=True, learn_offset=True)
        networks = [*model.encoder.weights, *model.decoder.weights]
        before = [weight.numpy() for weight in networks]
        assert refinement.refine(model, lines(70), num_epochs=2, learning_rate=0.01) == 4
        for weight, old in zip(networks, before, strict=True):
            np.testing.assert_array_equal(weight, old)
        ends.append([weight.numpy() for weight in model.lgssm.trainable_variables])
    for first, second in zip(*ends, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)
    start = [weight.numpy() for weight in tiny(learn_noise=True, learn_offset=True).lgssm.trainable_variables]
    assert all(np.abs(end - old).max() > 0 for end, old in zip(ends[0], start, strict=True))


def test_a_likelihood_that_is_not_finite_ends_it_and_names_the_batch():
    codes = lines()
    codes.mean[5, 3] = np.inf
    with pytest.raises(TrainingError, match=r"epoch 1 of the dynamics alone.* the sequences .*\b5\b"):
        refinement.refine(tiny(), codes, num_epochs=2, learning_rate=0.01)


@pytest.mark.parametrize("masked", [False, True])
def test_every_pass_sees_every_sequence_and_padding_counts_for_nothing(monkeypatch, masked):
    model, codes, seen = tiny(), lines(70), []
    if masked:
        codes = codes._replace(mask=np.float32(np.random.default_rng(1).random([70, 8]) < 0.5))
    codes = codes._replace(stddev=np.zeros_like(codes.mean))

    def likelihood(batch, mask, controls, weight):
        def note(batch, mask, weight):
            seen.append((batch, mask, weight))

        tf.numpy_function(note, [batch, tf.ones([64, 8]) if mask is None else mask, weight], [])
        return tf.reduce_sum(weight[:, None, None] * batch)

    monkeypatch.setattr(model, "codes_log_likelihood", likelihood)
    refinement.refine(model, codes, num_epochs=1, learning_rate=0.0)
    found = np.concatenate([batch[weight > 0] for batch, _, weight in seen])
    assert [(weight > 0).sum() for *_, weight in seen] == [64, 6]
    np.testing.assert_array_equal(np.sort(found[:, 0, 0]), np.sort(codes.mean[:, 0, 0]))
    # The mean is that over the frames that are observed.
    for _, mask, weight in seen:
        assert (weight[:, None] * mask).sum() == pytest.approx(1, rel=1e-5)


def test_codes_are_hidden_anew_at_each_step(monkeypatch):
    model, masks = tiny(refine_miss_prob=0.25, refine_epochs=1), []
    gone = np.random.default_rng(1).random([64, 8]) < 0.5
    codes = lines()._replace(mask=np.float32(~gone))

    def likelihood(batch, mask, controls, weight):
        tf.numpy_function(lambda *found: masks.append(found), [mask, weight], [])
        return tf.reduce_sum(weight[:, None, None] * batch)

    monkeypatch.setattr(model, "codes_log_likelihood", likelihood)
    # Of a batch that holds all sequences, in the order of the pass.
    orders = iter([np.arange(64)] * 20)
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed, make=np.random.default_rng: _InOrder(make(seed), orders)
    )
    refinement.refine(model, codes, num_epochs=20, learning_rate=0.0)
    assert len(masks) == 20
    for mask, weight in masks:
        # Who has no code has none in training either.
        assert not mask[gone].any()
        assert (mask * weight[:, None]).sum() == pytest.approx(1, rel=1e-5)
    share = np.mean([mask[~gone].mean() for mask, _ in masks])
    assert share == pytest.approx(0.75, abs=0.03)
    assert not np.array_equal(masks[0][0], masks[1][0])


class _InOrder:
    """A generator of random numbers whose permutations are known."""

    def __init__(self, generator, orders):
        self._generator, self._orders = generator, orders

    def permutation(self, count):
        return next(self._orders)

    def __getattr__(self, name):
        return getattr(self._generator, name)


def test_the_dynamics_that_are_best_on_codes_held_out_are_kept(monkeypatch):
    """Of likelihoods that rise and fall; without any held out the last are kept."""
    model, told = tiny(), iter([1.0, 3.0, 2.0, 0.0])
    monkeypatch.setattr(refinement, "NUM_JUDGED", 4)
    monkeypatch.setattr(refinement._Judge, "_of", lambda self, *draws: tf.constant(0.0))
    seen = []

    def look(self, look=refinement._Judge.look):
        self._likelihood = lambda *draws: next(told)
        seen.append([variable.numpy() for variable in model.dynamics_variables])
        look(self)

    monkeypatch.setattr(refinement._Judge, "look", look)
    refinement.refine(model, lines(), num_epochs=8, learning_rate=0.01, validation=lines(5))
    assert len(seen) == 4
    for found, wanted in zip(model.dynamics_variables, seen[1], strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert any(not np.array_equal(wanted, last) for wanted, last in zip(seen[1], seen[3], strict=True))


def test_what_is_learned_by_heart_is_not_kept(without_xla):
    """Two sequences, learned for long: the likelihood of others falls, but not that of what is kept."""
    few, others = (
        EncodedSequences(
            np.float32(np.random.default_rng(seed).normal(size=[count, 8, 2])),
            np.zeros([count, 8, 2], np.float32),
            np.zeros([count, 8, 1], np.float32),
            None,
        )
        for seed, count in ((0, 2), (1, 64))
    )
    found = []
    for validation in (None, others):
        model = tiny(learn_noise=True)
        refinement.refine(model, few, num_epochs=100, learning_rate=0.05, validation=validation)
        found.append(log_likelihood(model, others))
    assert found[1] > found[0] + 1
