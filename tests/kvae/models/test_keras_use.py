"""Models as users of Keras use them: fit, callbacks, savers, settings for the whole program."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.errors import UserError
from kvae.models.factory import make_model
from kvae.models.kvae import KVAE
from kvae.models.rivals import RecurrentAutoencoder
from tests.kvae.models.small import TINY, tiny, videos

MASK = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)


@pytest.mark.parametrize(
    "options",
    [
        dict(model="vae_rnn"),
        # Half a minute of XLA's for each; the next test but one has such a batch too.
        pytest.param(dict(learn_u=True, learn_noise=True, learn_offset=True), marks=pytest.mark.slow),
        pytest.param(dict(), marks=pytest.mark.slow),
        pytest.param(dict(alpha_rnn=False, fifo_size=2, alpha_layers=1), marks=pytest.mark.slow),
    ],
)
def test_a_masked_last_batch_need_not_be_full(options):
    model = make_model(Config(**{**TINY, **options}))
    model.compile()
    history = model.fit({"images": videos(), "mask": MASK}, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize(
    "options",
    [dict(), dict(kf_elbo="sampled"), dict(sample_z=True), dict(model="vae_rnn"), dict(model="ae_rnn")],
)
def test_hidden_frames_reach_neither_the_bound_nor_its_gradient(options):
    images = videos().astype(np.float32) / 255
    controls, weight = np.ones([3, 6, 1], np.float32), np.array([1, 1, 0], np.float32)
    seen = np.where(MASK[..., None, None] > 0, images, 0)
    broken, wild = np.where(MASK[..., None, None] > 0, images, np.nan), controls.copy()
    broken[2], wild[2] = np.inf, np.nan
    model = make_model(Config(**TINY, out_distr="gaussian", **options))
    model.build(images.shape)
    found = []
    for frames, inputs in ((seen, controls), (broken, wild)):
        with tf.GradientTape() as tape:
            bound = model.elbo(frames, MASK, inputs, weight, seed=0)
        weights = [variable.value for variable in model.trainable_variables]
        found.append([bound.total, *tape.gradient(bound.total, weights, unconnected_gradients="zero")])
    for expected, value in zip(*found, strict=True):
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_keras_weights_callbacks_and_savers(tmp_path, eagerly):
    images, model = videos(), tiny()
    model.compile("adam")
    before = model.get_weights()
    stop = keras.callbacks.EarlyStopping(patience=5)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    of_total = keras.callbacks.EarlyStopping(monitor="val_total", mode="max")
    history = model.fit(
        {"images": images, "mask": MASK},
        # The last batch is not full.
        batch_size=2,
        sample_weight=np.zeros(3),
        validation_data=(images, None, np.array([1, 0, 1])),
        callbacks=[stop, best, of_total],
        verbose=0,
    ).history
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert history["val_loss"] == [-history["val_total"][0]] == [stop.best] == [best.best]
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert int(loaded.optimizer.iterations) == 2
    copy = keras.models.clone_model(loaded)
    assert copy.config == model.config
    frames = model.predict({"images": images, "weight": np.ones(3)}, verbose=0)
    np.testing.assert_allclose(frames, model.reconstruct(images).images, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), frames, atol=1e-6)
    # Hidden frames are what the smoother says.
    broken = np.where(MASK[..., None, None] > 0, images / 255, np.float32(np.nan))
    found = model.predict({"images": broken, "mask": MASK}, verbose=0)
    smoothed = model.smooth(images, MASK).images
    np.testing.assert_allclose(found[:, 2:4], smoothed[:, 2:4], atol=1e-5)
    np.testing.assert_allclose(found[:, :2], frames[:, :2], atol=1e-6)


def test_what_would_be_passed_over_is_refused(tmp_path):
    images, model = videos(), KVAE(Config(**TINY))
    for save in (model.save, model.save_weights):
        with pytest.raises(UserError, match="has no weights yet"):
            save(tmp_path / "a.weights.h5")
    with pytest.raises(UserError, match="compile takes no loss, metrics"):
        model.compile(loss="mse", metrics=["mae"])
    with pytest.raises(UserError, match="jit_compile must be"):
        model.compile("adam", "mse")
    model.compile()
    for wrong in (
        lambda: model.fit(images, images),
        lambda: model.fit(images, class_weight={0: 1}),
        lambda: model.fit(images, validation_data=(images, images)),
        lambda: model.evaluate(images, images),
        lambda: model.predict({"images": images, "masks": MASK}),
    ):
        with pytest.raises(UserError, match=r"targets y|class_weight|unknown 'masks'"):
            wrong()
    with pytest.raises(UserError, match=r"model is kvae. Received: model=ae_rnn.*make_model"):
        KVAE(Config(model="ae_rnn"))
    with pytest.raises(UserError, match=r"ae_rnn or vae_rnn. Received: model=kvae"):
        RecurrentAutoencoder(Config())
    with pytest.raises(UserError, match="dtype=float16"):
        KVAE(Config(), dtype="float16")


@pytest.fixture
def restored():
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    order = keras.config.image_data_format()
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(order)


@pytest.mark.parametrize("options", [dict(), dict(alpha_rnn=False, learn_u=True), dict(model="vae_rnn")])
def test_settings_of_keras_do_not_leak_in(restored, options, eagerly):
    def outputs():
        model = make_model(Config(**TINY, **options))
        model.build(videos().shape)
        bound = model.elbo(videos(), MASK, seed=0)
        return [*model.get_weights(), bound.total, model.filter(videos(), MASK).images.numpy()]

    expected = outputs()
    for change in (
        lambda: keras.config.set_dtype_policy("mixed_float16"),
        lambda: keras.config.set_dtype_policy("mixed_bfloat16"),
        lambda: keras.config.set_floatx("float64"),
        lambda: keras.config.set_image_data_format("channels_first"),
    ):
        change()
        for found, wanted in zip(outputs(), expected, strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
