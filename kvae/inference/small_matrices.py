"""Algebra of many small matrices at once, the batch in the last axis: [..., rows, columns, N].

A product of N matrices of size 4 is then a few products of vectors of length N, which a compiler turns
into vector instructions and fuses with what stands around them. The usual layout, [N, 4, 4], is N calls
of a routine made for large matrices. Vectors are [..., size, N].
"""

import numpy as np
import tensorflow as tf


def batch_last(tensor: tf.Tensor) -> tf.Tensor:
    """Move the first axis to the end."""
    return tf.transpose(tensor, [*range(1, tensor.shape.rank), 0])


def batch_first(tensor: tf.Tensor) -> tf.Tensor:
    """Move the last axis to the front."""
    rank = tensor.shape.rank
    return tf.transpose(tensor, [rank - 1, *range(rank - 1)])


def transpose(matrix: tf.Tensor) -> tf.Tensor:
    """Return M'."""
    rank = matrix.shape.rank
    return tf.transpose(matrix, [*range(rank - 3), rank - 2, rank - 3, rank - 1])


def symmetrize(matrix: tf.Tensor) -> tf.Tensor:
    """Return (M + M') / 2."""
    return 0.5 * (matrix + transpose(matrix))


def matmul(a: tf.Tensor, b: tf.Tensor, transpose_b: bool = False) -> tf.Tensor:
    """Return a b, or a b'.

    Args:
        a: [..., I, K, N]; the N, as all leading axes, may be 1.
        b: [..., K, J, N], or [..., J, K, N] if it is to be transposed.
        transpose_b: multiply by b'.

    Returns:
        [..., I, J, N].
    """
    if transpose_b:
        return tf.reduce_sum(tf.expand_dims(a, -3) * tf.expand_dims(b, -4), axis=-2)
    return tf.reduce_sum(tf.expand_dims(a, -2) * tf.expand_dims(b, -4), axis=-3)


def matvec(a: tf.Tensor, x: tf.Tensor, transpose_a: bool = False) -> tf.Tensor:
    """Return a x for a [..., I, K, N] and x [..., K, N], or a' x for x [..., I, N]."""
    if transpose_a:
        return tf.reduce_sum(a * tf.expand_dims(x, -2), axis=-3)
    return tf.reduce_sum(a * tf.expand_dims(x, -3), axis=-2)


