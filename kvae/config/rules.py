"""What options may be: their types, bounds, and what does not go together. Imports no TensorFlow."""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from kvae.config.marks import Bound, IdleBeside, IdleWith, beside, kind_of
from kvae.errors import UserError

_LARGEST_WEIGHT = 10**8
"""Numbers in one array of weights."""


class ConfigError(UserError):
    """An option has a value that cannot work; the message says what would."""


class ShapeError(UserError):
    """Frames that the networks cannot handle; the message says which work."""


def checked_type(field: dataclasses.Field, value: Any) -> Any:
    """Return the value in the field's type (a list becomes a tuple, an int a float), or raise."""
    kind = kind_of(field)
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if _is_whole_number(value):
            value = int(value)
        if isinstance(value, bool) or value not in choices:
            names = ", ".join(repr(choice) for choice in choices)
            raise ConfigError(f"{field.name} must be one of {names}. Received: {value!r}")
        return value
    if isinstance(kind, types.GenericAlias):
        items = value if isinstance(value, list | tuple) else []
        # None at all is a choice of those alone that have it as their default.
        is_none = isinstance(value, list | tuple) and not items and field.default == ()
        if not is_none and not (items and all(_is_whole_number(item) for item in items)):
            raise ConfigError(f"{field.name} must be whole numbers such as 32,32. Received: {value!r}")
        return tuple(int(item) for item in items)
    if kind is int and _is_whole_number(value):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{field.name} must be of type {kind.__name__}. Received: {value!r}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{field.name} must be finite. Received: {value!r}")
    return value


def _is_whole_number(value: Any) -> bool:
    # NumPy's integers are welcome; a bool is an integer to Python, but not to a reader.
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def require(holds: bool, name: str, words: str, value: Any) -> None:
    """Raise ConfigError unless it holds that the option `name` is what the words say."""
    if not holds:
        raise ConfigError(f"{name} must be {words}. Received: {value!r}")


def check_bounds(field: dataclasses.Field, value: Any) -> None:
    """Raise ConfigError unless a value lies in the bounds beside its field."""
    for bound in beside(field, Bound):
        require(bound.holds(value), field.name, bound.words, value)


def idle_setting(field: dataclasses.Field, settings: Mapping[str, Any]) -> str | None:
    """Return the setting, such as conv=False, with which an option has no effect; None where it has one.

    Args:
        field: the option's.
        settings: other options by name. Those that are not there make none idle.
    """
    for idle in beside(field, IdleWith):
        for value in idle.values:
            if idle.option in settings and settings[idle.option] == value:
                return f"{idle.option}={value}"
    for other in beside(field, IdleBeside):
        if text := settings.get(other.option):
            return f"{other.option}={text}"
    return None


def no_effect(name: str, value: Any, setting: str) -> ConfigError:
    """Return the error of an option that would be ignored with a setting such as conv=False."""
    return ConfigError(
        f"{name}={value!r} has no effect with {setting}: leave {name} out, or change {setting.split('=')[0]}"
    )


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Refuse options that together make an array of weights that no machine would hold.

    Args:
        sizes: from the names of the options to how many weights are in the array.
    """
    for names, size in sizes.items():
        if size > _LARGEST_WEIGHT:
            raise ConfigError(
                f"{names} would make an array of {size:,} weights. Choose smaller ones, for at most "
                f"{_LARGEST_WEIGHT:,}"
            )
