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


def within_rounding(found, matrices):
    """L L' is the matrix, up to a few thousand roundings of its variances."""
    deviations = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64))
    scale = deviations[:, :, None] * deviations[:, None, :]
    L = np.asarray(found, np.float64)
    error = np.abs(L @ np.swapaxes(L, -1, -2) - matrices)
    return (error <= 5000 * np.finfo(matrices.dtype).eps * scale).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", range(1, 9))
def test_cholesky_of_matrices_of_any_rank(size, dtype):
    rng = np.random.default_rng(size)
    for rank in range(size + 1):
        root = rng.normal(size=[60, size, rank])
        root[:20] = np.round(root[:20])
        root[10:40, rng.integers(size)] = root[10:40, rng.integers(size)]
        matrices = (root @ root.swapaxes(1, 2)).astype(dtype)
        last = tf.constant(np.moveaxis(matrices, 0, -1))
        with tf.GradientTape() as tape:
            tape.watch(last)
            found = small.cholesky(last)
            total = tf.reduce_sum(found)
        assert within_rounding(first(found, 2), matrices)
        assert np.isfinite(tape.gradient(total, last)).all()
        # The right hand side is in the range: there is a solution.
        rhs = (matrices.astype(np.float64) @ rng.normal(size=[60, size, 1])).astype(dtype)
        solved = first(small.solve(last, np.moveaxis(rhs, 0, -1))[0], 2).astype(np.float64)
        size_of_terms = np.abs(matrices) @ np.abs(solved) + np.abs(rhs)
        assert (np.abs(matrices @ solved - rhs) <= 5000 * np.finfo(dtype).eps * size_of_terms).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("condition", [1e4, 1e8, 1e16, 1e20])
def test_cholesky_of_nearly_singular_matrices(condition, dtype):
    for size in range(2, 9):
        matrix = positive_definite(size, 50, condition).astype(dtype)
        assert within_rounding(first(small.cholesky(matrix), 2), first(matrix, 2))


def test_a_pivot_of_zero_has_a_column_of_zeros():
    matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 4.0]])[..., None]
    np.testing.assert_array_equal(
        small.cholesky(matrix)[..., 0], [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]
    )


def test_nan_stays_nan():
    assert np.isnan(small.cholesky(np.array([[np.nan, 0.0], [0.0, 1.0]])[..., None])[..., 0]).any()


def test_the_root_of_zero_has_a_gradient():
    x = tf.constant([0.0, 4.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        root = small.square_root(x)
    np.testing.assert_array_equal(root, [0, 2])
    np.testing.assert_array_equal(tape.gradient(root, x), [0, 0.25])
