"""Make the pictures that tell the README's story again, from the models in pretrained/, without training.

python -m experiments.pictures
python -m experiments.pictures --screenshots

The sequences are the first of the test files, simulated in memory. In the folder of every world:

- imputation_strip, codes, alpha: what a run draws in its end (`kvae.evaluation.pictures.draw`);
- imputation_planning, imputation_random: the curves in the model's folder, drawn, of black and white worlds;
- filling.gif, of box alone: gaps filled in, and how the sequences go on, beside the truth.

All of these are the same in every call, byte for byte on the same machine. `--screenshots` makes
explore.png, explore_phone.png, tensorboard.png, tensorboard_histograms.png and tensorboard_graph.png besides;
of the runs of box_gravity and pong TensorBoard then shows the recorded numbers, and films, plots, histograms
and the graph of the models.
"""

import csv
import dataclasses
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from experiments import screenshots
from experiments.compare import read_curve
from kvae.config import Config
from kvae.errors import UserError
from kvae.system.command import guarded
from kvae.system.files import replacing
from simulation import make_world
from simulation.dataset import SEED
from simulation.sampling import simulate

NUM_IMAGINED = 30
"""Steps of the GIF after the end of what the model sees."""
FPS = 8
"""Of the GIF."""
DRAWN = {
    "imputation_strip": "films/imputation_strip.png",
    "codes": "plots/codes.png",
    "alpha": "plots/alpha.png",
}
"""Pictures that are kept, and their places in a run folder."""
KEPT = {"box": tuple(DRAWN), "box_gravity": tuple(DRAWN), "pendulum": ("codes",)}
"""Those of each world."""
IN_TENSORBOARD = ("box_gravity", "pong")


@dataclass(frozen=True)
class Options:
    """Make the pictures of the README's story again, from trained models."""

    worlds: tuple[Literal["box", "box_gravity", "pendulum"], ...] = tuple(KEPT)
    """Worlds to make pictures of."""
    screenshots: bool = False
    """Those of Explore and TensorBoard too; they need Chromium."""
    pretrained: Path = Path("pretrained")
    """Folder of the models."""
    output_dir: Path = Path("results")
    """Where the pictures go."""


@guarded
def main(arguments=None):
    """Run the command; return its exit code."""
    options = tyro.cli(Options, args=arguments, use_underscores=True)
    try:
        if options.screenshots:
            screenshots.check()
        with tempfile.TemporaryDirectory() as temporary:
            _make(options, Path(temporary) / "logs")
    except (UserError, OSError, KeyError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


def _make(options, log_dir):
    from kvae.plots import films
    from kvae.runs.load import load
    from kvae.runs.options import read_options

    others = IN_TENSORBOARD if options.screenshots else ()
    for world in dict.fromkeys((*options.worlds, *others)):
        print(f"{world} ...", flush=True)
        source = options.pretrained / world
        config = Config.from_dict(read_options(source))
        # Where the processor has bfloat16 too, so that pictures do not depend on it.
        model = load(source, dataclasses.replace(config, precision="float32"))
        drawn = draw_run(model, source, log_dir / f"{world}_kvae")
        if world not in options.worlds:
            continue
        for name in KEPT[world]:
            with replacing(options.output_dir / world / f"{name}.png") as path:
                shutil.copyfile(drawn / DRAWN[name], path)
        # They count wrong pixels, which of grey ones means little.
        if config.is_binary:
            draw_curves(source, options.output_dir / world)
        if world == "box":
            with replacing(options.output_dir / world / "filling.gif") as path:
                path.write_bytes(films.encode_gif(film_of_filling(model), FPS))
    if options.screenshots:
        print("Screenshots ...", flush=True)
        in_windows = (options.output_dir / name for name in ("explore.png", "explore_phone.png"))
        screenshots.explore("box", *in_windows)
        screenshots.tensorboard(
            log_dir,
            options.output_dir / "tensorboard.png",
            options.output_dir / "tensorboard_histograms.png",
            options.output_dir / "tensorboard_graph.png",
        )
    print(f"The pictures are in {options.output_dir}")


def draw_run(model, source, path):
    """Make a run folder again of a model that is kept: its metrics, and all that a run draws in its end.

    Args:
        model: the `KVAE`.
        source: its folder, with metrics.csv.
        path: the folder to make.

    Returns:
        `path`.
    """
    from kvae import data, evaluation
    from kvae.evaluation import pictures
    from kvae.runs.run_folder import RunFolder

    config = model.config
    world = make_world(config.dataset)
    # As many as the histograms are of.
    found = simulate(world, "test", config.batch_size, world.num_steps, SEED)
    controls = found.controls if config.use_controls else found.controls[..., :0]
    path.mkdir(parents=True)
    folder = RunFolder(path)
    step = replay(source / "metrics.csv", folder)
    dataset = data.Dataset(found.images, controls, found.states)
    folder.events.add_graph(evaluation.graph_of_bound(model, dataset))
    pictures.draw(model, dataset, folder, step)
    folder.close()
    return path


def replay(metrics, folder):
    """Record the rows of a metrics.csv in a `RunFolder` and its TensorBoard files; return the last step."""
    from kvae.runs.columns import SPLITS, TAGS

    columns = {name: tag.replace("/", "_") for name, tag in TAGS.items()}
    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        train, validation, test = (
            {name: float(value) for name in columns if (value := row.get(f"{split}_{columns[name]}"))}
            for split in SPLITS
        )
        folder.record(int(row["epoch"]), int(row["step"]), train, test, validation)
    return int(rows[-1]["step"])


def draw_curves(source, output_dir):
    """Draw the imputation curves in the folder of a model."""
    from kvae.evaluation import report
    from kvae.plots import canvas
    from kvae.runs.options import read_options

    dataset = read_options(source)["dataset"]
    guess = json.loads((source / "evaluation.json").read_text()).get("baseline")
    for name in report.CURVES:
        curves = read_curve(source / f"{name}.csv")
        lines = {
            method: (list(points), [wrong for wrong, _ in points.values()])
            for method, points in curves.items()
        }
        canvas.save_png(output_dir / f"{name}.png", report.curve_plot(name, lines, dataset, guess))


def film_of_filling(model, num_imagined=NUM_IMAGINED):
    """Film the first test sequences: the truth, what the model sees, what it fills in, what it imagines.

    Args:
        model: a `KVAE` of a world that has no controls.
        num_imagined: steps after the last one that it sees; the truth is simulated on.

    Returns:
        uint8 [T, height, width, 3].
    """
    from kvae.apply import filling
    from kvae.data import masks
    from kvae.evaluation import pictures
    from kvae.plots import films

    config, world = model.config, make_world(model.config.dataset)
    num_steps, count = world.num_steps, pictures.NUM_SEQUENCES
    images = simulate(world, "test", count, num_steps + num_imagined, SEED).images
    observed = masks.planning_mask(count, num_steps, config.t_init_mask, config.t_steps_mask)
    found = [
        filling.fill(model, frames[:num_steps], mask, num_imagined, num_samples=1)
        for frames, mask in zip(images, observed, strict=True)
    ]
    truth = model.pixels(images).numpy()
    seen = np.stack([filled.observed for filled in found])
    rows = {
        "truth": truth,
        "model sees": np.where(seen[..., None, None] > 0, truth, films.BLANK_COLOUR[0] / 255),
        "filled in": np.stack([filled.images for filled in found]),
        "imagined": np.stack([filled.samples[0] for filled in found]),
    }
    return films.film(rows, seen)


if __name__ == "__main__":
    sys.exit(main())
