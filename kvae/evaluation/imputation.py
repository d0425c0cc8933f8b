"""Imputation judged on the hidden frames, under one mask or along a curve of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kvae.data import masks
from kvae.data.dataset import Dataset
from kvae.data.pixels import to_pixels
from kvae.inference import posterior
from kvae.inference.tracing import traced_per_model
from kvae.models import draws
from kvae.models.autoencoder import SequenceAutoencoder


class ImputationError(NamedTuple):
    """Error over the hidden frames.

    Attributes:
        wrong_pixels: fraction of pixels on the wrong side of 0.5 (Hamming distance); of frames in colour each
            of the three values of a pixel counts.
        normalised_rmse: root mean squared error of the codes, divided by the standard deviation of the
            encoded ones, both pooled over hidden steps and dimensions.
    """

    wrong_pixels: float
    normalised_rmse: float


class CurvePoint(NamedTuple):
    """One row of an imputation curve: x is the number or the probability of hidden frames."""

    x: float
    method: str
    error: ImputationError


def imputation_errors(
    model: SequenceAutoencoder,
    dataset: Dataset,
    observed: Sequence[np.ndarray],
    methods: tuple[str, ...] | None = None,
    seed: int = 0,
) -> list[dict[str, ImputationError]]:
    """Judge ways to fill in hidden frames, under one or more masks.

    Filtering, smoothing and sampling see the observed frames; generation sees the first config.t_init_mask
    alone and rolls out from there. A frame that the dataset's own mask hides is seen by none of them, and not
    judged; nor are the sequences that `can_be_judged` leaves out.

    Args:
        model: a `KVAE` or a rival, see `kvae.models.rivals`.
        dataset: a `Dataset` of N sequences of T frames.
        observed: a list of masks [N, T], 1 = observed.
        methods: a tuple, of model.methods; by default all.
        seed: of what they draw; the masks all have the same draws.

    Returns:
        For every mask a dictionary from method to `ImputationError`; NaN where nothing is hidden.
    """
    methods = model.methods if methods is None else methods
    # Sampling on its own, as where it has fewer sequences than the others: so everything is traced once.
    groups = [tuple(m for m in methods if (m == "sampling") == alone) for alone in (False, True)]
    totals = [{method: np.zeros(6) for method in methods} for _ in observed]
    count = len(dataset.images)
    judged_sequences = can_be_judged(model, dataset)
    size = min(model.config.batch_size, count)
    for first in range(0, count, size):
        # Batches of one size, so that all is traced once: the last is filled up with a sequence that hides
        # nothing.
        part = np.minimum(np.arange(first, first + size), count - 1)
        is_filling = np.arange(first, first + size)[:, None] >= count
        images, controls = dataset.images[part], None
        if dataset.controls.shape[-1]:
            controls = tf.convert_to_tensor(dataset.controls[part])
        images, draws_seed = tf.convert_to_tensor(images), tf.constant([seed, first])
        there = None if dataset.mask is None else dataset.mask[part]
        looked_at = _encode_and_generate(model, images, controls, there, draws_seed)
        for mask, total in zip(observed, totals, strict=True):
            seen = np.where(is_filling, np.float32(1), mask[part])
            judged = (seen < 0.5) & judged_sequences[part, None]
            if there is not None:
                seen, judged = seen * there, judged & (there > 0.5)
            if not judged.any():
                # Nothing to judge, and TensorFlow's fused convolutions refuse an empty batch.
                continue
            masks_of_part = (tf.convert_to_tensor(seen), tf.convert_to_tensor(judged))
            for group in filter(None, groups):
                sums = _judge(model, *looked_at, controls, *masks_of_part, draws_seed, group)
                for method in group:
                    total[method] += sums[method].numpy()
    return [{method: _error_of_sums(sums) for method, sums in total.items()} for total in totals]


def can_be_judged(model: SequenceAutoencoder, dataset: Dataset) -> np.ndarray:
    """Return which sequences [N] bool say where a film begins: those with any of the first frames.

    Of the first config.t_init_mask frames, which are shown to every method, one at least must be there.
    """
    if dataset.mask is None:
        return np.ones(len(dataset.images), bool)
    first = dataset.mask[:, : model.config.t_init_mask]
    return np.asarray(first.max(axis=1) > 0.5)


def planning_curve(
    model: SequenceAutoencoder, dataset: Dataset, methods: tuple[str, ...] | None = None
) -> list[CurvePoint]:
    """Hide 1, 3, 5, .. frames after the first config.t_init_mask; return a list of `CurvePoint`."""
    return _curve(model, dataset, masks_of_curve(model, dataset, "planning"), methods)


def random_curve(
    model: SequenceAutoencoder, dataset: Dataset, methods: tuple[str, ...] | None = None, seed: int = 0
) -> list[CurvePoint]:
    """Hide each frame after the first config.t_init_mask with p = 0.1 .. 1; a list of `CurvePoint`."""
    return _curve(model, dataset, masks_of_curve(model, dataset, "random", seed), methods)


def masks_of_curve(
    model: SequenceAutoencoder, dataset: Dataset, kind: str, seed: int = 0
) -> list[tuple[float, np.ndarray]]:
    """Return the (x, mask [N, T]) of a curve, `planning` or `random`; the latter is drawn from the seed."""
    num_sequences, num_steps = dataset.images.shape[:2]
    return masks.masks_of_curve(kind, num_sequences, num_steps, model.config.t_init_mask, seed)


def careless_guess(
    images: np.ndarray, mask: np.ndarray | None = None, is_binary: bool = False
) -> float | None:
    """Return the fraction of wrong pixels of a trivial fill: a frame of the same video from another time.

    It is the largest distance between a frame of {0, 3, 6} and one of {9, 12, 15}, averaged over
    sequences; pairs of which one is missing do not count.

    Args:
        images: [N, T, H, W] or [N, T, H, W, 3].
        mask: [N, T], 0 where a frame is missing; None: all are there.
        is_binary: what makes a value of a pixel a bright one: that it is above 0, as in `kvae.data.pixels`;
            False: that it is above half of the range.

    Returns:
        A number, or None for sequences of fewer than 16 frames, or where no pair of frames is there.
    """
    if images.shape[1] < 16:
        return None
    half = 127 if images.dtype == np.uint8 else 0.5
    white = images > (0 if is_binary else half)
    early, late = white[:, [0, 3, 6], None], white[:, None, [9, 12, 15]]
    distances = (early != late).mean(axis=tuple(range(3, early.ndim)))
    if mask is None:
        return float(distances.max(axis=(1, 2)).mean())
    there = (mask[:, [0, 3, 6], None] * mask[:, None, [9, 12, 15]]) > 0
    counted = there.any(axis=(1, 2))
    if not counted.any():
        return None
    return float(np.where(there, distances, 0).max(axis=(1, 2))[counted].mean())


def decode_agreeing(model: SequenceAutoencoder, codes: tf.Tensor) -> tf.Tensor:
    """Return the means [M, H, W] over draws of what codes [S, M, dim_a] of frames decode to, nearly.

    Where the draws of a frame differ by less than the noise of a code, it is their mean that is decoded, once
    in place of S times: what is on which side of 0.5 hardly differs, see `benchmarks.imputation`.
    """
    noise = model.code_noise
    if codes.shape[0] == 1 or noise is None:
        return draws.decode_mean(model, codes[None])[0]
    mean = tf.reduce_mean(codes, axis=0)
    frames = model.decoded_images(mean[None])[0]
    deviation = tf.sqrt(tf.reduce_mean((codes - mean) ** 2, axis=0))
    differ = tf.where(tf.reduce_any(deviation > noise, axis=-1))

    def decode_each() -> tf.Tensor:
        # An empty batch is none that TensorFlow's fused convolutions take.
        each = draws.decode_mean(model, tf.gather(codes, differ[:, 0], axis=1)[None])[0]
        return tf.tensor_scatter_nd_update(frames, differ, each)

    return tf.cond(tf.size(differ) > 0, decode_each, lambda: frames)


def _curve(
    model: SequenceAutoencoder,
    dataset: Dataset,
    masks_by_x: list[tuple[float, np.ndarray]],
    methods: tuple[str, ...] | None,
) -> list[CurvePoint]:
    if not masks_by_x:
        return []
    xs, observed = zip(*masks_by_x, strict=True)
    errors = imputation_errors(model, dataset, observed, methods)
    return [
        CurvePoint(x, method, error)
        for x, of_method in zip(xs, errors, strict=True)
        for method, error in of_method.items()
    ]


# Traced once for a model, whatever the batch and the mask.
@traced_per_model
def _encode_and_generate(
    model: SequenceAutoencoder,
    images: tf.Tensor,
    controls: tf.Tensor | None,
    there: tf.Tensor | None,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the true pixels above 0.5, features, the codes where all is seen, and those generated."""
    truth = to_pixels(images, model.config.is_binary) > 0.5
    seeds = model.seeds(seed)
    generated = model.generate(images, images.shape[1], controls=controls, seed=next(seeds), mask=there)
    features = model.features(images, seeds, there)
    return truth, features, model.codes_of(features, there, controls), generated.codes


