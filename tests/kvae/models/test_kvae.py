import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.kvae.models.small import tiny, videos


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(alpha_rnn=False, learn_u=True),
        dict(out_distr="gaussian", learn_pixel_var=True),
        dict(conv=False, num_filters=(32, 32, 32), evaluate_on_samples=True),
    ],
)
def test_a_saved_model_gives_identical_outputs(tmp_path, options, eagerly):
    images = videos()
    model = tiny(**options)
    model.compile()
    model.train_step({"images": images})
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.config == model.config
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    for look in (
        lambda m: m(images),
        lambda m: m.smooth(images, mask).images,
        lambda m: m.generate(images, 10, stochastic=True).images,
        lambda m: m.elbo(images).total,
        lambda m: m.sample(2, 3).images,
    ):
        np.testing.assert_array_equal(look(model), look(loaded))
    # The optimizer's moments come back too, so that with the same draws training goes on in the same way.
    model.reset_metrics()
    loaded.training_draws.assign(model.training_draws)
    a, b = (m.train_step({"images": images})["total"] for m in (model, loaded))
    assert float(a) == pytest.approx(float(b), rel=1e-6)
    np.testing.assert_allclose(model.lgssm.C, loaded.lgssm.C, rtol=1e-6)


def test_impute_keeps_the_observed_frames():
    images = videos()
    model = tiny()
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    # With no paths to draw it is the paper's procedure.
    imputed, smoothed = model.impute(images, mask, num_paths=0), model.smooth(images, mask)
    np.testing.assert_array_equal(imputed.images.numpy()[mask == 1], (images > 0)[mask == 1])
    hidden = mask == 0
    np.testing.assert_allclose(imputed.images.numpy()[hidden], smoothed.images.numpy()[hidden], atol=1e-6)
    np.testing.assert_allclose(imputed.codes, smoothed.codes, atol=1e-6)
    np.testing.assert_allclose(imputed.states.mean, smoothed.states.mean, atol=1e-6)
    np.testing.assert_allclose(imputed.states.cov, smoothed.states.cov, atol=1e-5)
    np.testing.assert_allclose(imputed.alpha, smoothed.alpha, atol=1e-6)
    assert imputed.samples is None
    # By default t_steps_mask = 2 frames after the first t_init_mask = 2 are missing.
    np.testing.assert_allclose(model.impute(images, num_paths=0).images, imputed.images, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"out_distr": "gaussian"}])
@pytest.mark.parametrize("num_paths", [0, 50])
def test_impute_samples_whole_sequences(num_paths, options):
    images, model = videos(), tiny(**options)
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    imputed = model.impute(images, mask, num_samples=30, num_paths=num_paths)
    truth = model.pixels(images).numpy()
    np.testing.assert_array_equal(imputed.images.numpy()[mask == 1], truth[mask == 1])
    samples = imputed.samples
    assert samples.images.shape == [3, 30, *images.shape[1:]]
    assert samples.states.shape == [3, 30, 6, model.config.dim_z]
    np.testing.assert_array_equal(
        samples.images.numpy()[:, :, mask[0] == 1], np.repeat(truth[:, None, mask[0] == 1], 30, axis=1)
    )
    # The draws lie about the mean as the covariance says.
    deviation = np.sqrt(np.diagonal(imputed.states.cov, axis1=2, axis2=3))
    error = (np.mean(samples.states, axis=1) - imputed.states.mean) / deviation
    assert np.abs(error).max() < 4.5 / np.sqrt(30)
    assert (np.var(samples.codes, axis=1) > 0).all()
    decoded = model.decode(tf.reshape(samples.codes, [90, 6, -1])).mean()
    np.testing.assert_allclose(
        samples.images.numpy()[:, :, 2:4].reshape(90, 2, *images.shape[2:]), decoded[:, 2:4], atol=1e-5
    )


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_paths": 1}, "num_paths must be 0 or at least 2. Received: 1"),
        ({"num_paths": -1}, "num_paths must be a whole number, at least 0. Received: -1"),
        ({"num_paths": 2.0}, "num_paths must be a whole number, at least 0. Received: float 2.0"),
        ({"num_samples": -1}, "num_samples must be a whole number, at least 0. Received: -1"),
    ],
)
def test_impute_says_which_numbers_work(numbers, message):
    with pytest.raises(ValueError, match=message):
        tiny().impute(videos(), **numbers)


def test_generation_goes_on_from_the_given_frames_alone():
    images = videos()
    model = tiny()
    generated = model.generate(images, 9, 3)
    start = model.smooth(images[:, :3])
    np.testing.assert_allclose(generated.states.mean[:, :3], start.states.mean, atol=1e-5)
    other = images.copy()
    other[:, 3:] = 255 - other[:, 3:]
    np.testing.assert_allclose(model.generate(other, 9, 3).images, generated.images, atol=1e-6)
    assert model.generate(images).images.shape[1] == model.config.n_steps_gen
    a, b = (model.generate(images, 9, 3, stochastic=True).codes for _ in range(2))
    assert np.abs(a - b).max() > 0.01
    # Controls act while there are any, and are zero afterwards.
    controls = np.ones([3, 5, 1], np.float32)
    long_controls = np.concatenate([controls, np.zeros([3, 4, 1], np.float32)], axis=1)
    np.testing.assert_allclose(
        model.generate(images, 9, 3, controls).codes,
        model.generate(images, 9, 3, long_controls).codes,
        atol=1e-5,
    )
    for steps, given in ((2, 3), (5, 7)):
        with pytest.raises(ValueError, match=f"Received: num_given={given}, num_steps={steps}"):
            model.generate(images, steps, given)
    with pytest.raises(ValueError, match=r"num_given must be a whole number, at least 1\. Received: 0"):
        model.generate(images, 5, 0)
