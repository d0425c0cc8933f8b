"""The plane that codes of any dimension are shown in."""

from typing import NamedTuple

import numpy as np


class Plane(NamedTuple):
    """A linear map from codes to points, x = axes (a - offset).

    Attributes:
        axes: [2, dim_a].
        offset: [dim_a].
        labels: what the two axes are, for a picture.
        note: what a reader must know beyond that; empty for codes of two dimensions.
    """

    axes: np.ndarray
    offset: np.ndarray
    labels: tuple[str, str]
    note: str

    @classmethod
    def of(cls, codes: np.ndarray) -> "Plane":
        """Return the plane for codes [N, T, dim_a], of which those that are NaN do not count.

        Two dimensions are the plane; of more it is that of the two principal components of these codes; one
        dimension is drawn over time.
        """
        dim_a = codes.shape[-1]
        offset = np.zeros(dim_a)
        if dim_a == 1:
            note = "The codes of this model are single numbers, drawn over time."
            return cls(np.array([[0.0], [1.0]]), offset, ("time step $t$", "code $a$"), note)
        if dim_a == 2:
            return cls(np.eye(2), offset, ("code $a_1$", "code $a_2$"), "")
        flat = codes.reshape(-1, dim_a).astype(np.float64)
        flat = flat[np.isfinite(flat).all(axis=1)]
        offset = flat.mean(axis=0)
        _, scales, components = np.linalg.svd(flat - offset, full_matrices=False)
        # The sign of a component is arbitrary: the same on every machine.
        axes = components[:2] * np.sign(components[:2].sum(axis=1, keepdims=True))
        share = (scales[:2] ** 2).sum() / (scales**2).sum()
        note = (
            f"The codes of this model have {dim_a} dimensions: shown are their two principal components, "
            f"with {share:.0%} of the variance."
        )
        return cls(axes, offset, ("principal component 1", "principal component 2"), note)

    def points(self, codes: np.ndarray, first_step: int = 1) -> np.ndarray:
        """Return the points [..., T, 2] of codes [..., T, dim_a], the first of which is of `first_step`."""
        points = (codes - self.offset) @ self.axes.T
        if codes.shape[-1] == 1:
            points[..., 0] += first_step + np.arange(codes.shape[-2])
        return points

    def covariances(self, covs: np.ndarray) -> np.ndarray:
        """Return the covariances [..., 2, 2] of points whose codes have `covs` [..., dim_a, dim_a]."""
        return self.axes @ covs @ self.axes.T
