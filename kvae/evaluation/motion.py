"""What of all that moves a model's codes explain, and what they do not see."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import ndimage

from kvae.config import Config
from kvae.config.presets import OWN_VIDEOS
from kvae.data.batches import batches_of
from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.pixel_errors import MOVES

EXPLAINED = 0.5
"""What a pixel's motion is explained by at least, to be seen."""
REGION = 8
"""Pixels that hang together, corners included: so many are something, and not noise here and there."""
NUM_JUDGED = 256
"""Test sequences by which a training is judged on its way."""
REACH = 3
"""Pixels along a side that something moves by between two frames, at most, to be told from noise."""
COHERENT = 0.25
"""What of an unexplained square comes back within reach in the next frame, at least, unless it is noise."""
TAIL = 10.0
"""Kurtosis of what is unexplained, at most, if it is noise.

A normal one has 3, a uniform one 1.8; what comes with a small probability p has 1 / p.
"""
LEAST_PAIRS = 100
"""Pairs of frames in a row from which noise is told from what moves; of fewer all that varies moves."""


class Region(NamedTuple):
    """Pixels that hang together and move unseen; rows and columns are counted from 0, ends included.

    Attributes:
        rows: the first and the last.
        columns: the first and the last.
        size: how many pixels.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    size: int


class Motion(NamedTuple):
    """How each pixel moves, how much of it is explained, and which codes say anything.

    Attributes:
        variance: [H, W] or [H, W, 3], of each pixel over all frames that are there.
        error: the same shape, mean squared error of what is decoded from the mean of q(a|x).
        coherence: the same shape, mean product of a pixel's deviation and those within `REACH` of it in the
            frame after: zero for noise, of the error's size for what moves on.
        code_variance: [dim_a], variance of the mean of q(a|x) over all frames.
        noise_variance: [dim_a], mean of the variance of q(a|x); zeros where codes are not drawn.
        fourth: the shape of `error`, mean fourth power; infinite where frames are too few to tell noise.
    """

    variance: NDArray
    error: NDArray
    coherence: NDArray
    code_variance: NDArray
    noise_variance: NDArray
    fourth: NDArray

    @property
    def explained(self) -> float:
        """Share of all motion that is explained, 1 - squared errors / squared deviations; NaN of none."""
        total = self.variance.sum()
        return float(1 - self.error.sum() / total) if total > 0 else np.nan

    @property
    def noise(self) -> NDArray:
        """Which pixels vary as a camera's noise does, boolean.

        Less than half of it is explained, and what is left is neither found again nearby in the next frame,
        as what moves on would be, nor is it rare, as what is small or fast is in any one pixel.
        """
        unexplained = self._varying & self._unexplained
        around = (5, 5, 1)[: unexplained.ndim]

        def local(values: NDArray) -> NDArray:
            return ndimage.uniform_filter(np.where(unexplained, values, 0), around, mode="constant")

        moves_on = local(self.coherence) > COHERENT * local(self.error)
        is_rare = self.fourth > TAIL * self.error**2
        return unexplained & ~moves_on & ~is_rare

    @property
    def moving(self) -> NDArray:
        """Which pixels move, noise left out, boolean."""
        return self._varying & ~self.noise

    @property
    def unseen(self) -> NDArray:
        """Which pixels move and are explained by less than half, boolean."""
        return self.moving & self._unexplained

    @property
    def _varying(self) -> NDArray:
        return self.variance > MOVES * self.variance.max(initial=0)

    @property
    def _unexplained(self) -> NDArray:
        return self.error > (1 - EXPLAINED) * self.variance

    @property
    def unseen_share(self) -> float:
        """Share of the moving pixels of which less than half is explained; NaN where none moves."""
        return float(self.unseen.sum() / self.moving.sum()) if self.moving.any() else np.nan

    @property
    def alive(self) -> int:
        """How many codes vary more from frame to frame than from draw to draw."""
        return int((self.code_variance > np.maximum(self.noise_variance, 1e-12)).sum())

    @property
    def regions(self) -> list[Region]:
        """What moves unseen and hangs together, noise left out, the largest first."""
        unseen: NDArray = self.unseen
        error, coherence = self.error, self.coherence
        if unseen.ndim == 3:
            unseen = np.any(unseen, axis=-1)
            error, coherence = error.sum(axis=-1), coherence.sum(axis=-1)
        labels, _ = ndimage.label(unseen, np.ones([3, 3]))
        found = []
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels == number
            size = int(inside.sum())
            if size >= REGION and coherence[inside].sum() > COHERENT * error[inside].sum():
                found.append(Region((rows.start, rows.stop - 1), (columns.start, columns.stop - 1), size))
        return sorted(found, key=lambda region: -region.size)


def metrics_of(motion: Motion) -> dict[str, float]:
    """Return the numbers of a `Motion` by their names in `kvae.runs.columns`, without those that are NaN."""
    found = {"explained": motion.explained, "unseen": motion.unseen_share, "alive": float(motion.alive)}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def sum_up(motion: Motion) -> str:
    """Say in a line how much is explained."""
    codes = f"{motion.alive} of {len(motion.code_variance)} codes alive"
    if not motion.moving.any():
        return f"Nothing moves; {codes}"
    noise = int(motion.noise.sum())
    return (
        f"Motion explained: {motion.explained:.3f}; less than half of it in {100 * motion.unseen_share:.1f} "
        f"% of the moving pixels{f' (and {noise:,} that show noise alone)' if noise else ''}; {codes}"
    )


def given_up(motion: Motion, config: Config) -> str:
    """Say that the codes tell nothing of frames that move, and what helps; empty: they do."""
    if motion.alive or not motion.moving.any():
        return ""
    return (
        "All codes are given up: whatever a frame shows, its code says nothing of it, and every "
        f"reconstruction is the same. {_remedies(config)}"
    )


def not_seen(motion: Motion, config: Config) -> str:
    """Say what moves and is not seen, where it is, and what helps; empty: nothing."""
    if not motion.regions or not motion.alive:
        return ""
    region, *others = motion.regions
    rows, columns = (f"{first} to {last}" for first, last in (region.rows, region.columns))
    more = f", and {len(others)} smaller ones" if others else ""
    return (
        f"Something moves that the codes do not see: in rows {rows}, columns {columns} ({region.size} pixels"
        f"{more}; plots/*motion.png shows where) less than half of it is explained. {_remedies(config)}"
        + (f", or more codes, {_options(2 * config.dim_a, config)}" if _all_say(motion) else "")
    )


def too_many(motion: Motion, config: Config) -> str:
    """Say that fewer codes would do, and how many; empty: all say something, or something is not seen."""
    if not motion.alive or _all_say(motion) or motion.regions:
        return ""
    codes = "code is" if motion.alive == 1 else "codes are"
    return f"{motion.alive} {codes} enough, all is seen with that: {_options(motion.alive, config)}"


def _all_say(motion: Motion) -> bool:
    return motion.alive == len(motion.code_variance)


def _options(count: int, config: Config) -> str:
    """Return the options of a model of so many codes."""
    return f"--dim_a {count}" + (f" --dim_z {2 * count}" if config.model == "kvae" else "")


def _remedies(config: Config) -> str:
    """Return what may help that a run has not got yet."""
    names = ["standardise", "warm_up", "activation"]
    if config.out_distr == "gaussian":
        names += ["learn_pixel_var", "pixel_var_from_errors"]
    missing = [name for name in names if getattr(config, name) != OWN_VIDEOS[name]]
    weight = f"--scale_reconstruction {10 * config.scale_reconstruction:g}"
    if missing:
        return "Try " + " ".join(f"--{name} {OWN_VIDEOS[name]}" for name in missing) + f", or {weight}"
    return f"More epochs may bring it; if not, try {weight}"


def motion_of(model: SequenceAutoencoder, dataset: Dataset | Shards) -> Motion:
    """Reconstruct every frame that is there from its code, and compare.

    Args:
        model: a `KVAE` or a rival, see `kvae.models.rivals`.
        dataset: a `Dataset`, or `Shards`.

    Returns:
        A `Motion`.
    """
    totals: list[NDArray] = []
    for batch in batches_of(dataset, model.config.batch_size).of():
        weight = batch["weight"][:, None] * tf.ones(batch["images"].shape[:2])
        if "mask" in batch:
            weight *= batch["mask"]
        sums = _sums(model, batch["images"], batch.get("mask"), batch.get("controls"), weight)
        found = [np.asarray(part, np.float64) for part in sums]
        totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
    *of_frames, coherence, num_frames, num_pairs = totals
    first, second, error, fourth, mean, mean_of_square, noise = (
        total / max(num_frames, 1) for total in of_frames
    )
    return Motion(
        variance=np.maximum(second - first**2, 0),
        error=error,
        coherence=coherence / max(num_pairs, 1),
        code_variance=np.maximum(mean_of_square - mean**2, 0),
        noise_variance=noise if model.is_variational else np.zeros_like(noise),
        fourth=fourth if num_pairs >= LEAST_PAIRS else np.full_like(fourth, np.inf),
    )


def _sums(
    model: SequenceAutoencoder,
    images: tf.Tensor,
    mask: tf.Tensor | None,
    controls: tf.Tensor | None,
    weight: tf.Tensor,
) -> list[tf.Tensor]:
    """Return what `motion_of` adds up over frames [B, T, H, W, ...], each with its weight [B, T]."""
    codes = model.code_distribution(images, mask, controls)
    mean, noise = codes.mean(), codes.variance()
    pixels = model.pixels(images)
    deviation = pixels - model.decode(mean).mean()
    parts = (pixels, pixels**2, deviation**2, deviation**4, mean, mean**2, noise)
    found = [tf.tensordot(weight, part, [[0, 1], [0, 1]]) for part in parts]
    # Of two frames in a row that are both there; the last has none after it.
    pairs, near = weight[:, :-1] * weight[:, 1:], _sum_nearby(deviation[:, 1:])
    coherence = tf.tensordot(pairs, deviation[:, :-1] * near, [[0, 1], [0, 1]])
    return [*found, coherence, tf.reduce_sum(weight), tf.reduce_sum(pairs)]


def _sum_nearby(frames: tf.Tensor) -> tf.Tensor:
    """Return frames [B, T, H, W] or [B, T, H, W, 3], each pixel the sum of those within `REACH`."""
    shape, side = tf.shape(frames), 2 * REACH + 1
    channels = 1 if frames.shape.rank == 4 else frames.shape[-1]
    flat = tf.reshape(frames, [-1, shape[2], shape[3], channels])
    padded = tf.pad(flat, [[0, 0], [REACH, REACH], [REACH, REACH], [0, 0]])
    return tf.reshape(side**2 * tf.nn.avg_pool2d(padded, side, 1, "VALID"), shape)
