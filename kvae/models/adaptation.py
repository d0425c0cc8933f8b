"""What frames look like, as a model is told before it is trained: their mean, their scale, their layout.

A network that must first learn what stands still, which is most of a frame, has moved far by then, and may
have lost what little its codes said of what moves: so it starts from the mean. Where codes say nothing, small
steps do not better the bound; where they are folded, with one code for things at opposite edges, small steps
do not unfold them: so they start as things lie in the frames.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from scipy import ndimage

from kvae.arguments import ArgumentError
from kvae.errors import UserError
from kvae.models import pixel_errors

NUM_FRAMES = 4096
"""Frames, evenly spaced over a dataset's, that are looked at, or up to twice as many."""

BLUR = 0.5
"""Width of the blur by which frames are laid out, as a share of their sides."""

COARSE = 16
"""Pixels along a side that are enough for a frame that is to be blurred."""

SPACING = 4
"""Of these every so many are enough of one that has been."""

RIDGE = 1e-3
"""What is added to the diagonal of the features' covariance, as a share of its mean."""

RAREST = 1e-3
"""The least and the most that a pixel is taken to be 1 by, in the mean of frames of zeros and ones."""


class Adaptable(pixel_errors.HasPixels, Protocol):
    """What `adapt` needs of a `kvae.models.frame_autoencoder.FrameAutoencoder`."""

    encoder: Any
    code_head: Any
    decoder: Any
    frame_mean: Any
    frame_scale: Any

    def pixels(self, images: Any) -> tf.Tensor:
        """Return frames as the model sees them."""

    def standardised(self, frames: tf.Tensor) -> tf.Tensor:
        """Return frames [N, H, W] as the encoder sees them."""


def unit_of(scale: tf.Tensor) -> tf.Tensor:
    """Return what a difference of 1 is to the networks; 1 of a model that has not been adapted."""
    scale = tf.convert_to_tensor(scale)
    return tf.where(scale > 0, scale, tf.ones_like(scale))


