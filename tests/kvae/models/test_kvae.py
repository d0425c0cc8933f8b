import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.config.rules import ShapeError
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE
from kvae.models.factory import make_model
from kvae.models.kvae import KVAE

TINY = dict(num_filters=(4,), alpha_units=4, precision="float32", t_init_mask=2, t_steps_mask=2)


def videos(batch=3, num_steps=6, height=8, width=8, seed=0):
    """A bright square that moves: uint8 frames of 0 and 255."""
    rng = np.random.default_rng(seed)
    images = np.zeros([batch, num_steps, height, width], np.uint8)
    for b in range(batch):
        y, x = rng.integers(0, height - 2), rng.integers(0, width - 2)
        for t in range(num_steps):
            images[b, t, (y + t) % (height - 2) :, :][:3, x : x + 3] = 255
    return images


def tiny(images=None, **options):
    model = KVAE(Config(**{**TINY, **options}))
    model.build((videos() if images is None else images).shape)
    # A model that has learned something: B, C and a_0 away from their small beginnings.
    rng = np.random.default_rng(1)
    for weight in (model.lgssm.C, model.lgssm.B, model.lgssm.a_0):
        weight.assign(rng.normal(size=weight.shape))
    return model


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(kf_elbo="sampled"),
        dict(sample_z=True),
        dict(use_vae=False),
        dict(conv=False, num_filters=(32, 32, 32)),
        dict(alpha_rnn=False, fifo_size=2, alpha_layers=1, alpha_activation="tanh"),
        dict(learn_u=True, dim_u=2),
        dict(learn_noise=True, learn_offset=True),
        dict(out_distr="gaussian"),
        dict(out_distr="gaussian", learn_pixel_var=True),
        dict(precision="bfloat16"),
        dict(activation="elu", num_filters=(4, 4), filter_size=5),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_every_option_trains(options, masked):
    images = videos()
    model = tiny(**options)
    model.compile()
    batch = {"images": images}
    if masked:
        batch["mask"] = np.array([[1, 1, 0, 1, 0, 1]] * 3, np.float32)
    before = [weight.numpy() for weight in model.trainable_variables]
    first = model.train_step(batch)
    assert {"total", "log_px", "log_qa", "state_space", "exact", "gradient_norm"} <= set(first)
    assert all(np.isfinite(value) for value in first.values())
    moved = {
        weight.path: np.abs(weight - old).max() > 0
        for weight, old in zip(model.trainable_variables, before, strict=True)
    }
    # Without controls B has nothing to do; without the entropy term the variance hasn't.
    idle = {path for path, has_moved in moved.items() if not has_moved}
    expected = set()
    if not (options.get("learn_u") or options.get("learn_offset")):
        expected.add(model.lgssm.B.path)
    if not model.config.use_vae:
        expected |= {weight.path for weight in model.encoder.var.trainable_variables}
    assert idle == expected


@pytest.mark.parametrize(
    "shape",
    [
        dict(batch=1, num_steps=1),
        dict(batch=1, num_steps=2),
        dict(batch=2, num_steps=3, height=4, width=10),
    ],
)
@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_the_smallest_shapes_work(shape, K, masked):
    images = videos(**{"height": 4, "width": 4, **shape})
    batch, num_steps = images.shape[:2]
    model = tiny(images, K=K, dim_a=1, dim_z=1, dim_u=1)
    model.compile()
    mask = np.ones([batch, num_steps], np.float32) if masked else None
    data = {"images": images} | ({"mask": mask} if masked else {})
    assert np.isfinite(model.train_step(data)["total"])
    assert np.isfinite(model.test_step(data)["sampled"])
    for decoded in (model.smooth(images, mask), model.filter(images, mask), model.impute(images, mask)):
        assert decoded.images.shape == images.shape
        assert decoded.codes.shape == (batch, num_steps, 1)
        assert decoded.states.mean.shape == (batch, num_steps, 1)
        assert decoded.states.cov.shape == (batch, num_steps, 1, 1)
        assert decoded.alpha.shape == (batch, num_steps, K)
    assert model.generate(images, 4, 1).images.shape == (batch, 4, *images.shape[2:])
    assert model.sample(2, 1).images.shape == (2, 1, *images.shape[2:])


