"""Set runs on many data beside trivial fills, in one table: mean squared errors of hidden frames.

python -m experiments.hidden_frames logs/pong_kvae logs/cartpole_kvae pretrained/box

Beside the run's sampling, smoothing and filtering stand the last frame seen, a cross-fade from it to the
first one after the gap, and linear motion of codes: those of the frames on both sides of the gap are joined
by a line, and decoded.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.compare import row_of
from experiments.kept_runs import load_model
from experiments.trivial_fills import cross_fade, last_seen, linear_motion, squared_error
from kvae.config import Config
from kvae.errors import UserError
from kvae.runs.data_files import dataset_files
from kvae.system.command import guarded
from simulation.dataset import dataset_path

OURS = ("sampling", "smoothing", "filtering")
TRIVIAL = ("last frame", "cross-fade", "linear codes")
AT_ONCE = 100
"""Sequences that are filled in together."""


@dataclass(frozen=True)
class Options:
    """Print what runs have wrong in hidden frames beside what trivial fills have."""

    run_folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders of run_kvae.py, each a block of the table."""
    hidden: tuple[int, ...] = (1, 5, 11)
    """Frames hidden after the first t_init_mask of a run."""
    num_test: int = 200
    """Sequences of the test set to fill in, the first ones; all where there are fewer."""
    num_paths: int = 1000
    """Paths of hidden codes that sampling follows."""
    data_dir: Path | None = None
    """Where the runs' test data lie now, by default where they were."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        print("\n".join(heading()))
        for folder in options.run_folders:
            print("\n".join(rows(folder, options)), flush=True)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def heading():
    """Return the first two lines of the table."""
    columns = ["motion explained", "unseen", "codes alive", "hidden frames", *OURS, *TRIVIAL]
    return [row_of("data", columns), row_of("---", ["---"] * len(columns))]


def rows(folder, options):
    """Return the lines of one run, one for each number of hidden frames."""
    from kvae.data.dataset import load
    from kvae.evaluation.motion import motion_of
    from kvae.runs.options import read_options

    config = Config.from_dict(read_options(folder))
    path = _test_file(folder, config, options.data_dir)
    test, model = load(path, config.use_controls), load_model(folder)
    if test.mask is not None:
        raise UserError(f"{path} has missing frames: trivial fills are for whole sequences alone")
    motion = motion_of(model, test)
    seen = [f"{motion.explained:.3f}", f"{motion.unseen_share:.3f}", f"{motion.alive} of {config.dim_a}"]
    lines = []
    for count in options.hidden:
        errors = errors_of(model, test, _mask(config, test.shape[1], count), options)
        best = min(errors[name] for name in TRIVIAL)
        cells = [_cell(name, error, best) for name, error in errors.items()]
        lines.append(
            row_of(config.dataset if not lines else "", [*(seen if not lines else 3 * [""]), count, *cells])
        )
    return lines


def errors_of(model, test, observed, options):
    """Return {method: mean squared error of hidden frames}.

    Args:
        model: a `KVAE`.
        test: a `Dataset`; its first `options.num_test` sequences are filled in.
        observed: [T], 1 = seen.
        options: `Options`.
    """
    hidden, sums = observed < 0.5, dict.fromkeys((*OURS, *TRIVIAL), 0.0)
    number = min(options.num_test, len(test.images))
    for first in range(0, number, AT_ONCE):
        part = slice(first, min(first + AT_ONCE, number))
        images = test.images[part]
        controls = test.controls[part] if test.dim_u else None
        mask = np.tile(observed, [len(images), 1])
        # As the model sees them: black and white of a model whose pixels are.
        truth = model.pixels(images).numpy()
        codes = model.encode(images).mean().numpy()
        guesses = {
            "sampling": model.impute(images, mask, controls, num_paths=options.num_paths, seed=first).images,
            "smoothing": model.smooth(images, mask, controls).images,
            "filtering": model.filter(images, mask, controls).images,
            "last frame": last_seen(truth, observed),
            "cross-fade": cross_fade(truth, observed),
            "linear codes": model.decoded_images(linear_motion(codes, observed).astype(np.float32)),
        }
        for name, frames in guesses.items():
            error = squared_error(np.asarray(frames)[:, hidden], truth[:, hidden])
            sums[name] += error * len(images) / number
    return sums


def _mask(config, num_steps, count):
    """Return [T], 0 for the frames after the first ones that are hidden; one after them is seen."""
    if config.t_init_mask + count >= num_steps:
        raise UserError(
            f"Sequences of {num_steps} frames have no {config.t_init_mask} to show, {count} to hide and one "
            f"to end with: choose fewer --hidden than {num_steps - config.t_init_mask}"
        )
    observed = np.ones(num_steps, np.float32)
    observed[config.t_init_mask : config.t_init_mask + count] = 0
    return observed


def _cell(name, error, best):
    """Return an error times 1,000, in bold where it is ours and below all trivial fills."""
    text = f"{1000 * error:.3g}"
    return f"**{text}**" if name in OURS and error < best else text


def _test_file(folder, config, data_dir):
    """Return the path of a run's test data; where those lie elsewhere now, in data_dir."""
    from kvae.runs.options import read_identity

    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))

    def there(config, recipe, is_named_by_user):
        return tuple(dataset_path(config.data_dir, config.dataset, split) for split in ("train", "test"))

    return dataset_files(config, str(folder), read_identity(folder), there)[1]


if __name__ == "__main__":
    sys.exit(main())