def logits_of(mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Return the logits of a mean of zeros and ones; zeros of a model that has not been adapted."""
    share = tf.clip_by_value(tf.convert_to_tensor(mean), RAREST, 1 - RAREST)
    return tf.where(tf.convert_to_tensor(scale) > 0, tf.math.log(share / (1 - share)), tf.zeros_like(share))


def adapt(model: Adaptable, batches: Iterable[Mapping[str, Any]]) -> None:
    """Set a model's mean and scale of frames, and let its code begin as things lie in a frame.

    The scale is the root of the mean variance of pixels, each weighed with its variance: what moves counts,
    however much stands still. The code's head takes from what the untrained convolutions make of a frame what
    tells best, by least squares, where things lie in it; the decoder begins with the mean frame. A model
    whose code has no such head learns the layout by itself.

    Args:
        model: it is built, and has config.standardise.
        batches: dictionaries of `images` [B, T, H, W] and, as they are there, `mask` [B, T], `weight` [B].

    Raises:
        UserError: config.standardise is off.
        ArgumentError: there is no frame.
    """
    if model.frame_mean is None:
        raise UserError("adapt means nothing to a model whose config.standardise is False")
    frames = _chosen(model, batches)
    # Of millions of float32 in float32 they would be some digits short.
    mean, variance = (of(frames, axis=0, dtype=np.float64) for of in (np.mean, np.var))
    total = variance.sum()
    scale = float(np.sqrt((variance**2).sum() / total)) if total > 0 else 1.0
    model.frame_mean.assign(mean)
    model.frame_scale.assign(scale)
    if model.pixel_errors is not None:
        model.pixel_motion.assign(variance)
        # What errors are while the decoder knows the mean frame alone.
        pixel_errors.assign(model, tf.constant(variance, tf.float32), is_shared=bool(model.config.warm_up))
    model.decoder.out.kernel.assign(tf.zeros_like(model.decoder.out.kernel))
    if model.code_head is None:
        return
    parts = [model.standardised(tf.constant(part)) for part in np.array_split(frames, -(-len(frames) // 512))]
    features = np.concatenate([tf.cast(model.encoder.features(part), tf.float32).numpy() for part in parts])
    _start_code(model.code_head, features.astype(np.float64), _layout(frames - mean, model.config.dim_a))


def _start_code(head: Any, features: np.ndarray, layout: np.ndarray) -> None:
    """Let a layer [F, C] begin as what best tells a layout [N, C] of features [N, F]; others stay."""
    if not layout.shape[1]:
        return
    kernel, bias = head.kernel.numpy(), head.bias.numpy()
    centre = features.mean(axis=0)
    deviations = features - centre
    gram = deviations.T @ deviations / len(features)
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    found = np.linalg.solve(gram, deviations.T @ layout / len(features))
    count = min(layout.shape[1], kernel.shape[1])
    kernel[:, :count] = found[:, :count]
    bias[:count] = -(centre @ found)[:count]
    head.kernel.assign(kernel)
    head.bias.assign(bias)


def _layout(deviations: np.ndarray, count: int) -> np.ndarray:
    """Return where frames [N, H, W] or [N, H, W, 3] lie beside each other: principal components, [N, count].

    Those of frames blurred until whatever moves overlaps with itself wherever it goes. Of sharp frames they
    would be waves as long as it is wide: things at opposite edges would have one code, and a network whose
    codes are folded does not unfold them.
    """
    strides = [-(-side // COARSE) for side in deviations.shape[1:3]]
    coarse = ndimage.uniform_filter(deviations, [0, *strides, 0][: deviations.ndim])[
        :, strides[0] // 2 :: strides[0], strides[1] // 2 :: strides[1]
    ]
    widths = [BLUR * side for side in coarse.shape[1:3]]
    # Beyond the edges too: what is blurred over one would look fainter, and not further away.
    around = [(0, 0), *((round(width),) * 2 for width in widths), (0, 0)][: deviations.ndim]
    blurred = ndimage.gaussian_filter(
        np.pad(coarse, around), [0, *widths, 0][: deviations.ndim], mode="constant"
    )
    flat = blurred[:, ::SPACING, ::SPACING].reshape(len(blurred), -1).astype(np.float64)
    components, spread, centre = _components(flat, count)
    return (flat - centre) @ components / spread


def _components(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return directions [F, C], standard deviations [C] along them, and the mean [F] of features [N, F].

    There are fewer than `count` where the features vary in fewer directions.
    """
    centre = features.mean(axis=0)
    deviations = features - centre
    values, vectors = np.linalg.eigh(deviations.T @ deviations / len(features))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    there = values > 1e-10 * max(values[0], 1e-10)
    values, vectors = values[there], vectors[:, there]
    # Either sign is right: take the one whose largest entry is positive.
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.sign(largest), np.sqrt(values), centre


def _chosen(model: Adaptable, batches: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """Return frames [N, H, W] as the model sees them, evenly spaced, fewer than twice `NUM_FRAMES`."""
    kept: list[np.ndarray] = []
    stride, count = 1, 0
    for batch in batches:
        images = tf.convert_to_tensor(batch["images"])
        seen = np.ones(images.shape[:2], bool)
        if batch.get("mask") is not None:
            seen &= np.asarray(batch["mask"]) > 0
        if batch.get("weight") is not None:
            seen &= np.asarray(batch["weight"])[:, None] > 0
        for frame in model.pixels(images).numpy()[seen]:
            if count % stride == 0:
                kept.append(frame)
            count += 1
            if len(kept) == 2 * NUM_FRAMES:
                # Every other one of those so far, and of those to come.
                kept, stride = kept[::2], 2 * stride
    if not kept:
        raise ArgumentError("There is no frame to adapt to: all are hidden")
    return np.stack(kept)
