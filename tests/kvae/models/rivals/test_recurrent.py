import numpy as np
import pytest
import tensorflow as tf

from kvae import evaluation
from kvae.config import Config, ConfigError
from kvae.config.start import preset_options
from kvae.data import masks
from kvae.data.batches import Batches
from kvae.data.dataset import Dataset
from kvae.models import seeds
from kvae.models.rivals import RecurrentAutoencoder
from kvae.training.schedule import Schedule

TINY = dict(num_filters=(4,), alpha_units=5, precision="float32", t_init_mask=2, t_steps_mask=2)
MODELS = ("ae_rnn", "vae_rnn")


def videos(num_sequences=3, num_steps=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random([num_sequences, num_steps, 8, 8]) > 0.5).astype(np.uint8) * 255


def tiny(kind, **options):
    model = RecurrentAutoencoder(Config(model=kind, **{**TINY, **options}))
    model.build((None, None, 8, 8))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return model


def naive(model, codes, mask, u):
    """Go through one sequence step by step: predictions, and what the network goes on from."""
    predictor, predicted, fed = model.predictor, [], []
    kernel, recurrent, bias = (weight.numpy() for weight in predictor.cell.trainable_variables)
    code = predictor.a_0.numpy()
    hidden = memory = np.zeros(predictor.cell.units)
    for t in range(len(codes)):
        gates = np.concatenate([code, u[t]]) @ kernel + hidden @ recurrent + bias
        i, f, c, o = np.split(gates, 4)
        memory = memory / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
        hidden = np.tanh(memory) / (1 + np.exp(-o))
        predicted.append(hidden @ predictor.dense.kernel.numpy() + predictor.dense.bias.numpy())
        code = codes[t] if mask[t] else predicted[-1]
        fed.append(code)
    return np.array(predicted), np.array(fed)


