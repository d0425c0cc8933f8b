"""How each way to see a video looks, in every picture: its colour, its marker, its place in a row.

What has no look of its own, such as another model, gets one of those that are left.
"""

from collections.abc import Iterable
from dataclasses import dataclass

GREY = "#6E6E6E"
"""Of the truth, of trivial fills, and of all that is not a model's doing."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        colour: of its lines.
        marker: of its points.
        decodes: whether the frames that were seen are decoded too, and not shown as they are.
    """

    colour: str
    marker: str
    decodes: bool = False


# Of Okabe and Ito's colours, which people of any colour vision can tell apart.
METHODS: dict[str, Look] = {
    "truth": Look(GREY, "o"),
    "reconstruction": Look(GREY, "o", decodes=True),
    "sampling": Look("#CC79A7", "D"),
    "smoothing": Look("#0072B2", "o", decodes=True),
    "filtering": Look("#E69F00", "^", decodes=True),
    "generation": Look("#009E73", "s", decodes=True),
}
"""All methods, in the order of rows and legends."""

_SAME = {
    "encoded": "reconstruction",
    "sampled": "sampling",
    "posterior": "sampling",
    "smoothed": "smoothing",
    "filtered": "filtering",
    "generated": "generation",
    "imagined on": "generation",
    "deterministic": "generation",
    "stochastic": "generation",
}
"""What else they are called: what they say of codes, and what the page calls them."""

_OTHERS = (("#D55E00", "v"), ("#56B4E9", "P"), ("#000000", "X"), ("#882255", "*"), ("#999933", "h"))
"""Of what has no look of its own, such as another model."""

MIXTURE = (
    "#332288",
    "#88CCEE",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#882255",
    "#44AA99",
    "#AA4499",
    "#999933",
)
"""Of the models of a mixture: Tol's nine muted colours, ordered so that neighbours differ."""


def method_of(label: str) -> str:
    """Return the method of `METHODS` that a label names; of any other label, the label."""
    return _SAME.get(label, label)


def looks_of(labels: Iterable[str]) -> dict[str, Look]:
    """Return how each label is drawn, in the order of `METHODS`, all others after those.

    Example:
        >>> list(looks_of(["AE-RNN", "filtering", "smoothing"]))
        ['smoothing', 'filtering', 'AE-RNN']
    """
    order = list(METHODS)
    known = [label for label in labels if method_of(label) in METHODS]
    others = [label for label in labels if method_of(label) not in METHODS]
    known.sort(key=lambda label: order.index(method_of(label)))
    looks = {label: METHODS[method_of(label)] for label in known}
    for number, label in enumerate(others):
        looks[label] = Look(*_OTHERS[number % len(_OTHERS)])
    return looks
