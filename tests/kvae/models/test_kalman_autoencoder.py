import numpy as np
import pytest
import tensorflow as tf

from tests.kvae.models.small import tiny, videos


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
    with pytest.raises(ValueError, match=r"dim_u\] = \[3, 6, 2\]. Received: shape \(3, 6, 1\)"):
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
