"""Balls between the walls of a polygon."""

from typing import Any

import numpy as np
import shapely

from .ball import OPTIONS, BallParameters, BallWorld, Point, ball_world, closed_path
from .registry import register

SHAPES = {
    "hexagon": ((3.0, 1.0), (1.0, 15.0), (8.0, 30.0), (25.0, 30.0), (30.0, 8.0), (15.0, 1.0)),
    "octagon": (
        *((1.0, 8.0), (1.0, 22.0), (8.0, 30.0), (22.0, 30.0)),
        *((30.0, 22.0), (30.0, 8.0), (22.0, 1.0), (8.0, 1.0)),
    ),
}
"""The closed paths of the original simulator, by name."""


@register("polygon", ("vertices", *OPTIONS))
def polygon(vertices: str | tuple[Point, ...] = "hexagon", **options: Any) -> BallWorld:
    """Make the polygon, in which every wall reflects a ball another way.

    Args:
        vertices: a name of `SHAPES`, or the corners (x, y) of a closed path in a frame of 32 by 32.
        options: see `make_world`.

    Raises:
        ValueError: there is no such shape, or it is no path.
    """
    start: dict[str, Any] = {}
    if isinstance(vertices, str):
        if vertices not in SHAPES:
            raise ValueError(
                f"vertices must be corners, or one of {', '.join(SHAPES)}. Received: {vertices!r}."
            )
        corners = SHAPES[vertices]
    else:
        corners = tuple((float(x), float(y)) for x, y in vertices)
        if len(corners) < 3 or not np.isfinite(corners).all():
            raise ValueError(
                f"vertices must be three corners or more, of numbers. Received: {list(corners)}."
            )
        # A ball starts around the point that is deepest inside; anywhere, if it fits.
        middle = shapely.maximum_inscribed_circle(shapely.Polygon(corners)).coords[0]
        start = {"start_mean": middle, "start_range": (0.0, 32.0)}
    parameters = BallParameters(
        walls=closed_path(corners),
        room=corners,
        gravity=(0.0, 0.0),
        start_std=2.5,
        speed_range=(10.0, 15.0),
        **start,
    )
    if vertices != "hexagon":
        options = {
            "vertices": vertices if isinstance(vertices, str) else [list(v) for v in corners],
            **options,
        }
    return ball_world("polygon", parameters, options, BallWorld)
