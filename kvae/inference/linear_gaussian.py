"""A linear-Gaussian state space model, and what is asked of one that somebody gives."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kvae import arguments
from kvae.arguments import ArgumentError

_ROUNDING = 1e-5
"""Of a covariance in float32, relative to its largest entry."""

_AXES = {
    "A": "[B, T, D, D]",
    "B": "[B, T, D, U]",
    "C": "[B, T, M, D]",
    "u": "[B, T, U]",
    "mu0": "[D]",
    "Q": "[D, D]",
    "R": "[M, M]",
    "Sigma0": "[D, D]",
}


class LinearGaussian(NamedTuple):
    """A linear-Gaussian state space model of a batch of sequences, with matrices of their own at every step.

        z_1 ~ N(mu0, Sigma0)
        z_t = A_t z_{t-1} + B_t u_t + N(0, Q)          t = 2..T
        y_t = C_t z_t + N(0, R)

    `A[:, t]` is the transition INTO step t, so `A[:, 0]`, `B[:, 0]` and `u[:, 0]` are not used. D is the
    dimension of the state, M that of an observation, U that of a control.

    Attributes:
        A: [B, T, D, D], the transition matrices.
        B: [B, T, D, U], what controls do to the state.
        C: [B, T, M, D], the emission matrices.
        Q: [D, D], covariance of the transition noise.
        R: [M, M], covariance of the emission noise.
        mu0: [D], mean of the first state.
        Sigma0: [D, D], covariance of the first state.
    """

    A: tf.Tensor
    B: tf.Tensor
    C: tf.Tensor
    Q: tf.Tensor
    R: tf.Tensor
    mu0: tf.Tensor
    Sigma0: tf.Tensor

    def map_sequences(self, function: Callable[[tf.Tensor], tf.Tensor]) -> "LinearGaussian":
        """Apply a function to what each sequence has of its own: A, B and C, but not what all share."""
        return self._replace(A=function(self.A), B=function(self.B), C=function(self.C))


def checked(
    model: LinearGaussian, y: tf.Tensor, mask: tf.Tensor, u: tf.Tensor
) -> tuple[LinearGaussian, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the arguments of `filter` as tensors, the model's of one float dtype.

    Raises:
        ArgumentError: an argument has another shape, is not finite where it counts, or is no covariance.
    """
    if not isinstance(model, LinearGaussian):
        raise ArgumentError(f"model must be a LinearGaussian. Received: {type(model).__name__}")
    observations, hidden = arguments.known(y, "y"), arguments.known(mask, "mask")
    shape = y.shape if observations is None else observations.shape
    if len(shape) != 3 or 0 in shape:
        raise ArgumentError(f"y must be [B, T, M] and not empty. Received: shape {tuple(shape)}")
    batch, num_steps, dim_y = shape
    rank = len(mask.shape) if hidden is None else hidden.ndim
    mask = arguments.mask(mask, tuple(shape) if rank == 3 else (batch, num_steps))
    if observations is not None and hidden is not None:
        seen = np.broadcast_to(hidden.reshape(*hidden.shape, *[1] * (3 - rank)), observations.shape) > 0
        if not np.isfinite(observations[seen]).all():
            raise ArgumentError("y must be finite where it is observed. Received: NaN or infinity")
    dim_z, dim_u = (_last_side(matrix) for matrix in (model.A, model.B))
    steps = {"A": (dim_z, dim_z), "B": (dim_z, dim_u), "C": (dim_y, dim_z)}
    for name, sides in steps.items():
        _check_numbers(name, getattr(model, name), (batch, num_steps, *sides), name != "C")
    _check_numbers("u", u, (batch, num_steps, dim_u), True)
    _check_numbers("mu0", model.mu0, (dim_z,))
    for name, size in {"Q": dim_z, "R": dim_y, "Sigma0": dim_z}.items():
        _check_covariance(name, getattr(model, name), size)
    model = in_floats(model)
    y, u = (tf.convert_to_tensor(x) for x in (y, u))
    return model, y, tf.convert_to_tensor(mask), u


def in_floats(model: LinearGaussian) -> LinearGaussian:
    """Return a model as tensors of one float dtype: its widest, float64 where all are integers."""
    tensors = [tf.convert_to_tensor(x) for x in model]
    floats = [x.dtype for x in tensors if x.dtype.is_floating]
    dtype = max(floats, key=lambda dtype: dtype.size, default=tf.float64)
    return LinearGaussian(*(tf.cast(x, dtype) for x in tensors))


def _check_numbers(
    name: str, value: tf.Tensor, shape: tuple[int | None, ...], is_transition: bool = False
) -> None:
    """Raise ArgumentError unless a value has a shape and is finite, of a transition after the first step."""
    array = arguments.known(value, name)
    if is_transition and array is not None and array.ndim > 1:
        later = array[:, 1:]
        arguments.array_of(np.zeros(array.shape), shape, name, _AXES[name], np.float64)
        arguments.array_of(later, (None,) * later.ndim, name, _AXES[name], np.float64)
        return
    arguments.array_of(value, shape, name, _AXES[name], np.float64)


def _check_covariance(name: str, value: tf.Tensor, size: int | None) -> None:
    """Raise ArgumentError unless a value is a covariance matrix; R has to have an inverse."""
    _check_numbers(name, value, (size, size))
    array = arguments.known(value, name)
    if array is None:
        return
    array = array.astype(np.float64)
    scale = np.abs(array).max()
    if not np.allclose(array, array.T, rtol=0, atol=_ROUNDING * scale):
        raise ArgumentError(f"{name} must be symmetric, as a covariance is. Received: {array.tolist()}")
    smallest = np.linalg.eigvalsh(array)[0]
    if smallest < -_ROUNDING * scale or (name == "R" and smallest <= 0):
        kind = "positive definite" if name == "R" else "positive semi-definite"
        raise ArgumentError(f"{name} must be {kind}, as a covariance is. Received: {array.tolist()}")


def _last_side(matrix: tf.Tensor) -> int | None:
    """Return the last side of an array or tensor; None where it has none, or it is not known."""
    shape = matrix.shape if hasattr(matrix, "shape") else np.shape(matrix)
    return shape[-1] if len(shape) else None
