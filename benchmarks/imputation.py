"""Time posterior sampling: what a sequence costs and, for a trained model, what it gains.

python -m benchmarks.imputation --run_folder logs/box_kvae

`KVAE.impute` on test sequences with 12 hidden frames, in batches of 32, without the first call, which traces:
paths of hidden codes are followed, some of them smoothed and decoded. No paths is the paper's procedure. Then
what curves save by decoding frames once whose draws agree, see `kvae.evaluation.imputation`, and what that
changes: in turn, so that the ratio of the times is that of the same machine.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.report import heading, publish
from kvae.errors import UserError
from kvae.system.command import guarded

BATCH = 32
# Of the gap: frames shown before it, frames hidden.
GIVEN, HIDDEN = 4, 12


@dataclass(frozen=True)
class Options:
    """Time KVAE.impute."""

    run_folder: Path | None = None
    """A run folder of run_kvae.py; without one the model is untrained, and what it gains is not told."""
    data_dir: Path | None = None
    """Folder of the test data, by default the run's."""
    paths: tuple[int, ...] = (0, 100, 300, 1000, 3000)
    """Numbers of paths to follow."""
    num_sequences: int = 192
    """Test sequences, in whole batches of 32."""
    output: Path | None = None
    """A file for the report, which is printed too."""


def model_and_images(options):
    """Return a model, and test sequences in whole batches."""
    from kvae import KVAE, Config, data
    from kvae.runs.load import load
    from simulation import make_world
    from simulation.dataset import dataset_path
    from simulation.sampling import simulate

    count = max(1, options.num_sequences // BATCH) * BATCH
    if options.run_folder is None:
        model = KVAE(Config())
        model.build((None, None, 32, 32))
        return model, simulate(make_world("box"), "test", count, 20, seed=0).images
    model = load(options.run_folder)
    path = dataset_path(options.data_dir or model.config.data_dir, model.config.dataset, "test")
    images = data.load(path).images
    return model, images[: min(count, len(images) // BATCH * BATCH)]


def measure(model, images, num_paths):
    """Return seconds for each batch, and the fraction of wrong pixels on hidden frames."""
    from kvae.data import masks

    mask = masks.planning_mask(BATCH, images.shape[1], GIVEN, HIDDEN)
    hidden = mask < 0.5
    model.impute(images[:BATCH], mask, num_paths=num_paths)
    seconds, wrong = [], []
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        start = time.perf_counter()
        imputed = model.impute(part, mask, num_paths=num_paths).images.numpy()
        seconds.append(time.perf_counter() - start)
        wrong.append(((imputed > 0.5) != (part > 0))[hidden].mean())
    return seconds, float(np.mean(wrong))


def decoding(model, images):
    """Return the share of hidden frames whose draws agree; the ratio of the times; wrong pixels both ways."""
    import tensorflow as tf

    from kvae.data import masks
    from kvae.evaluation.imputation import decode_agreeing
    from kvae.inference.posterior import NUM_DRAWS
    from kvae.models import draws

    mask = masks.planning_mask(BATCH, images.shape[1], GIVEN, HIDDEN)
    hidden = mask < 0.5
    # As curves do: traced.
    ways = {
        "all": tf.function(lambda codes: draws.decode_mean(model, codes[None])[0]),
        "agreeing": tf.function(lambda codes: decode_agreeing(model, codes)),
    }
    ratios, agree, wrong = [], [], {name: [] for name in ways}
    for first in range(0, len(images), BATCH):
        part = images[first : first + BATCH]
        codes = model.sample_codes(model.encode(part).mean(), mask, None, NUM_DRAWS, seed=first)
        codes = tf.transpose(tf.transpose(codes, [0, 2, 1, 3])[hidden], [1, 0, 2])
        agree.append((np.std(codes, axis=0) <= model.code_noise.numpy()).all(axis=-1).mean())
        seconds = {}
        for name, decode in ways.items():
            decode(codes)
            start = time.perf_counter()
            frames = decode(codes).numpy()
            seconds[name] = time.perf_counter() - start
            wrong[name].append(((frames > 0.5) != (part > 0)[hidden]).mean())
        ratios.append(seconds["agreeing"] / seconds["all"])
    return float(np.mean(agree)), statistics.median(ratios), *(float(np.mean(wrong[name])) for name in ways)


@guarded
def main(arguments=None):
    """Run the benchmark; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        model, images = model_and_images(options)
    except (OSError, UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    from kvae.inference.posterior import NUM_DRAWS
    from kvae.system import device

    lines = [
        *heading("imputation", given, ("tensorflow",), device.gpu_names()),
        f"{len(images)} sequences of {images.shape[1]} frames, {HIDDEN} hidden, batches of {BATCH}; up to "
        f"{NUM_DRAWS} paths decoded.",
        "",
        f"{'paths':>8}{'ms a sequence':>16}{'slowest batch':>16}{'wrong pixels':>16}",
    ]
    for num_paths in options.paths:
        seconds, wrong = measure(model, images, num_paths)
        milliseconds = [1e3 * value / BATCH for value in seconds]
        quality = f"{wrong:16.4f}" if options.run_folder else f"{'untrained':>16}"
        middle = statistics.median(milliseconds)
        lines.append(f"{num_paths:8,}{middle:16.1f}{max(milliseconds):16.1f}{quality}")
        print(lines[-1], file=sys.stderr, flush=True)
    agree, ratio, of_all, of_some = decoding(model, images)
    lines += [
        "",
        f"Curves: of {100 * agree:.0f} % of the hidden frames the draws agree to within the noise of a code, "
        "and their mean is decoded:",
        f"{ratio:.2f} of the time of decoding all {NUM_DRAWS}"
        + (f"; wrong pixels {of_some:.5f}, of all {of_all:.5f}" if options.run_folder else ""),
    ]
    publish(lines, options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
