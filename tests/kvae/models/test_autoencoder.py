import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.models.autoencoder import PHASE_ALL, PHASE_DYNAMICS, PHASE_VAE
from kvae.models.factory import make_model
from kvae.models.kvae import KVAE
from tests.kvae.models.small import TINY, tiny, videos


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
        dict(decode_share=0.4),
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


SMALLEST = {
    "frame": dict(batch=1, num_steps=1),
    "two": dict(batch=1, num_steps=2),
    "three": dict(batch=2, num_steps=3, height=4, width=10),
}
SOME_OF_SMALLEST = [("frame", 1, False), ("two", 2, True), ("three", 1, True)]
"""Each side of each choice; all the others take a minute."""


@pytest.mark.parametrize(
    ("shape", "K", "masked"),
    [
        pytest.param(*case, marks=() if case in SOME_OF_SMALLEST else pytest.mark.slow)
        for case in itertools.product(SMALLEST, (1, 2), (False, True))
    ],
)
def test_the_smallest_shapes_work(shape, K, masked):
    images = videos(**{"height": 4, "width": 4, **SMALLEST[shape]})
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


# What XLA compiles takes as long as all else, and is compiled elsewhere too.
@pytest.mark.parametrize("kf_elbo", ["sampled", pytest.param("exact", marks=pytest.mark.slow)])
def test_fit_learns_and_one_seed_ends_in_one_place(kf_elbo, monkeypatch):
    images = videos(batch=10)
    ends, traced = [], []
    step = KVAE.train_step
    monkeypatch.setattr(KVAE, "train_step", lambda model, data: traced.append(model) or step(model, data))
    for _ in range(2):
        model = KVAE(Config(**TINY, kf_elbo=kf_elbo))
        model.build(images.shape)
        model.compile(keras.optimizers.Adam(0.01))
        # 10 sequences in batches of 4: the last one is not full.
        history = model.fit({"images": images}, batch_size=4, epochs=8, shuffle=False, verbose=0)
        total = history.history["total"]
        assert total[-1] > total[0] + 5
        ends.append(model.get_weights())
    # Once each, which takes longer than all the steps.
    assert len(traced) == 2
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
        step = tf.function(model.train_step, jit_compile=True) if jit_compile else model.train_step
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


@pytest.mark.parametrize("model", ["kvae", "vae_rnn"])
def test_no_variable_is_one_that_tensorflow_keeps_on_the_processor(model):
    """There a training step that XLA has compiled for a GPU cannot reach it."""
    model = make_model(Config(**TINY, model=model))
    model.build((None, None, 8, 8))
    model.compile()
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables, *model.training_state]
    assert "int32" not in {tf.as_dtype(variable.dtype).name for variable in variables}