@traced_per_model
def _judge(
    model: SequenceAutoencoder,
    truth: tf.Tensor,
    features: tf.Tensor,
    encoded: tf.Tensor,
    generated: tf.Tensor,
    controls: tf.Tensor | None,
    mask: tf.Tensor,
    hidden: tf.Tensor,
    seed: tf.Tensor,
    methods: tuple[str, ...],
) -> dict[str, tf.Tensor]:
    """Return for each method the sums over `hidden` frames that `_error_of_sums` takes."""
    true_frames, true_codes = truth[hidden], encoded[hidden]
    # What each method says of the hidden codes: [draws, hidden, dim_a], all but sampling with one draw.
    guesses = {"generation": generated[hidden][None]}
    if "smoothing" in methods or "filtering" in methods:
        found = model.infer_codes(features, mask, controls)
        for method, codes in (("filtering", found.filtered_codes), ("smoothing", found.smoothed_codes)):
            if codes is not None:
                guesses[method] = codes[hidden][None]
    if "sampling" in methods:
        drawn = model.sample_codes(features, mask, controls, posterior.NUM_DRAWS, seed)
        guesses["sampling"] = tf.transpose(tf.transpose(drawn, [0, 2, 1, 3])[hidden], [1, 0, 2])
    sums = {}
    for method in methods:
        frames = decode_agreeing(model, guesses[method]) > 0.5
        codes = tf.reduce_mean(guesses[method], axis=0)
        # Variances from sums of squares need the digits.
        codes, encodings = tf.cast(codes, tf.float64), tf.cast(true_codes, tf.float64)
        sums[method] = tf.stack(
            [
                tf.reduce_sum(tf.cast(frames != true_frames, tf.float64)),
                tf.cast(tf.size(frames), tf.float64),
                tf.reduce_sum((codes - encodings) ** 2),
                tf.reduce_sum(encodings),
                tf.reduce_sum(encodings**2),
                tf.cast(tf.size(codes), tf.float64),
            ]
        )
    return sums


def _error_of_sums(sums: np.ndarray) -> ImputationError:
    wrong, num_pixels, squared_error, code_sum, code_squares, num_codes = sums
    if num_pixels == 0:
        return ImputationError(float("nan"), float("nan"))
    variance = code_squares / num_codes - (code_sum / num_codes) ** 2
    rmse = np.sqrt(squared_error / num_codes / variance)
    return ImputationError(float(wrong / num_pixels), float(rmse))
