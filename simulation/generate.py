"""Simulate a world into dataset files: `python -m simulation.generate --dataset box_gravity`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from simulation import dataset, world_names


@dataclass(frozen=True)
class Options:
    """Simulate a world into two dataset files, one for training and one for testing.

    A file that is there already is left as it is if it was made with the same options, and is an
    error otherwise.
    """

    dataset: Annotated[str, tyro.conf.arg(metavar="{" + ",".join(world_names()) + "}")]
    """The world to simulate."""

    num_train: int = dataset.NUM_TRAIN
    """Number of training sequences."""

    num_test: int = dataset.NUM_TEST
    """Number of test sequences."""

    num_steps: int = dataset.NUM_STEPS
    """Number of frames in each sequence."""

    seed: int = dataset.SEED
    """What all random draws derive from; the two splits and all sequences differ anyway."""

    data_dir: str = "data"
    """Folder of the files <dataset>.npz and <dataset>_test.npz; made if it is not there."""

    regenerate: bool = False
    """Make both files anew, replacing those that are there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 for an error, 130 if interrupted."""
    options = tyro.cli(
        Options,
        prog="python -m simulation.generate",
        args=argv,
        config=(tyro.conf.FlagConversionOff,),
    )
    try:
        dataset.generate(
            options.dataset,
            options.data_dir,
            num_train=options.num_train,
            num_test=options.num_test,
            num_steps=options.num_steps,
            seed=options.seed,
            regenerate=options.regenerate,
        )
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; no partial file is left.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
