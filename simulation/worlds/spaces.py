"""Spaces of Gymnasium: actions and observations as vectors of numbers. Needs Gymnasium once it is used."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Quantity


class ActionVectors:
    """Actions of a space as vectors: the numbers of a Box in order, one-hot where it is discrete.

    Args:
        space: the action space; that of a Dict or a Tuple one part after the other.

    Attributes:
        quantities: what each entry of a vector is.

    Raises:
        ValueError: its actions have no fixed number of entries.
    """

    def __init__(self, space: Any):
        from gymnasium import spaces
        from gymnasium.spaces import utils

        if not space.is_np_flattenable or isinstance(space, spaces.Text):
            raise ValueError(
                f"its actions are no vectors of numbers: {_short(space)}. Spaces of Box, Discrete, "
                "MultiDiscrete and MultiBinary work, and Dict and Tuple of them"
            )
        self._space, self._flatten = space, utils.flatten
        size = utils.flatdim(space)
        is_one_hot = isinstance(space, spaces.Discrete)
        first = int(space.start) if isinstance(space, spaces.Discrete) else 0
        self.quantities = tuple(
            Quantity(
                f"action_{first + i}" if is_one_hot or size > 1 else "action",
                "1" if is_one_hot else "-",
                f"1 where the action is {first + i}, else 0"
                if is_one_hot
                else f"entry {i} of the action that acted between the frame before and this one",
            )
            for i in range(size)
        )

    def check(self, action: Any) -> Any:
        """Return an action in the type that its space has, if it lies in it.

        Raises:
            ValueError: it does not.
        """
        from gymnasium import spaces

        is_array = isinstance(
            self._space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
        )
        try:
            found = _as_array(action, self._space) if is_array else action
            is_in = self._space.contains(found)
        except (TypeError, ValueError, AttributeError, OverflowError):
            is_in = False
        if not is_in:
            raise ValueError(f"an action must lie in {_short(self._space)}. Received: {_short(action)}")
        return found

    def vector(self, action: Any) -> NDArray[np.float32]:
        """Return an action as a vector [dim_u]."""
        return np.asarray(self._flatten(self._space, action), np.float32)


class ObservationVectors:
    """Observations of a space as vectors, without what is a picture in them, or no number.

    Args:
        space: the observation space.

    Attributes:
        quantities: what each entry of a vector is.
        left_out: names of the parts that are left out, with their space.
    """

    def __init__(self, space: Any):
        from gymnasium.spaces import utils

        self._flatten = utils.flatten
        self._parts: list[tuple[tuple[Any, ...], Any]] = []
        quantities: list[Quantity] = []
        left_out: list[str] = []
        for path, part in _leaves(space):
            name = "_".join(map(str, path)) or "observation"
            if _is_picture(part) or not part.is_np_flattenable:
                left_out.append(f"{name} {_short(part)}")
                continue
            size = utils.flatdim(part)
            self._parts.append((path, part))
            for i in range(size):
                entry = f"{name}_{i}" if size > 1 else name
                quantities.append(
                    Quantity(
                        entry,
                        "-",
                        f"entry {i} of {'.'.join(map(str, path)) or 'the observation'}",
                    )
                )
        self.quantities, self.left_out = tuple(quantities), tuple(left_out)

    def vector(self, observation: Any) -> NDArray[np.float64]:
        """Return an observation as a vector [S]."""
        vectors = [np.zeros(0)]
        for path, part in self._parts:
            value = observation
            for key in path:
                value = value[key]
            vectors.append(np.asarray(self._flatten(part, value), np.float64).reshape(-1))
        return np.concatenate(vectors)


def zero_action(space: Any) -> Any:
    """Return the action of a space that is zero, or nearest to it, or the first one.

    Raises:
        ValueError: the space has none.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    if isinstance(space, spaces.Discrete):
        return space.start
    if isinstance(space, spaces.MultiDiscrete):
        return np.array(space.start, space.dtype)
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, space.dtype)
    if isinstance(space, spaces.Dict):
        return {key: zero_action(part) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(zero_action(part) for part in space.spaces)
    raise ValueError(f"its actions have no zero: {_short(space)}. Give a policy of your own")


def _as_array(value: Any, space: Any) -> Any:
    """Return a value in the shape and type of a space, if it has as many numbers, or raise ValueError."""
    array = np.asarray(value).reshape(space.shape)
    found = array.astype(space.dtype)
    if found.dtype.kind != "f" and not np.array_equal(found, array):
        raise ValueError
    return found[()]


def _leaves(space: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Return the parts of a space that are no Dict and no Tuple, and where they lie in it."""
    from gymnasium import spaces

    parts: list[tuple[Any, Any]]
    if isinstance(space, spaces.Dict):
        parts = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        parts = list(enumerate(space.spaces))
    else:
        return [(path, space)]
    return [leaf for key, part in parts for leaf in _leaves(part, (*path, key))]


def _is_picture(space: Any) -> bool:
    shape = space.shape or ()
    return len(shape) >= 3 or (len(shape) == 2 and space.dtype == np.uint8)


def _short(value: Any) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= 120 else f"{text[:117]}..."
