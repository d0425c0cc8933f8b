import numpy as np
import pytest
import tensorflow as tf

from kvae.inference import small_matrices as small


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def first(array, num_event_axes):
    """The layout of numpy.linalg: the last axis before the event's."""
    return np.moveaxis(np.asarray(array), -1, -1 - num_event_axes)


def test_batch_last_and_first():
    array = random(5, 2, 3)
    last = small.batch_last(tf.constant(array))
    assert last.shape == [2, 3, 5]
    np.testing.assert_array_equal(last[:, :, 1], array[1])
    np.testing.assert_array_equal(small.batch_first(last), array)


@pytest.mark.parametrize("leading", [(), (6,)])
def test_products(leading):
    a, b, x, y = (tf.constant(random(*leading, *shape, 7)) for shape in ([2, 3], [3, 4], [3], [2]))
    A, B, X, Y = first(a, 2), first(b, 2), first(x, 1), first(y, 1)
    BT = np.swapaxes(B, -1, -2)
    np.testing.assert_allclose(first(small.matmul(a, b), 2), A @ B)
    np.testing.assert_allclose(first(small.matmul(a, small.transpose(b), transpose_b=True), 2), A @ B)
    np.testing.assert_allclose(first(small.transpose(b), 2), BT)
    np.testing.assert_allclose(first(small.matvec(a, x), 1), np.einsum("...ij,...j->...i", A, X))
    np.testing.assert_allclose(
        first(small.matvec(a, y, transpose_a=True), 1), np.einsum("...ji,...j->...i", A, Y)
    )


def test_a_batch_of_one_matrix_serves_all():
    a, b = random(2, 3, 1), tf.constant(random(3, 3, 7))
    expected = a[..., 0] @ first(b, 2) @ a[..., 0].T
    np.testing.assert_allclose(first(small.congruence(a, b), 2), expected)
    symmetric = small.symmetrize(b).numpy()
    np.testing.assert_array_equal(symmetric, np.swapaxes(symmetric, 0, 1))
    np.testing.assert_allclose(symmetric, (b + np.swapaxes(b, 0, 1)) / 2)


def positive_definite(size, count, condition=1e2, seed=0):
    """[size, size, count], with eigenvalues from 1 / condition to 1."""
    basis = np.linalg.qr(random(count, size, size, seed=seed))[0]
    eigenvalues = np.geomspace(1 / condition, 1, size) if size > 1 else np.ones(1)
    return np.moveaxis((basis * eigenvalues) @ np.swapaxes(basis, -1, -2), 0, -1)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 12])
@pytest.mark.parametrize("num_columns", [1, 5])
def test_solve(size, num_columns):
    matrix, rhs = positive_definite(size, 7), random(size, num_columns, 7)
    solved, reduced, pivots = small.solve(matrix, rhs)
    S, V = first(matrix, 2), first(rhs, 2)
    expected = np.linalg.solve(S, V)
    np.testing.assert_allclose(first(solved, 2), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.log(pivots).sum(axis=0), np.linalg.slogdet(S)[1])
    quadratic = (np.asarray(reduced) ** 2 / np.asarray(pivots)[:, None]).sum(axis=0)
    np.testing.assert_allclose(quadratic.T, np.einsum("nik,nik->nk", V, expected))


def test_solve_is_as_exact_as_a_cholesky_factor_where_matrices_are_nearly_singular():
    matrix = positive_definite(4, 100, condition=1e5).astype(np.float32)
    rhs = random(4, 1, 100).astype(np.float32)
    S, V = first(matrix, 2).astype(np.float64), first(rhs, 2).astype(np.float64)
    expected = np.linalg.solve(S, V)
    theirs = tf.linalg.cholesky_solve(tf.linalg.cholesky(first(matrix, 2)), first(rhs, 2))

    def error(found):
        return np.median(np.abs(found - expected).max(axis=(1, 2)) / np.abs(expected).max(axis=(1, 2)))

    assert 0 < error(first(small.solve(matrix, rhs)[0], 2)) < 2 * error(theirs)


def test_what_is_not_positive_definite_has_no_density():
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])[..., None]
    *_, pivots = small.solve(matrix, np.ones([2, 1, 1]))
    assert np.isnan(tf.math.log(pivots)).any()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 12])
def test_cholesky(size):
    matrix = positive_definite(size, 7)
    np.testing.assert_allclose(first(small.cholesky(matrix), 2), np.linalg.cholesky(first(matrix, 2)))


def test_cholesky_of_no_variance_at_all():
    np.testing.assert_array_equal(small.cholesky(tf.zeros([1, 1, 3])), np.zeros([1, 1, 3]))