def test_the_bound_is_made_of_its_terms():
    images = videos()
    mask = np.array([[1, 1, 0, 1, 0, 1], [1] * 6, [1, 0, 0, 0, 0, 0]], np.float32)
    model = tiny()
    bound = model.elbo(images, mask, sample=False, sampled_term=True)
    assert float(bound.num_observed) == 11
    mean = model.encode(images).mean().numpy()
    variance = model.encode(images).variance().numpy()
    p = model.reconstruct(images).images.numpy()
    log_px = np.where(images > 0, np.log(p), np.log1p(-p)).sum(axis=(2, 3))
    assert float(bound.log_px) == pytest.approx((mask * log_px).sum() / 11, rel=1e-4)
    # log N(a; mean, variance) at its mean.
    log_qa = -0.5 * np.log(2 * np.pi * variance).sum(axis=-1)
    assert float(bound.log_qa) == pytest.approx((mask * log_qa).sum() / 11, rel=1e-4)
    filtered, _ = model.lgssm.filter(tf.constant(mean), mask, tf.zeros([3, 6, 1]))
    exact = filtered.log_likelihood.numpy().sum() / 11
    assert float(bound.exact) == pytest.approx(exact, rel=1e-4)
    assert float(bound.total) == pytest.approx(float(bound.log_px - bound.log_qa + bound.exact), rel=1e-5)
    sampled = tiny(kf_elbo="sampled").elbo(images, mask, sample=False)
    assert float(sampled.total) == pytest.approx(
        float(sampled.log_px - sampled.log_qa + sampled.sampled), rel=1e-5
    )
    spread = float(tf.reduce_sum(mask * tf.reduce_mean(variance, -1)) / 11)
    assert float(bound.encoder_variance) == pytest.approx(spread, rel=1e-4)


def test_gaussian_pixels_have_their_density():
    images = np.random.default_rng(0).random([2, 3, 8, 8]).astype(np.float32)
    model = tiny(images, out_distr="gaussian", noise_pixel_var=0.2)
    mean = model.reconstruct(images).images.numpy()
    log_px = (-0.5 * (images - mean) ** 2 / 0.2 - 0.5 * np.log(2 * np.pi * 0.2)).sum() / 6
    assert float(model.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)
    learned = tiny(images, out_distr="gaussian", noise_pixel_var=0.2, learn_pixel_var=True)
    assert float(learned.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)
    learned.log_pixel_var.assign(np.log(np.linspace(0.1, 0.3, 64).reshape(8, 8)))
    variance = np.linspace(0.1, 0.3, 64).reshape(8, 8)
    log_px = (-0.5 * (images - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)).sum() / 6
    assert float(learned.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)


def test_codes_are_drawn_from_q():
    model = tiny()
    images = np.repeat(videos(batch=1, num_steps=1), 4000, axis=0)
    codes = model.encode(images)
    draws = codes.sample(seed=[0, 1]).numpy()[:, 0]
    np.testing.assert_allclose(draws.mean(axis=0), codes.mean()[0, 0], atol=0.01)
    np.testing.assert_allclose(draws.var(axis=0), codes.variance()[0, 0], rtol=0.1)
    # The bound draws anew at every call; with use_vae=False there is nothing to draw.
    assert float(model.elbo(images[:3]).total) != float(model.elbo(images[:3]).total)
    plain = tiny(use_vae=False)
    assert float(plain.elbo(images[:3]).total) == float(plain.elbo(images[:3]).total)
    assert float(plain.elbo(images[:3]).log_qa) == 0


def test_sample_z_decodes_the_smoothed_codes():
    images = videos()
    model = tiny(sample_z=True)
    p = model.smooth(images).images.numpy()
    log_px = np.where(images > 0, np.log(p), np.log1p(-p)).sum() / 18
    assert float(model.elbo(images, sample=False).log_px) == pytest.approx(log_px, rel=1e-4)


