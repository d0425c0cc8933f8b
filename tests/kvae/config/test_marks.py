import dataclasses
from typing import Annotated

import pytest

from kvae.config.marks import Bound, IdleWith, Mark, above, at_least, at_most, beside, kind_of


@dataclasses.dataclass
class Some:
    plain: bool = True
    many: Annotated[tuple[int, ...], at_least(1), Mark.RELOAD, IdleWith("plain", True), at_most(3)] = (1,)


PLAIN, MANY = dataclasses.fields(Some)


@pytest.mark.parametrize(
    ("bound", "words", "inside", "outside"),
    [
        (at_least(2), "at least 2", [2, 3], [1, 1.9]),
        (at_most(2), "at most 2", [2, -3], [3, 2.1]),
        (above(0), "above 0", [1, 1e-300], [0, 0.0, -1]),
    ],
)
def test_bounds(bound, words, inside, outside):
    assert bound.words == words
    assert all(bound.holds(value) for value in inside)
    assert not any(bound.holds(value) for value in outside)


def test_the_type_and_what_stands_beside_it():
    assert kind_of(PLAIN) is bool
    assert kind_of(MANY) == tuple[int, ...]
    assert beside(PLAIN, Bound) == []
    assert [bound.words for bound in beside(MANY, Bound)] == ["at least 1", "at most 3"]
    assert beside(MANY, Mark) == [Mark.RELOAD]
    (idle,) = beside(MANY, IdleWith)
    assert (idle.option, idle.values) == ("plain", (True,))