@pytest.mark.parametrize("kind", MODELS)
def test_a_missing_code_is_replaced_by_its_prediction(kind):
    model, images = tiny(kind, dim_u=2), videos()
    rng = np.random.default_rng(0)
    mask = rng.random([3, 6]) > 0.4
    u = rng.normal(size=[3, 6, 2]).astype(np.float32)
    codes = model.reconstruct(images).codes.numpy()
    found = model.infer_codes(tf.constant(codes), mask, u)
    assert found.smoothed_codes is None
    for n in range(3):
        _, fed = naive(model, codes[n], mask[n], u[n])
        np.testing.assert_allclose(found.filtered_codes[n], fed, atol=1e-5)
    # Frames that are missing are not looked at.
    images[~mask] = 0
    np.testing.assert_allclose(model.filter(images, mask, u).codes, found.filtered_codes, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("missing", [False, True])
def test_what_is_maximised(kind, missing):
    model, images = tiny(kind), videos()
    mask = np.ones([3, 6], np.float32)
    if missing:
        mask[:, 2:5] = 0
    bound = model.elbo(images, mask, seed=5)
    q = model.encode(images)
    # The draw that elbo made.
    codes = q.mean()
    if kind == "vae_rnn":
        codes += q.stddev() * tf.random.stateless_normal(codes.shape, next(seeds.stream(5)))
    predicted = np.array([naive(model, codes.numpy()[n], mask[n], np.zeros([6, 1]))[0] for n in range(3)])
    count, pixels = mask.sum(), model.pixels(images)
    log_px = np.sum(mask * model.decode(codes).log_prob(pixels)) / count
    assert float(bound.log_px) == pytest.approx(log_px, rel=1e-5)
    if kind == "vae_rnn":
        variance = np.full([6, 2], model.config.noise_emission)
        variance[0] = np.exp(model.predictor.first_log_variance.numpy())
        log_prior = -0.5 * ((codes - predicted) ** 2 / variance + np.log(2 * np.pi * variance))
        prediction = np.sum(mask * np.sum(log_prior, axis=-1)) / count
        log_qa = np.sum(mask * q.log_prob(codes)) / count
    else:
        prediction = np.sum(mask * model.decode(predicted).log_prob(pixels)) / count
        log_qa = 0.0
    assert float(bound.state_space) == pytest.approx(prediction, rel=1e-4)
    assert float(bound.log_qa) == pytest.approx(log_qa, rel=1e-4, abs=1e-6)
    assert float(bound.total) == pytest.approx(log_px - log_qa + prediction, rel=1e-4)
    # Sequences that fill up a batch count for nothing.
    twice = model.elbo(
        np.concatenate([images, images[:1]]), np.concatenate([mask, mask[:1]]), weight=[1, 1, 1, 0]
    )
    if kind == "ae_rnn":
        assert float(twice.total) == pytest.approx(float(bound.total), rel=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_generation_goes_on_from_the_given_frames_alone(kind):
    model, images = tiny(kind), videos()
    generated = model.generate(images, 9)
    assert generated.images.shape == [3, 9, 8, 8]
    codes = model.reconstruct(images).codes.numpy()
    codes = np.concatenate([codes, np.zeros([3, 3, 2])], axis=1)
    for n in range(3):
        _, fed = naive(model, codes[n], [1, 1] + [0] * 7, np.zeros([9, 1]))
        np.testing.assert_allclose(generated.codes[n], fed, atol=1e-5)
    noisy = model.generate(images, 9, stochastic=True).codes
    np.testing.assert_allclose(noisy[:, :2], generated.codes[:, :2], atol=1e-6)
    assert (np.abs(noisy[:, 2:] - generated.codes[:, 2:]) > 1e-4).any(axis=(1, 2)).all()
    with pytest.raises(ValueError, match="1 <= num_given <= num_steps"):
        model.generate(images, 1)


@pytest.mark.parametrize("kind", MODELS)
def test_impute_keeps_the_observed_frames(kind):
    model, images = tiny(kind), videos()
    imputed = model.impute(images).images.numpy()
    filtered = model.filter(images, masks.planning_mask(3, 6, 2, 2)).images.numpy()
    np.testing.assert_array_equal(imputed[:, [0, 1, 4, 5]], images[:, [0, 1, 4, 5]] > 0)
    np.testing.assert_allclose(imputed[:, 2:4], filtered[:, 2:4], atol=1e-6)


def test_only_a_variational_one_is_evaluated_on_samples():
    images = videos()
    for kind in MODELS:
        model = tiny(kind, evaluate_on_samples=True)
        same = np.allclose(model.reconstruct(images).codes, model.encode(images).mean(), atol=1e-6)
        assert same == (kind == "ae_rnn")


@pytest.mark.parametrize("kind", MODELS)
def test_it_learns(kind):
    """All parts move, and what is maximised rises."""
    config = Config(model=kind, **TINY, num_epochs=8)
    model = RecurrentAutoencoder(config)
    dataset = Dataset(videos(8), np.zeros([8, 6, 0], np.float32), None)
    model.build((None, None, 8, 8))
    before = [weight.numpy() for weight in model.trainable_variables]
    model.compile()
    history = model.fit(Batches(dataset, 4).of(), epochs=8, callbacks=[Schedule(config)], verbose=0)
    assert history.history["total"][-1] > history.history["total"][0]
    moved = [(a != b.numpy()).any() for a, b in zip(before, model.trainable_variables, strict=True)]
    # An auto-encoder has no use for a variance.
    idle = sum(not m for m in moved)
    assert idle == (2 if kind == "ae_rnn" else 0)
    curve = evaluation.planning_curve(model, dataset)
    assert {point.method for point in curve} == {"filtering", "generation"}


def test_options_of_the_state_space_model_are_refused():
    with pytest.raises(ConfigError, match="K=5 has no effect with model=ae_rnn"):
        Config(model="ae_rnn", K=5)
    with pytest.raises(ConfigError, match="refine_epochs=5 has no effect with model=ae_rnn"):
        Config(model="ae_rnn", refine_epochs=5)
    assert preset_options("", "box", {"model": "vae_rnn"})["refine_epochs"] == 100
    assert "refine_epochs" not in preset_options("", "box", {"model": "ae_rnn"})
    of_pong = preset_options("", "pong", {"model": "ae_rnn"})
    assert of_pong["dim_a"] == 4
    assert not set(of_pong) & {"dim_z", "K"}
    assert "kf_elbo" not in preset_options("original", "box", {"model": "vae_rnn"})
