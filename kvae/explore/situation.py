"""What a person has chosen on the page, and the address that says so."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

import numpy as np

from kvae.data import masks

MAX_FUTURE = 60
"""Steps that can be imagined on."""
_MAX_SEED = 10**6
_HIDE_PROBABILITY = 0.5


class Situation(NamedTuple):
    """What a person has chosen; all else follows from it.

    Attributes:
        model: its name.
        sequence: its number, from 0.
        hidden: numbers of the hidden frames, from 0, in their order.
        seed: of all draws.
        future: steps to imagine on; 0 until that is asked for.
        clip: the file of a clip that was brought; empty: the sequence is one of the model's data.
    """

    model: str
    sequence: int = 0
    hidden: tuple[int, ...] = ()
    seed: int = 0
    future: int = 0
    clip: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str], model: str, num_sequences: int, num_steps: int) -> "Situation":
        """Return what an address says, whoever wrote it: numbers out of range are the nearest in it.

        Args:
            given: the parameters of the address, see `query`; what is missing or is none is as at the start.
            model: its name.
            num_sequences: those to choose from.
            num_steps: T.
        """
        hidden = middle(num_steps) if "hide" not in given else _frames(given["hide"], num_steps)
        return cls(
            model,
            clamped(given.get("sequence"), 1, num_sequences, 1) - 1,
            hidden,
            clamped(given.get("seed"), 0, _MAX_SEED, 0),
            clamped(given.get("imagine"), 0, MAX_FUTURE, 0),
        )

    def query(self) -> str:
        """Return the end of the address that brings this back; of a clip, which is not in it, the model's."""
        parts = {"model": self.model}
        if not self.clip:
            marks = np.zeros(max(self.hidden, default=0) + 1, bool)
            marks[list(self.hidden)] = True
            parts |= {"sequence": str(self.sequence + 1), "hide": in_words(marks).replace(" ", "")}
            optional = {"seed": self.seed, "imagine": self.future}
            parts |= {name: str(number) for name, number in optional.items() if number}
        return "?" + urlencode(parts, safe=",/")

    def toggle(self, step: int) -> "Situation":
        """Hide a frame that is seen, show one that is hidden."""
        return self._replace(hidden=tuple(sorted({step} ^ set(self.hidden))))

    def hide_at_random(self, num_steps: int) -> "Situation":
        """Hide each frame after the first with a probability of a half, others in every call."""
        then = self.drawn_anew()
        mask = masks.random_mask(1, num_steps, 1, _HIDE_PROBABILITY, [self.sequence, then.seed])
        return then._replace(hidden=tuple(np.flatnonzero(mask[0] == 0).tolist()))

    def drawn_anew(self) -> "Situation":
        """Have other draws."""
        return self._replace(seed=(self.seed + 1) % (_MAX_SEED + 1))


def clamped(number: str | float | None, least: int, most: int, otherwise: int) -> int:
    """Return a number that somebody typed as a whole one in least..most; `otherwise` where it is none.

    Examples:
        >>> clamped("2000", 1, 100, 1), clamped(-3.2, 1, 100, 1), clamped("many", 1, 100, 7)
        (100, 1, 7)
    """
    try:
        value = float(number if number is not None else "")
    except ValueError:
        return otherwise
    return otherwise if math.isnan(value) else round(min(max(value, least), most))


def middle(num_steps: int) -> tuple[int, ...]:
    """Return the frames of the middle three fifths: 12 of 20, as the paper hides."""
    count = max(1, round(0.6 * num_steps))
    first = (num_steps - count) // 2
    return tuple(range(first, first + count))


def in_words(hidden: np.ndarray) -> str:
    """Return the hidden steps of [T] bool, counted from 1, as text such as `3, 5-8`; `none`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    runs = [(first + 1, end) for first, end in edges.reshape(-1, 2)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or "none"


def _frames(ranges: str, num_steps: int) -> tuple[int, ...]:
    """Return the frames, from 0, of ranges such as 3,5-8, as far as they can be read and are there."""
    hidden: set[int] = set()
    for first, last in re.findall(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", ranges):
        hidden.update(range(max(int(first), 1) - 1, min(int(last or first), num_steps)))
    return tuple(sorted(hidden))