def test_hidden_frames_are_not_looked_at():
    model, images = tiny(), videos()
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    other = images.copy()
    other[:, 2:4] = 255 - other[:, 2:4]
    for name, a, b in zip(
        ("images", "codes"), model.smooth(images, mask), model.smooth(other, mask), strict=False
    ):
        np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name)
    a, b = (model.elbo(x, mask, sample=False) for x in (images, other))
    assert float(a.total) == pytest.approx(float(b.total), rel=1e-6)


def test_nothing_observed_gives_a_bound_of_zero():
    model, images = tiny(), videos()
    bound = model.elbo(images, np.zeros([3, 6]), sampled_term=True)
    assert float(bound.total) == 0
    model.compile()
    before = model.get_weights()
    assert float(model.train_step({"images": images, "mask": np.zeros([3, 6])})["total"]) == 0
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.isfinite(new).all()
        if np.issubdtype(new.dtype, np.floating):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("options", [dict(), dict(kf_elbo="sampled"), dict(sample_z=True)])
def test_sequences_of_weight_zero_do_not_count(options):
    images = videos(batch=4)
    mask = np.ones([4, 6], np.float32)
    mask[1, 2:4] = 0
    model = tiny(**options)
    few = model.elbo(images[:3], mask[:3], sample=False)
    filled = model.elbo(images, mask, weight=np.array([1, 1, 1, 0]), sample=False)
    for name in ("log_px", "log_qa", "exact", "num_observed", "encoder_variance"):
        assert float(getattr(filled, name)) == pytest.approx(float(getattr(few, name)), rel=1e-5), name
    # The draws differ with the batch's size, so a batch of nothing but weight 0 says the rest.
    nothing = model.elbo(images, mask, weight=np.zeros(4), sampled_term=True)
    assert float(nothing.total) == float(nothing.sampled) == 0


def test_a_mask_of_ones_is_no_mask():
    model, images = tiny(), videos()
    a = model.elbo(images, None, sample=False)
    b = model.elbo(images, np.ones([3, 6]), sample=False)
    np.testing.assert_allclose(a.total, b.total, rtol=1e-5)
    np.testing.assert_allclose(
        model.smooth(images).images, model.smooth(images, np.ones([3, 6])).images, atol=1e-4
    )


def test_controls_move_the_codes():
    model, images = tiny(dim_u=2), videos()
    controls = np.random.default_rng(0).normal(size=[3, 6, 2]).astype(np.float32)
    still, moved = model.smooth(images), model.smooth(images, controls=controls)
    assert np.abs(still.codes - moved.codes).max() > 1e-3
    none = model.smooth(images, controls=np.zeros([3, 6, 2]))
    np.testing.assert_allclose(still.codes, none.codes, atol=1e-6)
    # The control of the first step acts on no transition.
    controls[:, 0] += 100
    np.testing.assert_allclose(model.smooth(images, controls=controls).codes, moved.codes, atol=1e-5)
    with pytest.raises(ValueError, match=r"dim_u=2 .* Received: shape \(3, 6, 1\)"):
        model.smooth(images, controls=np.zeros([3, 6, 1]))


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(
    "options", [dict(), dict(learn_u=True), dict(learn_noise=True, learn_offset=True), dict(sample_z=True)]
)
def test_gradients_are_finite_differences(options, masked):
    images = videos()
    model = tiny(activation="tanh", **options)
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32) if masked else None

    def bound():
        return model.elbo(images, mask, sample=False).total

    with tf.GradientTape() as tape:
        value = bound()
    weights = model.trainable_variables
    gradients = tape.gradient(value, [w.value for w in weights], unconnected_gradients="zero")
    rng = np.random.default_rng(0)
    for name in ("encoder/mean/kernel", "decoder/conv1/kernel", "lgssm/A", "lgssm/C", "lgssm/a_0", "kernel"):
        candidates = [i for i, weight in enumerate(weights) if weight.path.endswith(name)]
        i = candidates[-1]
        direction = rng.normal(size=weights[i].shape)
        direction /= np.linalg.norm(direction)
        old, step = weights[i].numpy(), 1e-2
        ends = []
        for sign in (1, -1):
            weights[i].assign(old + sign * step * direction)
            ends.append(float(bound()))
        weights[i].assign(old)
        difference = (ends[0] - ends[1]) / (2 * step)
        expected = float(np.sum(gradients[i] * direction))
        assert expected == pytest.approx(difference, rel=0.02, abs=2e-3), weights[i].path


