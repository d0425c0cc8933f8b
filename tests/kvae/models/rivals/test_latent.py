"""What DVBF and DMM share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae import evaluation
from kvae.config import Config, ConfigError
from kvae.config.start import preset_options
from kvae.data.batches import Batches
from kvae.data.dataset import Dataset
from kvae.errors import UserError
from kvae.evaluation.motion import motion_of
from kvae.models.factory import make_model
from kvae.models.rivals import DeepMarkovModel, DeepVariationalBayesFilter
from kvae.training.schedule import Schedule

TINY = dict(
    num_filters=(4,), alpha_units=5, dim_a=3, dim_u=2, precision="float32", t_init_mask=2, t_steps_mask=2
)
MODELS = ("dvbf", "dmm")


def videos(num_sequences=3, num_steps=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random([num_sequences, num_steps, 8, 8]) > 0.5).astype(np.uint8) * 255


def torques(num_sequences=3, num_steps=6, seed=0):
    return np.random.default_rng(seed).normal(size=[num_sequences, num_steps, 2]).astype(np.float32)


def tiny(kind, **options):
    model = make_model(Config(model=kind, **{**TINY, **options}))
    model.build((None, None, 8, 8))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape))
    return model


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_missing_is_not_looked_at(kind):
    model, u = tiny(kind), torques()
    images = videos() / 255
    mask = np.ones([3, 6], np.float32)
    mask[:, 2:4] = 0
    other = images.copy()
    other[:, 2:4] = np.nan
    found = [model.elbo(x, mask, u, seed=0).total for x in (images, other)]
    assert float(found[0]) == float(found[1])
    smoothed, blank = (model.smooth(x, mask, u) for x in (images, other))
    np.testing.assert_array_equal(smoothed.images, blank.images)
    # What is seen after a gap is.
    later = images.copy()
    later[:, 5] = 1 - later[:, 5]
    assert np.abs(model.smooth(later, mask, u).codes[:, 0] - smoothed.codes[:, 0]).max() > 1e-5
    filled = model.impute(other, mask, u, num_samples=2, seed=0)
    assert np.isfinite(filled.images).all()
    np.testing.assert_array_equal(filled.images.numpy()[:, [0, 1, 4, 5]], images[:, [0, 1, 4, 5]])
    np.testing.assert_array_equal(filled.samples.images.numpy()[:, 1, 4], images[:, 4])
    assert (filled.samples.codes[:, 0] != filled.samples.codes[:, 1]).numpy().any()
    # Sequences that fill up a batch count for nothing.
    longer = [np.concatenate([x, np.full_like(x[:1], np.nan)]) for x in (images, u)]
    weight = np.array([1, 1, 1, 0], np.float32)
    mean = [
        float(model.elbo(x, m, v, w, sample=False).total)
        for x, m, v, w in (
            (images, mask, u, None),
            (longer[0], np.concatenate([mask, mask[:1]]), longer[1], weight),
        )
    ]
    assert mean[0] == pytest.approx(mean[1], rel=1e-5)
    assert float(model.elbo(images, np.zeros([3, 6]), u).total) == 0


@pytest.mark.parametrize("kind", MODELS)
def test_controls_act_into_their_step(kind):
    model, images, u = tiny(kind), videos(), torques()
    other = u.copy()
    other[:, 4] += 1
    assert float(model.elbo(images, None, u, seed=0).total) != float(
        model.elbo(images, None, other, seed=0).total
    )
    one, two = (model.generate(images, 6, 2, v).codes.numpy() for v in (u, other))
    np.testing.assert_array_equal(one[:, :4], two[:, :4])
    assert (np.abs(one[:, 4:] - two[:, 4:]) > 1e-5).any(axis=(1, 2)).all()
    none, zeros = (model.smooth(images, None, v).codes for v in (None, np.zeros_like(u)))
    np.testing.assert_array_equal(none, zeros)
    assert (model.smooth(images, None, u).codes != none).numpy().any()


@pytest.mark.parametrize("kind", MODELS)
def test_it_goes_on_from_the_first_frames_alone(kind):
    model, images, u = tiny(kind), videos(), torques()
    found = model.generate(images, 9, 3, u)
    assert found.images.shape == [3, 9, 8, 8]
    changed = images.copy()
    changed[:, 3:] = 0
    np.testing.assert_array_equal(found.codes, model.generate(changed, 9, 3, u).codes)
    given = model.smooth(images[:, :3], None, u[:, :3]).codes
    np.testing.assert_allclose(found.codes[:, :3], given, atol=1e-6)
    # Step by step, by the mean of each.
    on = model.go_on(given[:, -1], tf.constant(u[:, 3:4]), tf.zeros([3, 1, 3]))
    np.testing.assert_allclose(found.codes[:, 3], on[:, 0], atol=1e-5)
    noisy, again = (model.generate(images, 9, 3, u, stochastic=True, seed=4).codes for _ in range(2))
    np.testing.assert_array_equal(noisy, again)
    np.testing.assert_allclose(noisy[:, :3], found.codes[:, :3], atol=1e-6)
    assert (np.abs(noisy[:, 3:] - found.codes[:, 3:]) > 1e-4).any()
    assert model.sample(2, 5, seed=0).images.shape == [2, 5, 8, 8]
    assert model.sample(2, 1, seed=0).codes.shape == [2, 1, 3]


@pytest.mark.parametrize("kind", MODELS)
def test_draws_lie_about_the_mean_path(kind):
    model, images, u = tiny(kind), videos(), torques()
    features = model.features(images, model.seeds(0))
    drawn = model.sample_codes(features, np.ones([3, 6]), u, 3000, seed=1).numpy()
    first = model.encode(images, None, u)
    assert drawn.shape == (3, 3000, 6, 3)
    if kind == "dmm":
        np.testing.assert_allclose(drawn[:, :, 0].mean(axis=1), first.mean()[:, 0], atol=0.1)
        np.testing.assert_allclose(drawn[:, :, 0].std(axis=1), first.stddev()[:, 0], rtol=0.1)
    # The same noise, the same path.
    np.testing.assert_array_equal(
        drawn[:, :5], model.sample_codes(features, np.ones([3, 6]), u, 3000, 1)[:, :5]
    )


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("num_steps", [1, 2])
def test_the_shortest_sequences(kind, num_steps):
    model = tiny(kind)
    images = videos(1, num_steps)
    assert np.isfinite(model.elbo(images, seed=0).total)
    assert model.smooth(images).codes.shape == [1, num_steps, 3]
    assert model.generate(images, 1, 1).codes.shape == [1, 1, 3]


@pytest.mark.parametrize("kind", MODELS)
def test_it_learns_and_is_kept(kind, tmp_path):
    """All parts move, what is maximised rises, and a saved model goes on as the one that was saved."""
    config = Config(model=kind, **TINY, num_epochs=8, warm_up=0.5, init_lr=0.01, train_miss_prob=0.2)
    model = make_model(config)
    model.build((None, None, 8, 8))
    mask = (np.random.default_rng(0).random([8, 6]) > 0.2).astype(np.float32)
    dataset = Dataset(videos(8), torques(8), mask)
    before = [weight.numpy() for weight in model.trainable_variables]
    model.compile()
    history = model.fit(Batches(dataset, 4).of(), epochs=8, callbacks=[Schedule(config)], verbose=0).history
    assert history["total"][-1] > history["total"][0]
    moved = [(a != b.numpy()).any() for a, b in zip(before, model.trainable_variables, strict=True)]
    assert all(moved)
    curve = evaluation.planning_curve(model, dataset)
    assert {point.method for point in curve} == {"smoothing", "generation", "sampling"}
    found = motion_of(model, dataset)
    assert found.code_variance.shape == (3,)
    assert (found.noise_variance > 0).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.smooth(videos()).codes, model.smooth(videos()).codes)
    np.testing.assert_allclose(
        loaded.predict({"images": videos(), "controls": torques()}, verbose=0),
        model.smooth(videos(), None, torques()).images,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", MODELS)
def test_xla_compiles_what_training_does(kind):
    """As it does by default on a GPU; what it draws is something else, so nothing is drawn."""
    model, images, u = tiny(kind), tf.constant(videos()), tf.constant(torques())
    mask = tf.constant(np.tile(np.array([1, 1, 1, 0, 0, 1], np.float32), [3, 1]))

    def of(**options):
        @tf.function(autograph=False, **options)
        def bound_and_slope():
            with tf.GradientTape() as tape:
                total = model.elbo(images, mask, u, training=True, sample=False).total
            return total, tf.linalg.global_norm(tape.gradient(total, model.trainable_variables))

        return [float(value) for value in bound_and_slope()]

    assert of(jit_compile=True) == pytest.approx(of(), rel=1e-3)


def test_weights_rise_on_a_line():
    schedule = Schedule(Config(model="dmm", num_epochs=20, warm_up=0.5))
    weights = [schedule.code_weight(epoch) for epoch in (0, 2, 5, 10, 19)]
    np.testing.assert_allclose(weights, [0.01, 0.21, 0.51, 1, 1])
    assert Schedule(Config(model="dvbf")).code_weight(0) == 1


def test_options_that_mean_nothing_are_refused():
    for kind in MODELS:
        for name, value in (("dim_z", 5), ("noise_emission", 0.1), ("refine_epochs", 5), ("num_paths", 10)):
            with pytest.raises(ConfigError, match=f"{name}={value} has no effect with model={kind}"):
                Config(model=kind, **{name: value})
        with pytest.raises(ConfigError, match=f"evaluate_on_samples=True has no effect with model={kind}"):
            Config(model=kind, evaluate_on_samples=True)
    with pytest.raises(ConfigError, match="K=5 has no effect with model=dmm"):
        Config(model="dmm", K=5)
    assert Config(model="dvbf", K=5).K == 5
    with pytest.raises(
        UserError, match=r"DeepMarkovModel is for options whose model is dmm\. Received: model=dvbf"
    ):
        DeepMarkovModel(Config(model="dvbf"))
    with pytest.raises(UserError, match=r"whose model is dvbf\. Received: model=kvae"):
        DeepVariationalBayesFilter(Config())


def test_what_they_start_from():
    of_pong = preset_options("", "pong", {"model": "dvbf"})
    # As large as the state of the KVAE.
    assert (of_pong["dim_a"], of_pong["K"], of_pong["alpha_units"]) == (8, 16, 128)
    assert not set(of_pong) & {"dim_z", "learn_noise", "refine_epochs"}
    of_pendulum = preset_options("", "pendulum", {"model": "dmm"})
    assert (of_pendulum["dim_a"], of_pendulum["num_epochs"], of_pendulum["warm_up"]) == (4, 120, 0.5)
    assert preset_options("none", "pendulum", {"model": "dmm"}) == {}
    assert "alpha_units" not in preset_options("original", "box", {"model": "dmm"})
    assert "scale_reconstruction" not in preset_options("", "box", {"model": "kvae"})
