import keras
import numpy as np
import pytest
import tensorflow as tf

import kvae
from kvae.arguments import ArgumentError
from kvae.config import Config
from kvae.errors import UserError
from kvae.models import adaptation, pixel_errors
from kvae.models.kvae import KVAE
from kvae.training.schedule import Schedule

SMALL = {"num_filters": (4, 4), "alpha_units": 4, "K": 2, "precision": "float32", "activation": "leaky_relu"}
GREY = SMALL | {"out_distr": "gaussian", "standardise": True}


def faint_dots(num_sequences=40, num_steps=5, seed=0):
    """Return a faint dot of two by two pixels, anywhere on a bright ground [N, T, 16, 16]."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(100, 200, [16, 16])
    images = np.tile(ground, [num_sequences, num_steps, 1, 1]).astype(np.uint8)
    for sequence in images:
        for frame in sequence:
            row, column = rng.integers(0, 14, 2)
            frame[row : row + 2, column : column + 2] += 20
    return images


def adapted(images, mask=None, **options):
    model = KVAE(Config(**(GREY | options)))
    model.adapt(images, mask)
    return model


def test_the_mean_frame_is_decoded_first():
    images = faint_dots()
    model = adapted(images, dim_a=3, dim_z=4)
    pixels = images / 255
    np.testing.assert_allclose(model.frame_mean, pixels.mean(axis=(0, 1)), atol=1e-6)
    decoded = model.reconstruct(images[:2]).images.numpy()
    np.testing.assert_allclose(decoded, np.broadcast_to(pixels.mean(axis=(0, 1)), decoded.shape), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_codes_begin_as_things_lie_in_the_frame(channels):
    """So that none lies between others that it does not lie between in the frame: nothing is folded."""
    count, rng = 400, np.random.default_rng(0)
    places = rng.integers(0, 15, [count, 1, 2])
    images = np.full([count, 1, 16, 16, channels], 100, np.uint8)
    for image, (row, column) in zip(images[:, 0], places[:, 0], strict=True):
        image[row : row + 2, column : column + 2, -1] += 20
    model = adapted(images if channels == 3 else images[..., 0], num_filters=(16,))
    codes = model.encode(images if channels == 3 else images[..., 0]).mean().numpy()[:, 0]
    with_one = np.hstack([codes, np.ones([count, 1])])
    found = with_one @ np.linalg.lstsq(with_one, places[:, 0], rcond=None)[0]
    error = ((found - places[:, 0]) ** 2).mean(axis=0) / places[:, 0].var(axis=0)
    assert (error < 0.15).all()
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-2)


@pytest.mark.parametrize("sides", [(31, 31), (32, 32), (20, 70), (128, 128)])
def test_what_is_decomposed_is_small_whatever_the_sides(sides, monkeypatch):
    """The components of 31x31 frames in colour, padded and not thinned out, would take minutes."""
    widths = []

    def components(features, count, of=adaptation._components):
        widths.append(features.shape[1])
        return of(features, count)

    monkeypatch.setattr(adaptation, "_components", components)
    deviations = np.random.default_rng(0).normal(size=[10, *sides, 3]).astype(np.float32)
    assert adaptation._layout(deviations, 2).shape == (10, 2)
    assert widths[0] <= 3 * 8 * 8


def test_contrast_and_brightness_do_not_matter_to_the_encoder():
    images = faint_dots()
    brighter = 2 * (images.astype(int) - 100)
    first, second = adapted(images), adapted(brighter.astype(np.uint8))
    np.testing.assert_allclose(second.frame_scale, 2 * first.frame_scale.numpy(), rtol=1e-4)
    found = [model.encode(x).mean() for model, x in ((first, images), (second, brighter.astype(np.uint8)))]
    np.testing.assert_allclose(*found, atol=1e-3)


def test_hidden_frames_are_not_looked_at():
    images = faint_dots().astype(np.float32) / 255
    mask = np.ones(images.shape[:2], np.float32)
    mask[::2, 1] = 0
    expected = adapted(images, mask)
    images[mask == 0] = np.nan
    found = adapted(images, mask)
    for a, b in zip(expected.weights, found.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(found.frame_mean.numpy()).all()


def test_of_many_frames_some_are_looked_at(monkeypatch):
    images = faint_dots(60)
    whole = adapted(images)
    monkeypatch.setattr(adaptation, "NUM_FRAMES", 40)
    some = adapted(images)
    assert np.abs(some.frame_mean.numpy() - whole.frame_mean.numpy()).max() < 0.02
    np.testing.assert_allclose(some.frame_scale, whole.frame_scale, rtol=0.5)


def test_of_zeros_and_ones_the_mean_is_decoded_too():
    images = (faint_dots() > 150).astype(np.uint8)
    model = adapted(images, out_distr="bernoulli")
    share = np.clip(images.mean(axis=(0, 1)), adaptation.RAREST, 1 - adaptation.RAREST)
    np.testing.assert_allclose(model.reconstruct(images[:1]).images[0, 0], share, atol=1e-5)


def test_of_grey_targets_the_mean_is_decoded_too():
    images = faint_dots()
    model = adapted(images, out_distr="bernoulli", grey_targets=True)
    share = np.clip(images.mean(axis=(0, 1)) / 255, adaptation.RAREST, 1 - adaptation.RAREST)
    np.testing.assert_allclose(model.reconstruct(images[:1]).images[0, 0], share, atol=1e-5)


def test_frames_that_are_all_alike_are_no_mistake():
    model = adapted(np.full([3, 4, 8, 8], 7, np.uint8))
    assert np.isfinite(model.elbo(np.full([3, 4, 8, 8], 7, np.uint8)).total)


def test_it_is_saved_and_not_done_again(tmp_path, eagerly):
    images = faint_dots()
    model = adapted(images)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert not again.needs_adapting
    np.testing.assert_array_equal(again.encode(images).mean(), model.encode(images).mean())
    again.compile()
    again.fit(faint_dots(seed=1), epochs=1, verbose=0)
    np.testing.assert_array_equal(again.frame_mean, model.frame_mean)


def test_weights_alone_hold_it_too(tmp_path):
    images = faint_dots(6)
    model = adapted(images, learn_pixel_var=True, pixel_var_from_errors=True)
    kvae.save_weights(model, tmp_path / "weights.npz")
    again = KVAE(model.config)
    again.build((None, None, 16, 16))
    kvae.load_weights(again, tmp_path / "weights.npz")
    assert not again.needs_adapting
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_fit_adapts_to_what_it_is_given(eagerly):
    images = faint_dots(8)
    model = KVAE(Config(**GREY))
    assert model.needs_adapting
    model.compile()
    weight = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.float32)
    model.fit({"images": images, "weight": weight}, epochs=1, verbose=0)
    np.testing.assert_allclose(model.frame_mean, images[:4].mean(axis=(0, 1)) / 255, atol=1e-6)
    other = KVAE(Config(**GREY))
    other.compile()
    with pytest.raises(UserError, match=r"call model\.adapt\(images\) first"):
        other.fit(tf.data.Dataset.from_tensor_slices({"images": images}).batch(4), epochs=1, verbose=0)


def test_what_cannot_be():
    images = faint_dots(3)
    with pytest.raises(UserError, match="standardise is False"):
        KVAE(Config(**SMALL)).adapt(images)
    with pytest.raises(ArgumentError, match="no frame to adapt to"):
        adapted(images, np.zeros(images.shape[:2]))
    for mask in (np.ones(images.shape[1]), 255 * np.ones(images.shape[:2])):
        with pytest.raises(ArgumentError, match="mask must "):
            adapted(images, mask)


# --- variances that follow the errors ---


def test_the_variance_of_a_pixel_is_its_error(eagerly):
    images = faint_dots(8)
    options = {"learn_pixel_var": True, "pixel_var_from_errors": True, "scale_reconstruction": 0.3}
    model = adapted(images, **options)
    variance = images.reshape(-1, 16, 16).var(axis=0) / 255**2
    np.testing.assert_allclose(model.pixel_errors, variance, rtol=1e-3, atol=1e-9)
    expected = np.maximum(variance, variance.mean())
    np.testing.assert_allclose(np.exp(model.log_pixel_var), expected, rtol=1e-3)
    # Far from what they are now, so that a step tells.
    pixel_errors.assign(model, tf.constant(100 * variance, tf.float32), is_shared=False)
    model.compile()
    mask = np.ones([8, 5], np.float32)
    mask[0, :3] = 0
    model.train_on_batch({"images": images, "mask": mask})
    seen = images.reshape(-1, 16, 16)[mask.ravel() > 0] / 255
    error = np.mean((seen - model.frame_mean.numpy()) ** 2, axis=0)
    np.testing.assert_allclose(model.pixel_errors, 98 * variance + 0.02 * error, rtol=1e-3, atol=1e-8)


def test_while_it_warms_up_variances_stand_to_each_other_as_roots_of_motion(eagerly):
    images = faint_dots(8)
    model = adapted(images, learn_pixel_var=True, pixel_var_from_errors=True, warm_up=0.5, num_epochs=4)
    motion = images.reshape(-1, 16, 16).var(axis=0) / 255**2
    np.testing.assert_allclose(model.pixel_motion, motion, rtol=1e-3, atol=1e-9)
    moves = motion > 1e-3 * motion.max()
    root = np.sqrt(motion)
    unit = np.where(moves, root, root[moves].mean())
    schedule = Schedule(model.config)
    model.compile()
    schedule.set_model(model)
    for epoch, is_shared in ((0, True), (1, True), (2, False)):
        schedule.on_epoch_begin(epoch)
        model.train_on_batch({"images": images})
        errors, variances = model.pixel_errors.numpy(), np.exp(model.log_pixel_var)
        wanted = np.maximum(errors, errors.mean())
        if is_shared:
            wanted = unit * (errors / unit)[moves].mean()
        np.testing.assert_allclose(variances, wanted, rtol=1e-3)


def test_where_motion_is_not_known_all_pixels_are_alike():
    """Of a model that was never adapted."""
    options = {"learn_pixel_var": True, "pixel_var_from_errors": True, "out_distr": "gaussian"}
    model = KVAE(Config(**(SMALL | options)))
    model.build((None, None, 8, 8))
    errors = np.random.default_rng(0).random([8, 8]).astype(np.float32)
    pixel_errors.assign(model, tf.constant(errors), is_shared=True)
    np.testing.assert_allclose(np.exp(model.log_pixel_var), errors.mean(), rtol=1e-5)


def test_it_tells_the_same_as_a_gradient_where_there_is_none(eagerly):
    """Nothing but the variances differs between the two after a step."""
    images = faint_dots(4)
    models = [
        adapted(images, learn_pixel_var=True, pixel_var_from_errors=errors, noise_pixel_var=0.05)
        for errors in (False, True)
    ]
    models[1].log_pixel_var.assign(models[0].log_pixel_var.numpy())
    for model in models:
        model.compile()
        model.train_on_batch({"images": images})
    own = {"pixel_errors", "pixel_motion", "log_pixel_var"}
    weights = [{w.path: w.numpy() for w in model.weights if w.name not in own} for model in models]
    assert len(weights[0]) > 10
    for a, b in zip(*(w.values() for w in weights), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


# --- the weight of the codes ---


def test_codes_weigh_little_first_and_then_as_much_as_ever(eagerly):
    images = faint_dots(4)
    model = adapted(images, warm_up=0.5, num_epochs=20, max_grad_norm=1e9)
    schedule = Schedule(model.config)
    assert [schedule.code_weight(epoch) for epoch in (0, 2, 6, 10, 19)] == [
        0.01,
        0.01,
        pytest.approx(0.25),
        1,
        1,
    ]
    objectives = []
    for epoch in (0, 6, 10):
        # By a step whose rate is the weight, so that it is the gradient.
        model.compile(keras.optimizers.SGD(1.0))
        schedule.set_model(model)
        schedule.on_epoch_begin(epoch)
        model.optimizer.learning_rate = 1.0
        model.phase.assign(2)
        before = [weight.numpy() for weight in model.weights]
        model.training_draws.assign(0)
        model.train_on_batch({"images": images})
        objectives.append(
            np.concatenate([(w.numpy() - b).ravel() for w, b in zip(model.weights, before, strict=True)])
        )
        for weight, value in zip(model.weights, before, strict=True):
            weight.assign(value)
    little, quarter, all_of_it = objectives
    np.testing.assert_allclose((quarter - little) / 0.24, (all_of_it - little) / 0.99, atol=2e-3)
    assert np.abs(all_of_it - little).max() > 0.1


def test_a_faint_dot_is_found_and_codes_stay_alive(without_xla):
    """With what own videos start from; it was given up before."""
    from kvae.config.presets import OWN_VIDEOS
    from kvae.data.dataset import Dataset
    from kvae.evaluation.motion import motion_of

    images = faint_dots(100, 5)
    options = OWN_VIDEOS | {"num_filters": (16, 16), "alpha_units": 8, "K": 2, "precision": "float32"}
    model = KVAE(Config(**(options | {"num_epochs": 50, "batch_size": 10, "warm_up": 0.5})))
    model.build((None, None, 16, 16))
    model.compile()
    model.fit(images, epochs=50, batch_size=10, verbose=0, callbacks=[Schedule(model.config)])
    found = motion_of(model, Dataset(images, np.zeros([100, 5, 0], np.float32)))
    assert found.alive == 2
    # 0.14 to 0.23, by the seed and by how a machine rounds; below 0.001 without a warm-up, or where frames
    # are not standardised.
    assert found.explained > 0.05