def test_phases_train_their_groups_alone():
    images = videos()
    trained = {}
    for phase in (PHASE_VAE, PHASE_DYNAMICS, PHASE_ALL):
        model = tiny()
        model.compile()
        model.phase.assign(phase)
        before = [weight.numpy() for weight in model.trainable_variables]
        model.train_step({"images": images})
        trained[phase] = {
            weight.path.split("/")[1]
            for weight, old in zip(model.trainable_variables, before, strict=True)
            if np.abs(weight - old).max() > 0
        }
    assert trained[PHASE_VAE] == {"encoder", "decoder"}
    assert trained[PHASE_DYNAMICS] == {"encoder", "decoder", "lgssm"}
    assert trained[PHASE_ALL] == {"encoder", "decoder", "lgssm", "alpha"}


def test_the_gradient_is_clipped_to_its_global_norm():
    model = tiny(max_grad_norm=1e-3)
    model.compile(keras.optimizers.SGD(1.0))
    before = [weight.numpy() for weight in model.trainable_variables]
    metrics = model.train_step({"images": videos()})
    change = [weight.numpy() - old for weight, old in zip(model.trainable_variables, before, strict=True)]
    norm = np.sqrt(sum((part**2).sum() for part in change))
    assert norm == pytest.approx(1e-3, rel=1e-2)
    assert float(metrics["gradient_norm"]) > 1


def test_training_scales_the_reconstruction_and_reports_the_bound_at_scale_one():
    """With SGD the step is the gradient of 0.3 log p(x|a) - log q(a|x) + state space term."""
    images = videos()
    model = tiny(use_vae=False, max_grad_norm=1e9)
    with tf.GradientTape() as tape:
        bound = model.elbo(images)
        objective = 0.3 * bound.log_px + bound.exact
    weights = [weight.value for weight in model.trainable_variables]
    expected = tape.gradient(objective, weights, unconnected_gradients="zero")
    model.compile(keras.optimizers.SGD(1e-2))
    before = [weight.numpy() for weight in model.trainable_variables]
    metrics = model.train_step({"images": images})
    assert float(metrics["total"]) == pytest.approx(float(bound.log_px + bound.exact), rel=1e-5)
    for weight, old, gradient in zip(model.trainable_variables, before, expected, strict=True):
        np.testing.assert_allclose((weight.numpy() - old) / 1e-2, gradient, rtol=2e-2, atol=2e-2)


