"""The rows of the strip: what of a sequence is shown, and how it goes on."""

import numpy as np

from kvae.explore.html import Row
from kvae.explore.session import Future, Look
from kvae.plots.look import METHODS

CLICKABLE = "model sees"


def of(look: Look, future: Future | None = None) -> list[Row]:
    """Return the rows; each sample goes on where something is imagined."""
    samples, hidden = look.samples, look.hidden
    if future is not None:
        samples = np.concatenate([samples, future.images], axis=1)
        hidden = np.pad(hidden, (0, future.images.shape[1]), constant_values=True)
    return [
        Row("truth", look.truth, look.missing, METHODS["truth"].colour, blank=True),
        Row(CLICKABLE, look.truth, look.hidden, blank=True),
        Row("posterior", look.filled, look.hidden, METHODS["sampling"].colour),
        Row("filtering", look.filtered, look.hidden, METHODS["filtering"].colour),
        *(Row(f"sample {i + 1}", frames, hidden) for i, frames in enumerate(samples)),
    ]
