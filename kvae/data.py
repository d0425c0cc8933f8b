"""Dataset files, pixels, and batches for training."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kvae.errors import UserError


class DataError(UserError):
    """A dataset file that cannot be used; the message says why."""


class Dataset(NamedTuple):
    """The sequences of a dataset file.

    Attributes:
        images: [N, T, H, W], uint8 in 0..255 or float32 in [0, 1].
        controls: [N, T, dim_u] float32; dim_u may be 0.
        states: [N, T, S] float32, the simulator's true states, or None.
    """

    images: np.ndarray
    controls: np.ndarray
    states: np.ndarray | None


def load(path) -> Dataset:
    """Read a dataset file, ours or one of the original code's (`images` in float32, no metadata).

    Raises:
        DataError: the file is missing, or does not hold what it should.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            if "images" not in file:
                raise DataError(f"{path} has no array named images. Received: {', '.join(file) or 'none'}")
            images = file["images"]
            ours = "metadata" in file
            # The original's controls are arrays of objects: reading those would run code.
            controls = file["controls"] if ours else np.zeros([*images.shape[:2], 0], np.float32)
            states = file["states"] if ours else None
    except FileNotFoundError:
        raise DataError(f"There is no dataset file {path}") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a readable dataset file (.npz): {error}") from error
    for name, array in (("images", images), ("controls", controls)):
        if array.dtype.kind not in "buif":
            raise DataError(f"{path}: {name} must be numbers. Received: {array.dtype}")
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(f"{path}: images must be [N, T, H, W]. Received: shape {images.shape}")
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
        if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
            raise DataError(f"{path}: images that are not uint8 must lie between 0 and 1")
    if controls.ndim != 3 or controls.shape[:2] != images.shape[:2]:
        raise DataError(
            f"{path}: controls must be [N, T, dim_u] = [{images.shape[0]}, {images.shape[1]}, ...]. "
            f"Received: shape {controls.shape}"
        )
    return Dataset(images, controls.astype(np.float32), states)


def to_pixels(images, out_distr):
    """Turn frames into the values that the model sees, float32.

    Args:
        images: a tensor, 0..255 if it is of integers, else in [0, 1]; booleans work too.
        out_distr: `bernoulli`: 1 where a pixel is above 0; `gaussian`: values in [0, 1].
    """
    if out_distr == "bernoulli":
        return tf.cast(tf.cast(images, tf.float32) > 0, tf.float32)
    if images.dtype.is_integer:
        return tf.cast(images, tf.float32) / 255.0
    return tf.cast(images, tf.float32)


def batches(dataset, batch_size, mask=None, shuffle_seed=None):
    """Return a `tf.data.Dataset` of dictionaries `images`, and `controls` and `mask` where there are any.

    The last batch may be smaller. With a seed the order is new in every epoch, and the same in every run.

    Args:
        dataset: a `Dataset`.
        batch_size: sequences in a batch.
        mask: [N, T], 1 = observed, or None: every frame is.
        shuffle_seed: an integer, or None: the order of the file.
    """
    arrays = {"images": dataset.images}
    if dataset.controls.shape[-1]:
        arrays["controls"] = dataset.controls
    if mask is not None:
        arrays["mask"] = mask
    sequences = tf.data.Dataset.from_tensor_slices(arrays)
    if shuffle_seed is not None:
        sequences = sequences.shuffle(len(dataset.images), seed=shuffle_seed)
    return sequences.batch(batch_size).prefetch(2)
