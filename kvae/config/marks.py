"""What stands beside an option in its `Annotated` type: its bounds, what makes it idle, who may change it."""

import dataclasses
import enum
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

Kind = TypeVar("Kind")


@dataclasses.dataclass(frozen=True)
class Bound:
    """Values that an option may have.

    Attributes:
        words: what a value must be, as messages say it.
        holds: from a value, of the option's type, to whether it is that.
    """

    words: str
    holds: Callable[[Any], bool]


def at_least(least: int) -> Bound:
    """Return the bound of values from `least` on."""
    return Bound(f"at least {least}", lambda value: value >= least)


def at_most(most: int) -> Bound:
    """Return the bound of values up to `most`."""
    return Bound(f"at most {most}", lambda value: value <= most)


def above(border: int) -> Bound:
    """Return the bound of values greater than `border`."""
    return Bound(f"above {border}", lambda value: value > border)


class IdleWith:
    """The option has no effect where another one has one of these values."""

    def __init__(self, option: str, *values: Any):
        self.option, self.values = option, values


@dataclasses.dataclass(frozen=True)
class IdleBeside:
    """The option has no effect where another one, a text, is not empty."""

    option: str


class Mark(enum.Flag):
    """Who may change an option, and what it touches."""

    RELOAD = enum.auto()
    """--reload_model may change it, as it may all of `EvaluationOptions`: what was learned stays."""
    COMMAND = enum.auto()
    """The command's own: not taken from a run that is reloaded, as in the original code, or trained on."""
    RESUME = enum.auto()
    """It works beside --resume."""
    PLACE = enum.auto()
    """It says where a run was written and what it told, not what it did."""
    FIRST_PHASE = enum.auto()
    """Epochs of a phase for a model that knows nothing yet: none where --init_model begins with another's."""
    OWN_VIDEOS = enum.auto()
    """It means something for one's own videos, and for no world."""
    ENVIRONMENTS = enum.auto()
    """It means something for environments, too."""


def kind_of(field: dataclasses.Field) -> Any:
    """Return the type of a field, without what stands beside it."""
    return typing.get_args(field.type)[0] if typing.get_origin(field.type) is Annotated else field.type


def beside(field: dataclasses.Field, kind: type[Kind]) -> list[Kind]:
    """Return what stands beside a field's type and is of a kind, in order."""
    found = getattr(field.type, "__metadata__", ())
    return [item for item in found if isinstance(item, kind)]
