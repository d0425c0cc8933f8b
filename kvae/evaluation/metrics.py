"""How good a trained model is: the bound, and imputation judged on the hidden frames."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kvae.data import dataset as data
from kvae.data import masks
from kvae.data.batches import batches_of
from kvae.data.pixels import to_pixels
from kvae.inference import posterior as imputation
from kvae.models.autoencoder import SequenceAutoencoder


class ImputationError(NamedTuple):
    """Error over the hidden frames.

    Attributes:
        wrong_pixels: fraction of pixels on the wrong side of 0.5 (Hamming distance).
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
    dataset: data.Dataset,
    observed: Sequence[np.ndarray],
    methods: tuple[str, ...] | None = None,
) -> list[dict[str, ImputationError]]:
    """Judge ways to fill in hidden frames, under one or more masks.

    Filtering, smoothing and sampling see the observed frames; generation sees the first config.t_init_mask
    alone and rolls out from there.

    Args:
        model: a `KVAE` or `RecurrentAutoencoder`.
        dataset: a `data.Dataset` of N sequences of T frames.
        observed: a list of masks [N, T], 1 = observed.
        methods: a tuple, of model.methods; by default all.

    Returns:
        For every mask a dictionary from method to `ImputationError`; NaN where nothing is hidden.
    """
    methods = model.methods if methods is None else methods
    # Sampling on its own, as where it has fewer sequences than the others: so everything is traced once.
    groups = [tuple(m for m in methods if (m == "sampling") == alone) for alone in (False, True)]
    totals = [{method: np.zeros(6) for method in methods} for _ in observed]
    count = len(dataset.images)
    size = min(model.config.batch_size, count)
    for first in range(0, count, size):
        # Batches of one size, so that all is traced once: the last is filled up with a sequence that hides
        # nothing.
        part = np.minimum(np.arange(first, first + size), count - 1)
        is_filling = np.arange(first, first + size)[:, None] >= count
        images, controls = dataset.images[part], None
        if dataset.controls.shape[-1]:
            controls = tf.convert_to_tensor(dataset.controls[part])
        truth, encoded, generated = _encode_and_generate(model, tf.convert_to_tensor(images), controls)
        for mask, total in zip(observed, totals, strict=True):
            seen = np.where(is_filling, np.float32(1), mask[part])
            if np.all(seen >= 0.5):
                # Nothing to judge, and TensorFlow's fused convolutions refuse an empty batch.
                continue
            seen = tf.convert_to_tensor(seen)
            for group in filter(None, groups):
                sums = _judge(model, truth, encoded, generated, controls, seen, group)
                for method in group:
                    total[method] += sums[method].numpy()
    return [{method: _error_of_sums(sums) for method, sums in total.items()} for total in totals]


def planning_curve(
    model: SequenceAutoencoder, dataset: data.Dataset, methods: tuple[str, ...] | None = None
) -> list[CurvePoint]:
    """Hide 1, 3, 5, .. frames after the first config.t_init_mask; return a list of `CurvePoint`."""
    return _curve(model, dataset, masks_of_curve(model, dataset, "planning"), methods)


def random_curve(
    model: SequenceAutoencoder, dataset: data.Dataset, methods: tuple[str, ...] | None = None, seed: int = 0
) -> list[CurvePoint]:
    """Hide each frame after the first config.t_init_mask with p = 0.1 .. 1; a list of `CurvePoint`."""
    return _curve(model, dataset, masks_of_curve(model, dataset, "random", seed), methods)


def masks_of_curve(
    model: SequenceAutoencoder, dataset: data.Dataset, kind: str, seed: int = 0
) -> list[tuple[float, np.ndarray]]:
    """Return the (x, mask [N, T]) of a curve, `planning` or `random`; the latter is drawn from the seed."""
    num_sequences, num_steps = dataset.images.shape[:2]
    return masks.masks_of_curve(kind, num_sequences, num_steps, model.config.t_init_mask, seed)


def baseline(images: np.ndarray) -> float | None:
    """Return the fraction of wrong pixels that a careless guess from the same video would have.

    It is the largest distance between a frame of {0, 3, 6} and one of {9, 12, 15}, averaged over
    sequences.

    Args:
        images: [N, T, H, W]; a pixel is white above half of the range.

    Returns:
        A number, or None for sequences of fewer than 16 frames.
    """
    if images.shape[1] < 16:
        return None
    white = images > (127 if images.dtype == np.uint8 else 0.5)
    early, late = white[:, [0, 3, 6], None], white[:, None, [9, 12, 15]]
    return float((early != late).mean(axis=(3, 4)).max(axis=(1, 2)).mean())


def test_bound(model: SequenceAutoencoder, dataset: data.Dataset) -> dict[str, float]:
    """Return the bound's terms over a whole `data.Dataset`, per observed frame, by name as in `Bound`."""
    # Not by `model.evaluate`, which hides what it compiles: `graph_of_bound` shows it.
    model.reset_metrics()
    for batch in batches_of(dataset, model.config.batch_size).of():
        metrics = model.compiled_test_step(batch)
    return {name: float(value) for name, value in metrics.items()}


def graph_of_bound(model: SequenceAutoencoder, dataset: data.Dataset) -> tf.Graph:
    """Return the graph of `test_bound` on one batch; after that has run, nothing is traced for it."""
    size = model.config.batch_size
    first = data.Dataset(dataset.images[:size], dataset.controls[:size], None)
    batch = next(iter(batches_of(first, size).of()))
    return model.compiled_test_step.get_concrete_function(batch).graph


def _curve(model, dataset, masks_by_x, methods):
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
@tf.function(reduce_retracing=True, autograph=False)
def _encode_and_generate(model, images, controls):
    """Return the true pixels above 0.5, the encoded codes, and those generated from the first frames."""
    truth = to_pixels(images, model.config.out_distr) > 0.5
    generated = model.generate(images, images.shape[1], controls=controls)
    return truth, model.reconstruct(images).codes, generated.codes


@tf.function(reduce_retracing=True, autograph=False)
def _judge(model, truth, encoded, generated, controls, mask, methods):
    """Return for each method the sums over hidden frames that `_error_of_sums` takes."""
    hidden = mask < 0.5
    true_frames, true_codes = truth[hidden], encoded[hidden]
    # What each method says of the hidden codes: [draws, hidden, dim_a], all but sampling with one draw.
    guesses = {"generation": generated[hidden][None]}
    if "smoothing" in methods or "filtering" in methods:
        found = model.infer_codes(encoded, mask, controls)
        guesses["filtering"] = found.filtered_codes[hidden][None]
        if "smoothing" in methods:
            guesses["smoothing"] = found.smoothed_codes[hidden][None]
    if "sampling" in methods:
        num_paths, num_draws = model.config.num_paths, imputation.NUM_DRAWS
        drawn = model.sample_posterior(encoded, mask, controls, num_paths, num_draws).codes
        guesses["sampling"] = tf.transpose(tf.transpose(drawn, [0, 2, 1, 3])[hidden], [1, 0, 2])
    sums = {}
    for method in methods:
        frames = imputation.decode_mean(model, guesses[method][:, None])[0] > 0.5
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


def _error_of_sums(sums):
    wrong, num_pixels, squared_error, code_sum, code_squares, num_codes = sums
    if num_pixels == 0:
        return ImputationError(float("nan"), float("nan"))
    variance = code_squares / num_codes - (code_sum / num_codes) ** 2
    rmse = np.sqrt(squared_error / num_codes / variance)
    return ImputationError(float(wrong / num_pixels), float(rmse))
