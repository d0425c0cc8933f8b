"""Algebra of many small matrices at once, the batch in the last axis: [..., rows, columns, N].

A product of N matrices of size 4 is then a few products of vectors of length N, which a compiler turns
into vector instructions and fuses with what stands around them. The usual layout, [N, 4, 4], is N calls
of a routine made for large matrices. Vectors are [..., size, N].
"""

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
        return tf.reduce_sum(a[..., :, None, :, :] * b[..., None, :, :, :], axis=-2)
    return tf.reduce_sum(a[..., :, :, None, :] * b[..., None, :, :, :], axis=-3)


def matvec(a: tf.Tensor, x: tf.Tensor, transpose_a: bool = False) -> tf.Tensor:
    """Return a x for a [..., I, K, N] and x [..., K, N], or a' x for x [..., I, N]."""
    if transpose_a:
        return tf.reduce_sum(a * x[..., :, None, :], axis=-3)
    return tf.reduce_sum(a * x[..., None, :, :], axis=-2)


def congruence(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return a b a' for a [..., I, K, N] and b [..., K, K, N]."""
    return matmul(matmul(a, b), a, transpose_b=True)


def solve(matrix: tf.Tensor, rhs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Solve S X = rhs for symmetric positive definite matrices S = L D L', L with a unit diagonal.

    Gaussian elimination without pivoting, which is backward stable for such matrices (Higham, "Accuracy and
    Stability of Numerical Algorithms", 10.1). Its number of operations, each over the whole batch, grows
    with the square of the size: made for small matrices.

    Args:
        matrix: [..., M, M, N].
        rhs: [..., M, K, N].

    Returns:
        S^-1 rhs [..., M, K, N], L^-1 rhs [..., M, K, N], and D [..., M, N]. So log |S| is the sum of the
        logarithms of D, and v' S^-1 v that of (L^-1 v)^2 / D.
    """
    size = matrix.shape[-3]
    rest = tf.concat([matrix, rhs], axis=-2)
    rows: list[tf.Tensor] = []
    for _ in range(size):
        row = rest[..., 0, :, :]
        rows.append(row)
        factors = rest[..., 1:, :1, :] / row[..., None, :1, :]
        rest = rest[..., 1:, 1:, :] - factors * row[..., None, 1:, :]
    # Row i holds the pivot, the entries of L' right of it times the pivot, and L^-1 rhs.
    pivots = [row[..., 0, :] for row in rows]
    reduced = [row[..., size - i :, :] for i, row in enumerate(rows)]
    solved: list[tf.Tensor] = []
    for i in reversed(range(size)):
        known = reduced[i]
        for j, later in enumerate(solved, start=1):
            known -= rows[i][..., j, None, :] * later
        solved.insert(0, known / pivots[i][..., None, :])
    return tf.stack(solved, axis=-3), tf.stack(reduced, axis=-3), tf.stack(pivots, axis=-2)


def cholesky(matrix: tf.Tensor) -> tf.Tensor:
    """Return the lower triangular L of L L' = matrix, for symmetric positive definite [..., M, M, N]."""
    size = matrix.shape[-3]
    zero = tf.zeros_like(matrix[..., 0, 0, :])
    rows: list[list[tf.Tensor]] = []
    for i in range(size):
        row: list[tf.Tensor] = []
        for j in range(i):
            known = sum((row[k] * rows[j][k] for k in range(j)), zero)
            row.append((matrix[..., i, j, :] - known) / rows[j][j])
        # Rounding may leave a variance of zero a little below it.
        variance = matrix[..., i, i, :] - sum((entry**2 for entry in row), zero)
        row.append(tf.sqrt(tf.maximum(variance, tf.zeros_like(variance))))
        rows.append(row)
    return tf.stack([tf.stack([*row, *[zero] * (size - len(row))], axis=-2) for row in rows], axis=-3)
