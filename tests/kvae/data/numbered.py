"""Sequences that carry their number in every pixel and control."""

import json

import numpy as np

from kvae import data

NUM_STEPS = 3
BYTES_OF_FILE = 5 * NUM_STEPS * 4
"""Bytes of the frames of five sequences."""


def numbered(count, num_steps=NUM_STEPS, dim_u=0):
    """Some of them, in memory."""
    numbers = np.arange(count)
    images = np.broadcast_to(numbers[:, None, None, None], [count, num_steps, 2, 2]).astype(np.uint8)
    controls = np.broadcast_to(numbers[:, None, None], [count, num_steps, dim_u]).astype(np.float32)
    return data.Dataset(images, controls, None)


def write_shards(folder, sizes, dim_u=0, dtype=np.uint8, **change):
    """Some of them, in files of these sizes."""
    folder.mkdir(exist_ok=True)
    first = 0
    for i, size in enumerate(sizes):
        numbers = np.arange(first, first + size)
        first += size
        arrays = {
            "images": np.broadcast_to(numbers[:, None, None, None], [size, NUM_STEPS, 2, 2]).astype(dtype),
            "controls": np.broadcast_to(numbers[:, None, None], [size, NUM_STEPS, dim_u]).astype(np.float32),
            "states": np.zeros([size, NUM_STEPS, 4], np.float32),
            "metadata": np.array(json.dumps({"world": "numbers"})),
        }
        np.savez_compressed(folder / f"train-{i:05d}-of-{len(sizes):05d}.npz", **(arrays | change))
    return folder


def numbers_of(batches):
    """The numbers of the sequences in batches that count."""
    return [
        int(number)
        for batch in batches
        for number in batch["images"].numpy()[batch["weight"].numpy() > 0][:, 0, 0, 0]
    ]