def test_fit_learns_and_one_seed_ends_in_one_place():
    images = videos(batch=10)
    ends = []
    for _ in range(2):
        model = KVAE(Config(**TINY))
        model.compile(keras.optimizers.Adam(0.01))
        # 10 sequences in batches of 4: the last one is not full.
        history = model.fit({"images": images}, batch_size=4, epochs=8, shuffle=False, verbose=0)
        total = history.history["total"]
        assert total[-1] > total[0] + 5
        ends.append(model.get_weights())
    for a, b in zip(*ends, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    other = KVAE(Config(**TINY, seed=1))
    other.build(images.shape)
    assert np.abs(other.get_weights()[0] - ends[0][0]).max() > 1e-3


@pytest.mark.parametrize("masked", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_whole_step_compiles_with_xla(masked):
    """As it does on a GPU; there every operation needs a kernel that XLA can make."""
    batch = {"images": videos()}
    if masked:
        batch["mask"] = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    ends = []
    for jit_compile in (False, True):
        model = tiny(use_vae=False, train_miss_prob=0.5 if masked else 0.0)
        model.compile(keras.optimizers.SGD(1e-3))
        model.optimizer.build(model.trainable_variables)
        step = tf.function(model.train_step, jit_compile=jit_compile)
        ends.append((float(step(batch)["total"]), model.lgssm.A.numpy(), model.encoder.mean.kernel.numpy()))
    for plain, compiled in zip(*ends, strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=1e-3, atol=1e-5)


def test_looking_at_the_model_does_not_change_what_it_learns():
    images = videos()
    ends = []
    for look in (False, True):
        model = tiny()
        model.compile()
        for _ in range(2):
            model.train_step({"images": images})
            if look:
                model.test_step({"images": images})
                model.generate(images, 8, stochastic=True)
        ends.append(model.lgssm.C.numpy())
    np.testing.assert_allclose(*ends, rtol=1e-6)


def test_metrics_are_weighted_by_observed_frames():
    images = videos(batch=4)
    mask = np.ones([4, 6], np.float32)
    mask[:2, 2:] = 0
    model = tiny(use_vae=False)
    model.compile()
    parts = [model.elbo(images[i], mask[i]) for i in (slice(0, 2), slice(2, 4))]
    weights = [float(part.num_observed) for part in parts]
    assert weights == [4, 12]
    batches = tf.data.Dataset.from_tensor_slices({"images": images, "mask": mask}).batch(2)
    metrics = model.evaluate(batches, verbose=0, return_dict=True)
    expected = sum(w * float(part.total) for w, part in zip(weights, parts, strict=True)) / 16
    assert metrics["total"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(alpha_rnn=False, learn_u=True),
        dict(out_distr="gaussian", learn_pixel_var=True),
        dict(conv=False, num_filters=(32, 32, 32), evaluate_on_samples=True),
    ],
)
def test_a_saved_model_gives_identical_outputs(tmp_path, options):
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


@pytest.mark.parametrize("numbers", [{"num_paths": 1}, {"num_paths": -1}, {"num_samples": -1}])
def test_impute_says_which_numbers_work(numbers):
    with pytest.raises(ValueError, match="num_samples must be 0 or more; num_paths 0 or at least 2"):
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
    for steps, given in ((2, 3), (5, 7), (5, 0)):
        with pytest.raises(ValueError, match=f"Received: num_given={given}, num_steps={steps}"):
            model.generate(images, steps, given)


def test_frames_may_be_of_any_kind():
    images = videos()
    model = tiny()
    expected = model.smooth(images).images
    for kind in (images > 0, (images / 255).astype(np.float32), tf.constant(images), images.astype(int)):
        np.testing.assert_array_equal(model.smooth(kind).images, expected)


def test_wrong_frames_are_refused():
    with pytest.raises(ShapeError, match="multiples of 2"):
        KVAE(Config(**TINY)).smooth(videos(height=7))
    model = tiny()
    with pytest.raises(ValueError, match=r"built for frames of 8x8. Received: 4x8"):
        model.smooth(videos(height=4))
    with pytest.raises(ValueError, match=r"\[B, T, H, W\]. Received: shape \(6, 8, 8\)"):
        model.smooth(videos()[0])


def test_evaluation_on_samples_draws():
    images = videos()
    mean, sampled = tiny(), tiny(evaluate_on_samples=True)
    np.testing.assert_array_equal(mean.reconstruct(images).codes, mean.encode(images).mean())
    distance = np.abs(sampled.reconstruct(images).codes - sampled.encode(images).mean())
    assert 1e-3 < distance.max() < 1


@pytest.mark.parametrize("model", ["kvae", "vae_rnn"])
def test_no_variable_is_one_that_tensorflow_keeps_on_the_processor(model):
    """There a training step that XLA has compiled for a GPU cannot reach it."""
    model = make_model(Config(**TINY, model=model))
    model.build((None, None, 8, 8))
    model.compile()
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables, *model.training_state]
    assert "int32" not in {tf.as_dtype(variable.dtype).name for variable in variables}