def congruence(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return a b a' for a [..., I, K, N] and b [..., K, K, N]."""
    return matmul(matmul(a, b), a, transpose_b=True)


def solve(matrix: tf.Tensor, rhs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Solve S X = rhs for symmetric positive semi-definite matrices S = L D L', L with a unit diagonal.

    Gaussian elimination without pivoting, which is backward stable for such matrices (Higham, "Accuracy and
    Stability of Numerical Algorithms", 10.1). Its number of operations, each over the whole batch, grows
    with the square of the size: made for small matrices.

    Where S is singular, up to rounding, X is one of many solutions if there is any, as for the right hand
    sides of a Kalman filter: its entry is zero where a pivot is. Without one X has no meaning.

    Args:
        matrix: [..., M, M, N].
        rhs: [..., M, K, N].

    Returns:
        S^-1 rhs [..., M, K, N], L^-1 rhs [..., M, K, N], and D [..., M, N]. So log |S| is the sum of the
        logarithms of D, and v' S^-1 v that of (L^-1 v)^2 / D. Both are for definite S: D holds zeros, or what
        rounding leaves of them, where S is singular, and is negative where S is indefinite.
    """
    size = matrix.shape[-3]
    scales = _deviations(matrix)
    rest = tf.concat([matrix, rhs], axis=-2)
    rows: list[list[tf.Tensor]] = []
    reduced: list[tf.Tensor] = []
    divisors: list[tf.Tensor] = []
    skipped: list[tf.Tensor] = []
    for i in range(size):
        # Unstacked and split: an index takes four operations, and there are many.
        row, below = tf.split(rest, [1, size - 1 - i], axis=-3)
        square, of_rhs = tf.split(row, [size - i, -1], axis=-2)
        reduced.append(tf.squeeze(of_rhs, -3))
        rows.append(tf.unstack(tf.squeeze(square, -3), axis=-2))
        pivot, *column = rows[i]
        floor = _rounding(scales, i)
        is_rounding = tf.abs(pivot) <= floor
        is_zero = is_rounding & (_is_negligible(column, scales, i) | (floor <= 0))
        skipped.append(tf.expand_dims(is_zero, -2))
        divisor = tf.where(is_zero, tf.ones_like(pivot), tf.where(is_rounding, floor, pivot))
        divisors.append(tf.expand_dims(divisor, -2))
        if i == size - 1:
            break
        _, right = tf.split(row, [1, -1], axis=-2)
        first, rest = tf.split(below, [1, -1], axis=-2)
        factors = first / tf.expand_dims(divisors[i], -3)
        rest -= tf.where(tf.expand_dims(skipped[i], -3), tf.zeros_like(factors), factors) * right
    # Row i holds the pivot, and the entries of L' right of it times the pivot.
    pivots = [row[0] for row in rows]
    solved: list[tf.Tensor] = []
    for i in reversed(range(size)):
        known = reduced[i]
        for entry, later in zip(rows[i][1:], solved, strict=True):
            known -= tf.expand_dims(entry, -2) * later
        quotient = known / divisors[i]
        solved.insert(0, tf.where(skipped[i], tf.zeros_like(quotient), quotient))
    return tf.stack(solved, axis=-3), tf.stack(reduced, axis=-3), tf.stack(pivots, axis=-2)


def cholesky(matrix: tf.Tensor) -> tf.Tensor:
    """Return the lower triangular L of L L' = matrix, for symmetric semi-definite [..., M, M, N].

    L L' is the matrix within rounding, that of the variances on its diagonal, and gradients are finite, where
    the matrix is singular too: a pivot that is zero has a column of zeros, and no gradient.

    A pivot below zero counts as zero, for rounding where a covariance was computed may leave it there. So a
    matrix that is truly indefinite gets an L without a warning, whose L L' is another matrix: who must know
    looks at the pivots of `solve`.
    """
    size = matrix.shape[-3]
    entries = _entries(matrix)
    zero = tf.zeros_like(entries[0][0])
    scales = _deviations(matrix)
    # The diagonal of what is left to factor.
    left = [tf.stop_gradient(entries[i][i]) for i in range(size)]
    columns: list[list[tf.Tensor]] = []
    for i in range(size):
        pivot, *column = [
            entries[j][i] - sum((before[j] * before[i] for before in columns), zero) for j in range(i, size)
        ]
        floor = _rounding(scales, i)
        is_zero = (pivot <= floor) & (_is_negligible(column, scales, i) | (floor <= 0))
        # A pivot that is too small for the covariances beside it has lost that to rounding.
        is_small = pivot <= floor
        for entry, variance in zip(column, left[i + 1 :], strict=True):
            is_small |= entry**2 > pivot * variance
        is_raised = is_small & ~is_zero
        root = square_root(tf.where(is_raised, tf.maximum(pivot, zero) + floor, pivot))
        divisor = tf.where(is_zero, tf.ones_like(root), root)
        below = []
        for j, entry in enumerate(column, start=i + 1):
            quotient = tf.where(is_zero, zero, entry / divisor)
            # Of a semi-definite matrix no entry exceeds that. Those of others would overflow.
            most = square_root(left[j] + _rounding(scales, j))
            below.append(tf.where(is_raised, tf.clip_by_value(quotient, -most, most), quotient))
            left[j] -= tf.stop_gradient(below[-1] ** 2)
        columns.append([zero] * i + [root, *below])
    return tf.stack([tf.stack(column, axis=-2) for column in columns], axis=-2)


def square_root(tensor: tf.Tensor) -> tf.Tensor:
    """Return the square root, and zero where there is none; the gradient there is zero too, not infinite."""
    has_none = tensor <= 0
    root = tf.sqrt(tf.where(has_none, tf.ones_like(tensor), tensor))
    return tf.where(has_none, tf.zeros_like(tensor), root)


def _entries(matrix: tf.Tensor) -> list[list[tf.Tensor]]:
    """Return all entries, row by row: [..., N] each."""
    return [tf.unstack(row, axis=-2) for row in tf.unstack(matrix, axis=-3)]


def _deviations(matrix: tf.Tensor) -> list[tf.Tensor]:
    """Return the square roots of the diagonal, by which rounding is judged: no gradients go through them."""
    entries = _entries(tf.stop_gradient(tf.convert_to_tensor(matrix)))
    return [square_root(row[i]) for i, row in enumerate(entries)]


def _rounding(scales: list[tf.Tensor], i: int) -> tf.Tensor:
    """Return how much of the variance i may be rounding."""
    return len(scales) * np.finfo(scales[i].dtype.as_numpy_dtype).eps * scales[i] ** 2


def _is_negligible(column: list[tf.Tensor], scales: list[tf.Tensor], i: int) -> tf.Tensor:
    """Return where all covariances of coordinate i with those after it may be rounding."""
    found = tf.ones_like(scales[i], tf.bool)
    for entry, scale in zip(column, scales[i + 1 :], strict=True):
        rounding = len(scales) * np.finfo(entry.dtype.as_numpy_dtype).eps
        found &= tf.abs(entry) <= rounding * scales[i] * scale
    return found
