"""Time a training step against the bare convolutions that it cannot do without.

python -m benchmarks.training_step

The yardstick is the forward and backward pass of plain Keras layers, those of encoder and decoder, and
nothing else. It is timed in turn with the step, so that what else the machine does falls on both alike.
"""

import os
import sys
import time
from dataclasses import dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import tyro

from benchmarks.report import heading, publish
from kvae.config import Config
from kvae.data.masks import random_mask
from kvae.models.kvae import KVAE
from kvae.system import device
from kvae.system.command import guarded


@dataclass(frozen=True)
class Options:
    """Time a training step against the bare convolutions, forward and backward."""

    pairs: int = 30
    """How often each is timed, in turn."""
    batch_size: int = 32
    """Sequences in a batch."""
    num_steps: int = 20
    """Frames in a sequence."""
    decode_shares: tuple[float, ...] = (0.5, 0.35)
    """Shares of the frames that a step decodes, beside all of them."""
    gpu: str = ""
    """As for `run_kvae.py`: empty is whatever is there, `cpu` the processor."""


def bare_convolutions(precision):
    """Return the convolutional stack of encoder and decoder in plain Keras layers, 32x32 frames."""
    dtype = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    layers = [keras.layers.Input([32, 32, 1])]
    for _ in range(3):
        layers.append(keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", dtype=dtype))
    layers += [keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Dense(512, dtype=dtype)]
    layers.append(keras.layers.Reshape([4, 4, 32]))
    for _ in range(3):
        layers.append(keras.layers.Conv2D(128, 3, padding="same", activation="relu", dtype=dtype))
        layers.append(keras.layers.Lambda(lambda x: tf.nn.depth_to_space(x, 2)))
    layers.append(keras.layers.Conv2D(1, 1))
    return keras.Sequential(layers)


def bare_step(precision, images):
    """Return a function that runs the bare convolutions forward and backward once."""
    model = bare_convolutions(precision)
    frames = tf.reshape(tf.cast(images > 0, tf.float32), [-1, 32, 32, 1])

    @tf.function(jit_compile=device.has_gpu(), autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(frames))
        # Every gradient is asked for: one left out would be pruned away.
        gradients = tape.gradient(loss, [weight.value for weight in model.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    return lambda: float(step())


def training_step(precision, images, mask, decode_share=1.0):
    """Return a function that takes one training step."""
    model = KVAE(Config(precision=precision, decode_share=decode_share))
    model.build(images.shape)
    model.compile()
    model.optimizer.build(model.trainable_variables)
    batch = {"images": images} | ({} if mask is None else {"mask": mask})
    # As training compiles it.
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)
    return lambda: float(step(batch)["total"])


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    device.select(options.gpu)
    rng = np.random.default_rng(0)
    shape = (options.batch_size, options.num_steps, 32, 32)
    images = tf.constant(((rng.random(shape) < 0.1) * 255).astype(np.uint8))
    mask = tf.constant(random_mask(*shape[:2], 3, 0.5, seed=0))

    candidates = {f"bare convolutions, {p}": bare_step(p, images) for p in ("float32", "bfloat16")}
    for precision in ("float32", "bfloat16"):
        candidates[f"step, {precision}, observed"] = training_step(precision, images, None)
        candidates[f"step, {precision}, half hidden"] = training_step(precision, images, mask)
        for share in options.decode_shares:
            name = f"step, {precision}, {share:g} decoded"
            candidates[name] = training_step(precision, images, None, share)
    for run in candidates.values():
        run()
        run()
    seconds = {name: [] for name in candidates}
    for _ in range(options.pairs):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)

    publish(heading("training_step", given, ("tensorflow", "keras", "numpy"), device.gpu_names()))
    print(f"Batch {shape}, {options.pairs} runs each, in turn; ratios are medians of pairs.\n")
    print(f"{'':32}{'median':>10}{'quartiles':>18}{'/ bare, same':>14}{'/ bare float32':>16}")
    for name, times in seconds.items():
        same = "bfloat16" if "bfloat16" in name else "float32"
        low, middle, high = np.percentile(times, [25, 50, 75])
        ratios = [np.median(np.divide(times, seconds[f"bare convolutions, {p}"])) for p in (same, "float32")]
        spread = f"{1e3 * low:.0f} - {1e3 * high:.0f} ms"
        print(f"{name:32}{1e3 * middle:7.0f} ms{spread:>18}{ratios[0]:14.2f}{ratios[1]:16.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
