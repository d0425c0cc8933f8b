"""Explore a trained model on a page in the browser: hide frames, and see what it makes of the rest."""

from kvae.system import command

if __name__ == "__main__":
    command.begin()

import importlib.util
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from kvae.errors import UserError, in_words
from kvae.explore import kind
from kvae.runs.options import model_file, read_options
from kvae.runs.pretrained import find
from kvae.system import called
from kvae.system.signals import Stopped

if TYPE_CHECKING:
    from gradio import Blocks

    from kvae.data import Dataset
    from kvae.models.kvae import KVAE

NUM_SIMULATED = 100
"""Sequences that are simulated where there is no file: a second's work."""

_ADDRESS = "127.0.0.1"
_PORTS_TRIED = 20
_RUNS = "logs"
"""Folder of the runs that can be chosen on the page: where training puts them by default."""


@dataclass(frozen=True)
class Options:
    """Explore a trained model on a page in the browser: hide frames, and see what it makes of the rest.

    The page is served to this machine alone, and fetches nothing from elsewhere. End it with Ctrl-C.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of a run, or the name of a trained model, such as box; others can be chosen on the page."""

    data: Path | None = None
    """Dataset file to take the sequences of that model from. By default the test file of the run's dataset,
    or of your own videos; if that of a world is not there, a hundred sequences are simulated in memory."""

    port: int = 7870
    """Port of the page; if it is taken, the next free one."""

    browser: bool = True
    """Open the page in a browser."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code, see `kvae.system.command`; 0 after Ctrl-C ended the page."""
    return command.run(lambda signals: _run(_read_options(argv)))


def _read_options(argv: Sequence[str] | None) -> Options:
    return tyro.cli(
        Options,
        prog=called.command("explore"),
        args=argv,
        config=(tyro.conf.FlagConversionOff,),
    )


def _run(options: Options) -> None:
    if importlib.util.find_spec("gradio") is None:
        raise UserError(f"Explore needs Gradio, which is not installed:  {called.install('explore')}")
    if find(options.run_folder).is_dir():
        kind.check(read_options(options.run_folder).get("model", "kvae"), options.run_folder)
    model_file(options.run_folder)
    port = free_port(options.port)
    start = time.perf_counter()
    print("Loading the model ...", flush=True)
    page = serve(str(options.run_folder), options.data, _ADDRESS, port, options.browser, Path(_RUNS))
    seconds = time.perf_counter() - start
    print(f"Explore on http://{_ADDRESS}:{port} (ready after {seconds:.0f} s; Ctrl-C ends it)", flush=True)
    try:
        page.block_thread()
    except Stopped as stopped:
        # Ctrl-C is how the page is meant to end.
        if stopped.exit_code != 128 + signal.SIGINT:
            raise
        print("\nStopped.", file=sys.stderr)


def serve(
    first: str,
    data: Path | None = None,
    address: str = "0.0.0.0",
    port: int = 7860,
    browser: bool = False,
    runs: Path | None = None,
) -> "Blocks":
    """Load a model, begin to serve the page, and return what `block_thread` waits for.

    The defaults are for a machine that serves it to others: with trained models alone.

    Args:
        first: the run folder, or the name of a trained model, that the page begins with.
        data: a dataset file for it; None: the test file of its run.
        address: the one to be reached at.
        port: a free one.
        browser: open the page in a browser.
        runs: a folder of runs; with it, runs can be chosen too, by any path.

    Raises:
        UserError: there is no such model, or there are no sequences for it.
    """
    # Before Gradio is imported: it tells nobody of its use, and asks no proxy for this machine.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), _ADDRESS]))

    from kvae.explore.shelf import Shelf

    shelf = Shelf(first, data, simulated, runs)
    print(f"Sequences: {shelf.shown(first).sequences}", flush=True)

    from kvae.explore import page

    built = page.build(shelf)
    page.serve(built, address, port, browser)
    return built


def simulated(model: "KVAE", missing: Path) -> "Dataset":
    """Return the first sequences of a test file, which is missing, that `simulation.generate` would make.

    Raises:
        UserError: the model's dataset is no world, or the world has no frames of the model's sides.
    """
    from kvae.data import Dataset
    from kvae.simulation import make_world, world_names
    from kvae.simulation.dataset import SEED
    from kvae.simulation.sampling import simulate

    name = model.config.dataset
    if name not in world_names():
        raise UserError(
            f"There is no {missing}, and {name!r} is no world that could be simulated: name a dataset "
            "file with --data FILE"
        )
    world = make_world(name)
    height, width = model.frame_shape[:2]
    if world.image_shape[:2] != (height, width):
        try:
            world = make_world(name, resolution=height)
        except ValueError as error:
            raise UserError(f"No data for frames of {height}x{width}: {in_words(error)}") from error
    found = simulate(world, "test", NUM_SIMULATED, world.num_steps, SEED)
    controls = found.controls if model.config.use_controls else found.controls[..., :0]
    return Dataset(found.images, controls, None).in_channels(int(model.config.channels))


def free_port(first: int) -> int:
    """Return the first free port of `_PORTS_TRIED` from `first` on.

    Raises:
        UserError: none of them is free, or `first` is no port.
    """
    if not 1 <= first <= 65535:
        raise UserError(f"--port must be in 1..65535. Received: {first}")
    last = min(first + _PORTS_TRIED - 1, 65535)
    for port in range(first, last + 1):
        with socket.socket() as probe:
            # As servers do: a port that was used a moment ago is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_ADDRESS, port))
            except OSError:
                continue
            return port
    raise UserError(f"No port from {first} to {last} is free: choose another --port")


if __name__ == "__main__":
    sys.exit(main())
