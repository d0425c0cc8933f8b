"""Screen ideas for the dynamics in minutes: on the codes of a trained model, whose networks stay as they are.

python -m experiments.screen_dynamics pretrained/box "" K=6 K=6,learn_noise=True

Each trial trains new dynamics, from their first values, as `kvae.training.refinement` does. What wins need
not win when encoder and decoder learn too, but what is hopeless shows.
"""

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.compare import command_of, row_of
from experiments.kept_runs import load_model
from kvae.errors import UserError
from kvae.system.command import guarded
from simulation.dataset import dataset_path

HIDDEN = (1, 5, 9, 11, 15)


@dataclass(frozen=True)
class Options:
    """Train new dynamics on the codes of a trained model, once for each trial, and print a table."""

    run_folder: Annotated[Path, tyro.conf.Positional]
    """A run folder of run_kvae.py, of a KVAE."""
    trials: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Options in place of the run's, such as K=6,alpha_units=100; an empty text changes none."""
    epochs: int = 100
    """Passes over the codes."""
    learning_rate: float = 0.007
    """Learning rate at the start; it falls to zero along a cosine."""
    num_sequences: int = 200
    """Test sequences on which hidden frames are filled in; 0: only the likelihood."""
    validation_split: float = 0.1
    """Share of the training sequences that are held out: the dynamics that are best on them are kept."""
    data_dir: Path | None = None
    """Folder of the dataset, by default the run's."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    try:
        trained, codes, test = _load(options)
        print("\n".join(_head(options, given, trained)))
        for trial in options.trials:
            print(_row(options, trained, codes, test, trial), flush=True)
    except (OSError, KeyError, UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _load(options):
    """Return the trained model, its codes of what is learned from and of what is held out, and the test data.

    Codes are `EncodedSequences`; of what is held out None where nothing is.
    """
    from kvae.data import validation
    from kvae.data.dataset import load
    from kvae.training import refinement

    model = load_model(options.run_folder)
    if model.config.model != "kvae":
        raise UserError(f"{options.run_folder} is a run of {model.config.model}; this is about the KVAE")
    folder, world = options.data_dir or model.config.data_dir, model.config.dataset
    train, test = (load(dataset_path(folder, world, split)) for split in ("train", "test"))
    parts = validation.split(train, options.validation_split)
    return model, [None if part is None else refinement.encode(model, part) for part in parts], test


def with_new_dynamics(trained, trial):
    """Return a model of other options with encoder and decoder of a trained one.

    Raises:
        UserError: an option of the trial is not one of the dynamics.
    """
    from kvae.config import Config
    from kvae.config.command_line import parse
    from kvae.models import new_dynamics

    of_trials = new_dynamics.OF_DYNAMICS | {"refine_miss_prob", "seed"}
    words = [f"--{word.strip()}" for word in trial.split(",") if word.strip()]
    changed = {word[2:].split("=")[0] for word in words}
    if refused := sorted(changed - of_trials):
        raise UserError(
            f"{refused[0]} is no option of the dynamics. These are: {', '.join(sorted(of_trials))}"
        )
    own = trained.config.to_dict()
    if "refine_miss_prob" in changed:
        # Which means nothing without a last phase: this is one.
        own["refine_epochs"] = 1
        words += ["--refine_epochs=1"]
    parsed = parse(["--preset", "none", *words], None).to_dict()
    config = Config.from_dict(own | {name: parsed[name] for name in changed})
    return new_dynamics.with_new_dynamics(trained, config)


def state_space_term(model, codes, batch_size=100):
    """Return log p(codes) per frame, with one draw of the codes of an `EncodedSequences`."""
    import tensorflow as tf

    noise = np.random.default_rng(0).standard_normal(codes.mean.shape, np.float32)
    drawn = codes.mean + codes.stddev * noise
    filter_batch = tf.function(lambda part, u: model.lgssm.filter(part, None, u)[0].log_likelihood)
    starts = range(0, len(drawn), batch_size)
    parts = [(drawn[i : i + batch_size], codes.controls[i : i + batch_size]) for i in starts]
    return float(np.concatenate([filter_batch(*part) for part in parts]).mean())


def _head(options, given, trained):
    lines = ["Encoder and decoder of", "", f"    {command_of(trained.config.to_dict())}", "", "and", ""]
    lines += [f"    {shlex.join(['python', '-m', 'experiments.screen_dynamics', *given])}", ""]
    lines.append(
        f"State space term of the bound per test frame; with 1, 5, .. frames hidden the fraction of wrong "
        f"pixels by sampling / by smoothing, on {options.num_sequences} test sequences."
    )
    columns = ["state space term", *(HIDDEN if options.num_sequences else ()), "seconds"]
    return [*lines, "", row_of("trial", columns), row_of("---", ["---"] * len(columns))]


def _row(options, trained, codes, test, trial):
    from kvae import data, evaluation
    from kvae.data import masks
    from kvae.training import refinement

    model = with_new_dynamics(trained, trial)
    start = time.monotonic()
    train_codes, validation_codes = codes
    refinement.refine(model, train_codes, options.epochs, options.learning_rate, validation_codes)
    seconds = time.monotonic() - start
    cells = [f"{state_space_term(model, refinement.encode(model, test)):.3f}"]
    if count := min(options.num_sequences, len(test.images)):
        few = data.Dataset(test.images[:count], test.controls[:count], None)
        steps, given = few.images.shape[1], model.config.t_init_mask
        observed = [masks.planning_mask(count, steps, given, hidden) for hidden in HIDDEN]
        methods = tuple(method for method in ("sampling", "smoothing") if method in model.methods)
        for errors in evaluation.imputation_errors(model, few, observed, methods):
            cells.append(" / ".join(f"{errors[method].wrong_pixels:.4f}" for method in methods))
    return row_of(trial.replace(",", ", ") or "as it was", [*cells, f"{seconds:.0f}"])


if __name__ == "__main__":
    sys.exit(main())
