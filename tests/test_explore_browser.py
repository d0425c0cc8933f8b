"""The page of `python -m kvae.explore` as a person uses it: in a browser, with clicks."""

from pathlib import Path

import pytest

from experiments import screenshots

pytest.importorskip("gradio", reason='needs pip install -e ".[explore]"')
sync_api = pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')

ROOT = Path(__file__).parent.parent
CHROMIUM = screenshots.chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

WAIT = 1000 * screenshots.PATIENCE
"""Milliseconds that anything may take."""


@pytest.fixture(scope="module")
def address():
    """Start the command; return the page's address."""
    command = ["kvae.explore", ROOT / "pretrained" / "box", "--browser", "False", "--port", "7890"]
    with screenshots.serving(command, cwd=ROOT) as address:
        yield address


@pytest.fixture
def page(address):
    """Open the page; nothing may go wrong in it, and nothing may be fetched from elsewhere."""
    problems = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:")) or problems.append(request.url)
            ),
        )
        page.goto(address)
        page.wait_for_selector("#codes img")
        yield page
        browser.close()
    assert problems == []


def test_frames_are_hidden_and_shown_by_clicks(page):
    hidden = page.locator("#hidden-frames")
    assert hidden.inner_text() == "Hidden frames: 5-16."
    # Nothing is out of sight to the right.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("#frames .strip img.hidden").count() == 12 * 6

    def pictures():
        return [page.locator(f"#{name} img").first.get_attribute("src") for name in ("codes", "alpha")]

    def after(action, text):
        before = pictures()
        action()
        sync_api.expect(hidden).to_have_text(f"Hidden frames: {text}.", timeout=WAIT)
        page.wait_for_function(
            "old => document.querySelector('#codes img').src !== old", arg=before[0], timeout=WAIT
        )
        assert all(old != new for old, new in zip(before, pictures(), strict=True))

    after(lambda: page.get_by_label("frame 10, hidden: click to show").click(), "5-9, 11-16")

    def click_twice():
        # The second click does not wait for the first's answer. Any row of the strip will do.
        for row, step in ((0, 1), (4, 18)):
            page.locator(f'#frames .strip img[data-row="{row}"][data-step="{step}"]').click()

    after(click_twice, "2, 5-9, 11-16, 19")
    after(lambda: page.get_by_role("button", name="Show all").click(), "none")
    assert page.locator("#frames .strip img.hidden").count() == 0


def test_another_sequence_and_its_future(page):
    clock = page.locator("#frames .clock")
    before = clock.inner_text()
    page.wait_for_function("t => document.querySelector('#frames .clock').innerText !== t", arg=before)

    first = page.locator('#frames .strip img[data-row="0"][data-step="0"]').get_attribute("src")
    page.get_by_role("spinbutton", name="Sequence").fill("3")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "old => document.querySelector('#frames .strip img').src !== old", arg=first, timeout=WAIT
    )
    page.get_by_role("button", name="Imagine on").click()
    page.wait_for_selector("#future .strip img")
    assert page.locator("#future .strip img").count() == 4 * 40
    assert page.locator("#future figcaption").first.inner_text() == "imagined 1"
    # Its screens play what comes after the end.
    sync_api.expect(page.locator("#future .clock")).to_contain_text("t = 2", timeout=WAIT)
