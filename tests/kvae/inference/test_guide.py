import numpy as np
import pytest
import tensorflow as tf

from kvae.inference.guide import Guide, guide_of, guided_draw


@pytest.fixture
def problem():
    """Gaussians N(mean, cov) [3, N] and guides of which the last looks at one coordinate alone."""
    rng = np.random.default_rng(0)
    mean, root = rng.normal(size=[3, 5]), rng.normal(size=[3, 3, 5])
    cov = np.einsum("ikn,jkn->ijn", root, root) + 0.1 * np.eye(3)[..., None]
    precision = rng.uniform(0.1, 5, [3, 5])
    precision[:, 0], precision[1:, 4] = 0, 0
    return mean, cov, rng.normal(size=[3, 5]), precision


def as_tensors(*arrays):
    return [tf.constant(array, tf.float32) for array in arrays]


def test_a_draw_is_from_the_product_by_dense_algebra(problem):
    mean, cov, center, precision = problem
    mean_32, cov_32, center_32, precision_32 = as_tensors(*problem)
    noise = np.random.default_rng(1).normal(size=[3, 5])
    guide = Guide(center_32, precision_32)
    log_integral, middle = guided_draw(mean_32, cov_32, guide, tf.zeros([3, 5]))
    _, drawn = guided_draw(mean_32, cov_32, guide, *as_tensors(noise))
    for n in range(5):
        inverse, weight = np.linalg.inv(cov[..., n]), np.diag(precision[:, n])
        product_cov = np.linalg.inv(inverse + weight)
        product_mean = product_cov @ (inverse @ mean[:, n] + weight @ center[:, n])
        np.testing.assert_allclose(middle[:, n], product_mean, rtol=1e-4, atol=1e-4)
        expected = product_mean + np.linalg.cholesky(product_cov) @ noise[:, n]
        np.testing.assert_allclose(drawn[:, n], expected, rtol=1e-3, atol=1e-3)
        # The integral of N(a; m, P) exp(-(a - c)' W (a - c) / 2), by completing the square.
        square = (
            mean[:, n] @ inverse @ mean[:, n]
            + center[:, n] @ weight @ center[:, n]
            - product_mean @ (inverse + weight) @ product_mean
        )
        log_det = np.linalg.slogdet(cov[..., n] @ (inverse + weight))[1]
        assert float(log_integral[n]) == pytest.approx(-0.5 * (square + log_det), rel=1e-3, abs=1e-3)


def test_a_guide_is_what_turns_the_drawn_moments_into_those_that_are_left():
    """Its product with the Gaussian of all draws is that of the paths that are left."""
    rng = np.random.default_rng(0)
    drawn = rng.normal([[1.0], [-2.0]], 2.0, [1, 2, 4000])[:, :, None]
    left = rng.normal([[1.5], [-1.0]], 0.1, [1, 2, 4000])[:, :, None]
    even = np.full([1, 1, 4000], 1 / 4000)
    guide = guide_of(*as_tensors(drawn, even, left, even[0], 1e-6 * np.eye(2)))
    precision, prior = guide.precision.numpy()[0, :, 0], 1 / drawn.var(axis=-1)[0, :, 0]
    wanted = left.var(axis=-1)[0, :, 0]
    # Twice the variance of those that are left: few of them may carry the weight.
    np.testing.assert_allclose(1 / (prior + precision), 2 * wanted, rtol=1e-3)
    mean = (prior * drawn.mean(axis=-1)[0, :, 0] + precision * guide.center.numpy()[0, :, 0]) / (
        prior + precision
    )
    np.testing.assert_allclose(mean, left.mean(axis=-1)[0, :, 0], atol=1e-3)


def test_a_guide_from_paths_that_nobody_chose_among_says_nothing():
    drawn = np.random.default_rng(0).normal(size=[2, 1, 3, 50])
    even = np.full([2, 3, 50], 1 / 50)
    guide = guide_of(*as_tensors(drawn, even, drawn, even[0], np.eye(1)))
    np.testing.assert_array_equal(guide.precision, 0)
    assert np.isfinite(guide.center).all()
