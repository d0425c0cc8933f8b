"""Screenshots of Explore and TensorBoard, by the system's Chromium and the extras `explore` and `browser`."""

import contextlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kvae.errors import UserError
from kvae.system.files import replacing

PATIENCE = 300
"""Seconds that anything may take: far more than it does on a machine with nothing else to do."""
_SETTLING = 3000
"""Milliseconds for charts to be drawn, which nothing in TensorBoard's page tells the end of."""
_SEQUENCE = 4
"""Of Explore's screenshot: the fourth, whose ball bounces twice in the gap."""
_STEP = 10
"""The step that its screens show."""


class BrowserError(UserError):
    """There can be no screenshot; the message says why."""


def chromium():
    """Return the path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def check():
    """Raise BrowserError where something is missing that screenshots need."""
    for module, extra in (("gradio", "explore"), ("playwright", "browser")):
        if importlib.util.find_spec(module) is None:
            raise BrowserError(f'Screenshots need {module}:  pip install -e ".[{extra}]"')
    if chromium() is None:
        raise BrowserError("Screenshots need Chromium:  apt-get install chromium")


@contextlib.contextmanager
def serving(arguments, cwd):
    """Start a Python module that serves a page, yield the page's address, and end it after the block.

    Args:
        arguments: the module and what it is given.
        cwd: the folder to start it in.

    Raises:
        BrowserError: it ended, or gave no address; the message holds what it said.
    """
    # A file and not a pipe, which would have to be emptied. It is read by its name: what shares the process's
    # place in it would move that.
    with tempfile.NamedTemporaryFile("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)], cwd=cwd, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield _address(process, Path(output.name))
        finally:
            process.terminate()
            process.wait(30)


def _address(process, output):
    """Return the first address that a process writes to a file, once it is there."""
    deadline = time.monotonic() + PATIENCE
    # The blank after it shows that all of it has come.
    while not (found := re.search(r"(http://\S+)\s", said := output.read_text())):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BrowserError(f"No page was served:\n{said}")
        time.sleep(0.2)
    return found[1]


@contextlib.contextmanager
def _page(address, width, height, **options):
    """Open a page of a server in a window of this size; films stand still."""
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(address)
        yield page
        browser.close()


def _save(page, path, **options):
    with replacing(path) as temporary:
        page.screenshot(path=temporary, **options)


def explore(run_folder, path, telephone_path):
    """Write the page of `kvae.explore`: a sequence with a gap, and how the model imagines it on.

    Args:
        run_folder: the model's, as the page names it.
        path: the PNG file of a desktop's window.
        telephone_path: the PNG file of all of the page in the dark, as narrow as a telephone.
    """
    command = ["kvae.explore", run_folder, "--browser", "False"]
    with serving(command, cwd=".") as address:
        shown = f"{address}/?sequence={_SEQUENCE}&hide=5-16&imagine=10"
        for width, height, scheme, file in (
            (1366, 768, "light", path),
            (390, 844, "dark", telephone_path),
        ):
            with _page(shown, width, height, color_scheme=scheme) as page:
                page.wait_for_selector("#alpha svg")
                page.locator(f'#frames .strip img[data-row="0"][data-step="{_STEP - 1}"]').hover()
                _save(page, file, full_page=file is telephone_path)


def tensorboard(log_dir, scalars_path, histograms_path, graph_path):
    """Write three pages of TensorBoard.

    Args:
        log_dir: a folder that holds the runs `box_gravity_kvae` and `pong_kvae`.
        scalars_path: the PNG file with curves and pictures of the former.
        histograms_path: the PNG file with alpha of both.
        graph_path: the PNG file with the graph of the bound.
    """
    command = ["tensorboard.main", "--logdir", log_dir.name, "--port", "0"]
    with serving(command, cwd=log_dir.parent) as address:
        tags = "?runFilter=box_gravity_kvae&tagFilter=total%7Cstate_space%7Cfilms%2Fimputation%24%7Ccodes"
        with _page(f"{address}{tags}#timeseries", 1250, 940) as page:
            page.locator("card-view img").nth(1).wait_for()
            page.wait_for_timeout(_SETTLING)
            _save(page, scalars_path)
        tags = "#histograms&tagFilter=alpha&regexInput=(box_gravity%7Cpong)_kvae%2Ftest"
        with _page(f"{address}{tags}", 1250, 900) as page:
            page.locator("vz-histogram-timeseries").nth(5).wait_for()
            page.wait_for_timeout(_SETTLING)
            _save(page, histograms_path)
        with _page(f"{address}#graphs&run=box_gravity_kvae%2Ftest", 1500, 900) as page:
            page.locator("text").filter(has_text="state_space").first.wait_for()
            page.wait_for_timeout(_SETTLING)
            # Without the menu beside it, and the bodies of loops.
            _save(page, graph_path, clip={"x": 352, "y": 70, "width": 970, "height": 440})
