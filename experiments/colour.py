"""Two balls that differ by colour alone, and what the codes say of each.

python -m experiments.colour --output results/colour.md

Makes the data, trains one model on frames in colour and one on the same frames in grey, where the balls are
alike, and prints how much of the true positions a map finds in the smoothed codes. What is there already is
not made again.
"""

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from experiments.compare import row_of
from experiments.kept_runs import load_model
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing
from simulation.dataset import generate

RUNS = {"colour": 3, "grey": 1}
"""Names of the runs, and the channels of their frames."""

WORLD = {"num_balls": 2, "colours": True, "resolution": 16}
"""Options of the box; it is small, so that two models are trained in minutes."""

TRAINING = (
    "--preset quick --dim_a 4 --dim_z 8 --num_filters 16,16 --num_epochs 20 --decay_rate 0.88 "
    "--t_steps_mask 5 --num_paths 0 --generate_step 100"
)
"""Options of both runs: two balls need a code of four numbers."""

POSITIONS = {"x_1": 0, "y_1": 1, "x_2": 4, "y_2": 5}
"""Columns of the states of two balls."""

UNITS, EPOCHS = 64, 40
"""Of the map that is not linear: units of its two hidden layers, and passes over the training codes."""

BATCH = 50


@dataclass(frozen=True)
class Options:
    """Tell how much of two balls' positions is in the codes, in colour and in grey."""

    data_dir: Path = Path("data/colours")
    """Folder of the data."""
    log_dir: Path = Path("logs/colours")
    """Folder of the two runs."""
    num_train: int = 3000
    """Training sequences, of ten frames."""
    num_test: int = 300
    """Test sequences."""
    output: Path | None = None
    """A file for the report, which is printed too."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, use_underscores=True)
    sizes = {"num_train": options.num_train, "num_test": options.num_test, "num_steps": 10}
    generate("box", options.data_dir, **sizes, options=WORLD)
    commands = {name: command_of(name, options) for name in RUNS}
    for name, command in commands.items():
        if not (options.log_dir / f"{name}_kvae" / "evaluation.json").exists():
            print(shlex.join(["python", *command]), flush=True)
            subprocess.run([sys.executable, *command], check=True)
    try:
        found = {name: measure(options.log_dir / f"{name}_kvae", options) for name in RUNS}
    except (OSError, UserError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    lines = report(found, commands, options)
    print("\n".join(lines))
    if options.output is not None:
        with replacing(options.output) as temporary:
            temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return 0


def command_of(name, options):
    """Return the command that trains one of the models, as words."""
    places = ["--data_dir", str(options.data_dir), "--log_dir", str(options.log_dir), "--run_name", name]
    channels = ["--channels", str(RUNS[name])]
    return ["run_kvae.py", "--dataset", "box", *places, *channels, *TRAINING.split()]


def measure(run_folder, options):
    """Return map -> quantity -> R2 of a run's smoothed codes, on the test sequences."""
    from kvae.data.dataset import load

    model = load_model(run_folder)
    splits = []
    for name in ("box.npz", "box_test.npz"):
        data = load(options.data_dir / name)
        images = data.in_channels(model.config.channels).images
        parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
        codes = np.concatenate([model.infer(part).smoothed_codes.numpy() for part in parts])
        positions = data.states[..., list(POSITIONS.values())]
        splits.append((codes.reshape(-1, codes.shape[-1]), positions.reshape(-1, len(POSITIONS))))
    (train_codes, train_truth), (codes, truth) = splits
    centre, scale = train_codes.mean(axis=0), train_codes.std(axis=0) + 1e-6
    train_codes, codes = ((values - centre) / scale for values in (train_codes, codes))
    return {
        "linear": r2(linear(train_codes, train_truth)(codes), truth),
        "network": r2(network(train_codes, train_truth)(codes), truth),
    }


def linear(inputs, targets):
    """Return the linear map [N, I] -> [N, O] with the least squared error."""
    weights, *_ = np.linalg.lstsq(_with_ones(inputs), targets, rcond=None)
    return lambda values: _with_ones(values) @ weights


def network(inputs, targets):
    """Return a small network [N, I] -> [N, O], two hidden layers, trained for the least squared error."""
    import keras

    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(UNITS, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input(inputs.shape[1:]), *hidden, keras.layers.Dense(targets.shape[1])])
    steps = EPOCHS * -(-len(inputs) // 128)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "mse")
    centre, scale = targets.mean(axis=0), targets.std(axis=0)
    model.fit(inputs, (targets - centre) / scale, batch_size=128, epochs=EPOCHS, verbose=0)
    return lambda values: centre + scale * model.predict(values, batch_size=4096, verbose=0)


def r2(found, truth):
    """Return the R2 of each position, and of the point in the middle of the two balls.

    Args:
        found: [N, 4], x and y of the first ball and of the second.
        truth: [N, 4].
    """
    columns = dict(zip(POSITIONS, range(len(POSITIONS)), strict=True))
    pairs = {name: (found[:, i], truth[:, i]) for name, i in columns.items()}
    for axis, (first, second) in {"x": (0, 2), "y": (1, 3)}.items():
        middles = [(values[:, first] + values[:, second]) / 2 for values in (found, truth)]
        pairs[f"middle {axis}"] = (middles[0], middles[1])
    return {name: float(1 - np.mean((a - b) ** 2) / np.var(b)) for name, (a, b) in pairs.items()}


def _with_ones(values):
    return np.concatenate([values, np.ones([len(values), 1])], axis=1)


def report(found, commands, options):
    """Return the lines of the report.

    Args:
        found: run -> map -> quantity -> R2.
        commands: run -> words of the command that trained it.
        options: the `Options`.
    """
    quantities = list(next(iter(found.values()))["linear"])
    simulated = f"--num_train {options.num_train} --num_test {options.num_test} --num_steps 10"
    lines = ["# Two balls that differ by colour alone", "", "Made by", ""]
    lines += [
        "    python -m simulation.generate --dataset box --num_balls 2 --colours=True --resolution 16 "
        f"{simulated} --data_dir {options.data_dir}"
    ]
    lines += [f"    {shlex.join(['python', *command])}" for command in commands.values()]
    lines += ["    python -m experiments.colour", ""]
    lines += [
        f"R2 of the true positions from the smoothed codes, on {options.num_test} test sequences; the maps "
        f"are fitted to the {options.num_train} training sequences.",
        "In grey the balls are one shade, so nothing says which is the first: the best guess for either is "
        "the middle of the two, with an R2 of about one half.",
        "",
        row_of("frames", ["map", *quantities]),
        row_of("---", ["---"] * (1 + len(quantities))),
    ]
    for run, maps in found.items():
        for name, values in maps.items():
            lines.append(row_of(run, [name, *(f"{values[quantity]:.3f}" for quantity in quantities)]))
    return lines


if __name__ == "__main__":
    sys.exit(main())
