"""The two scores, and who fills in: a trained KVAE in three ways, and those who know nothing or all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.peers import observer
from experiments.peers.tasks import Split, Task

CLIPPED = 1e-6
"""Probabilities lie this far from 0 and 1, as in the original KVAE: else a grey pixel could cost anything."""
BATCH = 20
"""Sequences that are filled in together."""
METHODS = ("sampling", "smoothing", "filtering")
SEED = 0
"""Of what sampling draws."""


class Score(NamedTuple):
    """How well hidden frames were filled in.

    Attributes:
        cross_entropy: in nats, summed over the pixels of a frame, mean over all frames that exist.
        squared_error: of a pixel in [0, 1], mean over frames that exist and are not seen.
        median: of the squared errors of single sequences.
        standard_error: of `squared_error`, over sequences.
    """

    cross_entropy: float
    squared_error: float
    median: float
    standard_error: float


def cross_entropy(probabilities: NDArray, targets: NDArray) -> NDArray[np.float64]:
    """Return the cross-entropy of Bernoulli pixels with grey targets, in nats, summed over a frame's pixels.

    Args:
        probabilities: [..., H, W], in [0, 1].
        targets: [..., H, W], in [0, 1].
    """
    p = np.clip(np.asarray(probabilities, np.float64), CLIPPED, 1 - CLIPPED)
    x = np.asarray(targets, np.float64)
    return -(x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axis=(-2, -1))


def entropy(targets: NDArray) -> NDArray[np.float64]:
    """Return the least cross-entropy that there can be, [...]: that of the targets [..., H, W] themselves."""
    x = np.asarray(targets, np.float64)
    parts = [np.where(y > 0, y * np.log(np.where(y > 0, y, 1)), 0) for y in (x, 1 - x)]
    return -(parts[0] + parts[1]).sum(axis=(-2, -1))


class Sums:
    """What scores are made of, sequence by sequence."""

    def __init__(self) -> None:
        self._rows: list[NDArray[np.float64]] = []

    def add(self, filled: NDArray, split: Split) -> None:
        """Judge frames [N, T, H, W] in [0, 1] of those sequences."""
        truth = split.images / 255.0
        entropies = np.where(split.exists, cross_entropy(filled, truth), 0)
        judged = split.exists & ~split.seen
        errors = np.where(judged, ((filled - truth) ** 2).mean(axis=(-2, -1)), 0)
        columns = (entropies, split.exists, errors, judged)
        self._rows.append(np.stack([column.sum(axis=1, dtype=np.float64) for column in columns], axis=1))

    def score(self) -> Score:
        """Return the score of all that was added."""
        entropies, exist, errors, judged = np.concatenate(self._rows).T
        mean = errors.sum() / judged.sum()
        of_sequences = errors[judged > 0] / judged[judged > 0]
        deviation = np.sqrt(((errors - mean * judged) ** 2).sum()) / judged.sum()
        return Score(
            float(entropies.sum() / exist.sum()),
            float(mean),
            float(np.median(of_sequences)),
            float(deviation),
        )


def of_model(model: Any, split: Split, num_paths: int) -> dict[str, Score]:
    """Return the scores of a trained `KVAE`, by method."""
    sums = {method: Sums() for method in METHODS}
    for part, filled in fills(model, split, num_paths):
        for method, frames in filled.items():
            sums[method].add(frames, part)
    return {method: of_method.score() for method, of_method in sums.items()}


def fills(model: Any, split: Split, num_paths: int) -> Iterator[tuple[Split, dict[str, NDArray]]]:
    """Yield some sequences at a time, with what a `KVAE` makes of all their frames, by method.

    Frames that are seen are decoded from their own codes. Hidden ones are: by sampling, the mean of what
    draws from the posterior decode to; by smoothing, what the smoothed codes do, given all that is seen; by
    filtering, given what was seen before.
    """
    import tensorflow as tf

    from kvae.inference.posterior import NUM_DRAWS
    from kvae.models import draws

    for first in range(0, len(split.images), BATCH):
        part = Split(*(array[first : first + BATCH] for array in split))
        mask = tf.constant(part.seen, tf.float32)
        codes = model.codes(part.images, model.seeds(SEED), mask)
        found = model.infer_codes(codes, mask)
        seed = tf.constant([SEED, first])
        posterior = model.sample_posterior(codes, mask, None, num_paths, NUM_DRAWS, seed)
        seen, decoded = part.seen[..., None, None], model.decoded_images(codes).numpy()
        hidden = {
            "sampling": draws.decode_mean(model, posterior.codes),
            "smoothing": model.decoded_images(found.smoothed_codes),
            "filtering": model.decoded_images(found.filtered_codes),
        }
        yield part, {method: np.where(seen, decoded, frames) for method, frames in hidden.items()}


def of_others(task: Task, train: Split, test: Split) -> dict[str, Score]:
    """Return the scores of the floor, of the perfect observer, and of those who know nothing of motion."""
    floor = float(entropy(test.images[test.exists] / 255.0).mean())
    found = {"floor": Score(floor, 0.0, 0.0, 0.0)}
    of_mean = train.images[train.exists].mean(axis=0) / 255.0
    filled = {
        "perfect observer": observer.fill(test),
        "last frame seen": last_seen(test, of_mean),
        "mean image": np.broadcast_to(of_mean, test.images.shape),
    }
    for name, frames in filled.items():
        sums = Sums()
        sums.add(frames, test)
        found[name] = sums.score()
    return found


def last_seen(split: Split, otherwise: NDArray) -> NDArray[np.float64]:
    """Return for each frame the last one seen until then, or before there was any a frame [H, W]."""
    steps = np.where(split.seen, np.arange(split.seen.shape[1]), -1)
    last = np.maximum.accumulate(steps, axis=1)
    frames = np.take_along_axis(split.images, np.maximum(last, 0)[..., None, None], axis=1) / 255.0
    return np.where(last[..., None, None] < 0, otherwise, frames)


def draw_strip(model: Any, split: Split, num_paths: int, path: Path, num_steps: int = 25) -> None:
    """Draw the first steps of the first sequence: truth, what is seen, what sampling fills in, how surely."""
    from kvae.plots import films

    one = split.first(1)
    found = model.impute(one.images, one.seen, num_samples=24, num_paths=num_paths, seed=SEED)
    seen, exists = (mask[0, :num_steps].astype(np.float32) for mask in (one.seen, one.exists))
    truth = one.images[0, :num_steps] / 255.0
    rows = {
        "truth": truth,
        "seen": truth * seen[:, None, None],
        "filled in": found.images.numpy()[0, :num_steps],
        "uncertainty": found.samples.images.numpy()[0].std(axis=0)[:num_steps],
    }
    picture = films.strip(rows, seen, scale=2, complete=("truth",), there=exists)
    films.write_png(path, picture)
