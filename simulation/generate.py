"""Simulate a world into dataset files: `python -m simulation.generate --dataset box_gravity`."""

from kvae.system import called, command

if __name__ == "__main__":
    command.begin()

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from . import world_names
from .dataset import SEED, generate
from .inspection import describe_file, verify, write_preview
from .worlds import option_names, trust
from .worlds.registry import modules_named


@dataclass(frozen=True)
class Options:
    """Simulate a world into dataset files, one for training, or a folder of shards, and one for testing.

    A file that is there already is left as it is if it was made with the same options, and is an
    error otherwise; so an interrupted command, given again, makes what is missing.
    """

    dataset: Annotated[str, tyro.conf.arg(metavar="{" + ",".join(world_names()) + "}")] = ""
    """The world to simulate; or gym:ID, an environment of Gymnasium such as gym:Pendulum-v1; or MODULE:NAME,
    a world of your own."""

    # --- how much of it ---
    num_train: int | None = None
    """Number of training sequences. By default 5000; swinging_line: 2000; pendulum and gym: 500."""

    num_test: int | None = None
    """Number of test sequences. By default 1000; swinging_line: 200, gym: 100."""

    num_steps: int | None = None
    """Number of frames in each sequence. By default 20; pendulum: 15, swinging_line: 75."""

    seed: int = SEED
    """What all random draws derive from; the two splits and all sequences differ anyway."""

    # --- what is to be different in it ---
    num_balls: int | None = None
    """Balls, which bounce off each other. By default 1."""

    resolution: int | None = None
    """Pixels along a side; geometry, speeds and gravity grow with it. By default 32; pendulum: 16,
    swinging_line: 24."""

    greyscale: bool | None = None
    """Anti-aliased grey frames, in place of black and white; gym: grey unless it is False."""

    colours: bool | None = None
    """Frames in colour, in which each ball has another one, all of the same brightness."""

    friction: float | None = None
    """Friction of balls and walls. By default 0."""

    damping: float | None = None
    """Share of its velocity that a ball keeps over a unit of time (5 frames). By default 1."""

    contacts: bool | None = None
    """Mark every contact by a short line, as the original does; that is the default."""

    substeps: int | None = None
    """Steps of the physics between two frames. By default 1, as in the original, where a ball can fall or be
    pushed through a wall; with several balls 10."""

    vertices: str = ""
    """Walls of polygon: hexagon (the default), octagon, or any simple closed path, "x,y x,y x,y ..." in
    a frame of 32 by 32, y pointing up."""

    # --- what is to be different in an environment, gym:ID ---
    policy: str = ""
    """What chooses the actions: random (the default), zero, or MODULE:FUNCTION, your own, which gets an
    observation and a numpy.random.Generator, and returns an action."""

    frame_skip: int | None = None
    """Steps of the environment from a frame to the next, in which the action is held. By default 1."""

    warmup_steps: int | None = None
    """Steps of the environment before the first frame. By default 0."""

    env_options: str = ""
    """Further arguments of gymnasium.make, as JSON: '{"g": 5.0}'."""

    frame_size: str = ""
    """Side of the frames, or HEIGHT,WIDTH. What does not fit the ratio of the two is cut off at the edges,
    the same on both sides. By default 32."""

    channels: int | None = None
    """1, grey, the default; or 3, colour."""

    crop: str = ""
    """Part of what the environment draws that is kept, in its pixels: TOP,LEFT,BOTTOM,RIGHT."""

    # --- where to, and how ---
    data_dir: str = "data"
    """Folder of the files <dataset>.npz and <dataset>_test.npz; made if it is not there."""

    shards: int | None = None
    """Store the training data in so many files, <dataset>/train-00003-of-00016.npz, in place of one."""

    shard: int | None = None
    """Make the shard of this number alone, from 0, and no test data: several machines share the work."""

    jobs: int = 1
    """Processes that share the work; the files are the same whatever it is."""

    regenerate: bool = False
    """Make the files anew, replacing those that are there."""

    # --- or look at a file ---
    describe: Path | None = None
    """Print the metadata of a dataset file, and simple statistics."""

    preview: Path | None = None
    """Write a GIF and a contact sheet of a dataset file's first sequences, beside it."""

    verify: Path | None = None
    """Simulate anew what a dataset file's metadata says, and check that the file holds just that."""

    trust: str = ""
    """Module of your own that --verify may import, where the file names a world or a policy in it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `kvae.system.command`. No partial file is ever left."""
    return command.run(lambda signals: _run(_read_options(argv)), mistakes=(ValueError,))


def _read_options(argv: Sequence[str] | None) -> Options:
    return tyro.cli(
        Options,
        prog=called.command("generate"),
        args=argv,
        config=(tyro.conf.FlagConversionOff,),
    )


def _run(options: Options) -> None:
    looks = {name: getattr(options, name) for name in ("describe", "preview", "verify")}
    if options.trust:
        trust(options.trust)
    if not options.dataset:
        if not any(looks.values()):
            raise ValueError(
                f"Say which world to simulate: --dataset {' | '.join(world_names())} | gym:ID | MODULE:NAME."
            )
        idle = {field.name for field in dataclasses.fields(Options)} - {*looks, "jobs", "trust"}
        if given := sorted(name for name in idle if getattr(options, name) != getattr(Options, name)):
            raise ValueError(f"{given[0]} has no effect without --dataset: leave it out, or say which world.")
    else:
        world_options = _world_options(options)
        # The user names them, and nobody else.
        trust(*modules_named(options.dataset, world_options))
        generate(
            options.dataset,
            options.data_dir,
            num_train=options.num_train,
            num_test=options.num_test,
            num_steps=options.num_steps,
            seed=options.seed,
            options=world_options,
            shards=options.shards,
            shard=options.shard,
            jobs=options.jobs,
            regenerate=options.regenerate,
        )
    if looks["describe"]:
        print(describe_file(looks["describe"]))
    if looks["preview"]:
        for path in write_preview(looks["preview"]):
            print(path)
    if looks["verify"]:
        if not verify(looks["verify"], options.jobs):
            raise ValueError(
                f"{looks['verify']} does not hold what its metadata says, as simulated here: the file was "
                "changed, or other versions of the packages made it."
            )
        print(f"{looks['verify']} holds just what its metadata says.")


def _world_options(options: Options) -> dict[str, Any]:
    """Return those options of worlds that were given."""
    given: dict[str, Any] = {name: getattr(options, name, None) for name in option_names()}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    if "," in given.get("vertices", ""):
        given["vertices"] = _read_points(given["vertices"])
    for name in ("frame_size", "crop"):
        if name in given:
            given[name] = _read_whole_numbers(name, given[name])
    if "env_options" in given:
        given["env_options"] = _read_object(given["env_options"])
    return given


def _read_whole_numbers(name: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"{name} must be whole numbers such as 48,64. Received: {text!r}.") from None


def _read_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise ValueError(
            f"""env_options must be a JSON object such as '{{"g": 5.0}}' ({error}). Received: {text!r}."""
        ) from None
    return found


def _read_points(text: str) -> list[list[float]]:
    try:
        points = [[float(number) for number in word.split(",")] for word in text.split()]
        if any(len(point) != 2 for point in points):
            raise ValueError
    except ValueError:
        raise ValueError(f"vertices must be points such as '2,2 2,30 30,2'. Received: {text!r}.") from None
    return points


if __name__ == "__main__":
    sys.exit(main())
