"""The page of `python -m kvae.explore` as people use it: in a browser, on a desktop and on a telephone."""

import time
from pathlib import Path

import numpy as np
import pytest

from experiments import screenshots

pytest.importorskip("gradio", reason='needs pip install -e ".[explore]"')
sync_api = pytest.importorskip("playwright.sync_api", reason='needs pip install -e ".[browser]"')
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='needs pip install -e ".[browser]"')

ROOT = Path(__file__).parent.parent
CHROMIUM = screenshots.chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

WAIT = 1000 * screenshots.PATIENCE
"""Milliseconds that anything may take."""
SIZES = {"desktop": (1366, 768), "telephone": (390, 844)}


@pytest.fixture(scope="module")
def address():
    """Start the command; return the page's address."""
    command = ["kvae.explore", ROOT / "pretrained" / "box", "--browser", "False", "--port", "7890"]
    with screenshots.serving(command, cwd=ROOT) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(address, browser):
    """Open the page; nothing may go wrong in it, and nothing may be fetched from elsewhere."""
    problems, contexts, pages = [], [], []

    def open_page(device="desktop", query="", **options):
        width, height = SIZES[device]
        options = {"reduced_motion": "reduce", "has_touch": device == "telephone"} | options
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        pages.append((page, watch_answers(page)))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:")) or problems.append(request.url)
            ),
        )
        page.goto(address + query)
        page.wait_for_selector("#alpha svg")
        return page

    def answered():
        """Wait for all answers: who leaves before breaks a connection, and the page complains."""
        for page, pending in pages:
            deadline = time.monotonic() + screenshots.PATIENCE
            while pending:
                assert time.monotonic() < deadline, f"Not answered: {pending}"
                page.wait_for_timeout(50)

    open_page.answered = answered
    yield open_page
    answered()
    for context in contexts:
        context.close()
    assert problems == []


def watch_answers(page):
    """Return the requests by which the page waits for answers, kept up to date."""
    pending = set()
    page.on("request", lambda request: "/queue/data" in request.url and pending.add(request))
    for over in ("requestfinished", "requestfailed"):
        page.on(over, lambda request: pending.discard(request))
    return pending


def expect(locator):
    return sync_api.expect(locator)


def box_of(page, selector):
    return page.locator(selector).first.bounding_box()


def violations(page):
    found = axe.Axe().run(page).response["violations"]
    return [(v["id"], node["html"], node["failureSummary"]) for v in found for node in v["nodes"]]


def in_view(page, selector):
    """Whether any part of the first of these is within the window, and not scrolled out of the strip."""
    return page.evaluate(
        """selector => {
            const box = document.querySelector(selector).getBoundingClientRect();
            const strip = document.querySelector('#frames .scroll').getBoundingClientRect();
            return box.left >= strip.left - 1 && box.right <= Math.min(strip.right, innerWidth) + 1
                && box.top >= 0 && box.bottom <= innerHeight;
        }""",
        selector,
    )


def test_frames_are_hidden_and_shown_by_clicks(visit):
    page = visit()
    hidden = page.locator("#hidden-frames")
    assert hidden.inner_text() == "Hidden frames: 5-16."
    assert page.locator("#frames .strip img.hidden").count() == 12 * 6

    def pictures():
        return [page.locator(f"#{name} svg").evaluate("svg => svg.outerHTML") for name in ("codes", "alpha")]

    def after(action, text):
        before = pictures()
        action()
        expect(hidden).to_have_text(f"Hidden frames: {text}.", timeout=WAIT)
        page.wait_for_function(
            "old => document.querySelector('#alpha svg').outerHTML !== old", arg=before[1], timeout=WAIT
        )
        assert all(old != new for old, new in zip(before, pictures(), strict=True))

    button = page.get_by_role("button", name="Hide frame 10", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    after(button.click, "5-9, 11-16")
    assert button.get_attribute("aria-pressed") == "false"

    def click_twice():
        # The second click does not wait for the first's answer. Any row of the strip will do.
        for row, step in ((0, 1), (4, 18)):
            page.locator(f'#frames .strip img[data-row="{row}"][data-step="{step}"]').click()

    after(click_twice, "2, 5-9, 11-16, 19")
    after(lambda: page.get_by_role("button", name="Show all").click(), "none")
    assert page.locator("#frames .strip img.hidden").count() == 0
    # By keyboard; whoever goes on from there is where they were.
    button.focus()
    after(lambda: page.keyboard.press("Enter"), "10")
    assert page.evaluate("document.activeElement.ariaLabel") == "Hide frame 10"
    page.keyboard.press("Tab")
    after(lambda: page.keyboard.press("Space"), "10-11")


@pytest.mark.parametrize("device", SIZES)
def test_it_fits_its_window(visit, device):
    page = visit(device)
    width, height = SIZES[device]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    main = box_of(page, "main")
    assert main["x"] == pytest.approx(width - main["x"] - main["width"], abs=1)
    sides = page.locator("#frames .strip button").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(box => Math.min(box.width, box.height))"
    )
    assert len(sides) == 20
    assert min(sides) >= 28
    label, frame = (box_of(page, f"#frames .strip {e}") for e in (".label", "img"))
    strip = box_of(page, "#frames .scroll")
    if device == "telephone":
        assert label["y"] + label["height"] <= frame["y"]
        assert page.locator("#frames .scroll").evaluate("e => e.scrollWidth > e.clientWidth")
    else:
        assert label["x"] + label["width"] <= frame["x"] + 2
        # What a click changes is beside the strip, and all of it in sight.
        for name in ("codes", "alpha"):
            plot = box_of(page, f"#{name} svg")
            assert plot["x"] >= strip["x"] + strip["width"]
            assert plot["y"] + plot["height"] <= height
        assert strip["y"] + strip["height"] <= height


def test_labels_stay_in_sight_where_the_strip_is_scrolled(visit):
    page = visit("telephone")
    before = box_of(page, "#frames .strip .label")
    page.locator("#frames .scroll").evaluate("e => { e.scrollLeft = 150; }")
    assert box_of(page, "#frames .strip .label")["x"] == pytest.approx(before["x"], abs=3)
    # A click makes the strip anew: it stays where it was scrolled to.
    page.get_by_role("button", name="Hide frame 12", exact=True).tap()
    expect(page.locator("#hidden-frames")).to_contain_text("5-11, 13-16", timeout=WAIT)
    assert page.locator("#frames .scroll").evaluate("e => e.scrollLeft") == 150


# Each device and each scheme; the other two pairs are slow.
@pytest.mark.parametrize(
    ("device", "scheme"),
    [
        ("desktop", "light"),
        ("telephone", "dark"),
        pytest.param("desktop", "dark", marks=pytest.mark.slow),
        pytest.param("telephone", "light", marks=pytest.mark.slow),
    ],
)
def test_it_keeps_nobody_out(visit, device, scheme):
    page = visit(device, "?imagine=10&model=nowhere", color_scheme=scheme)
    expect(page.get_by_role("alert")).to_contain_text("no model 'nowhere'", timeout=WAIT)
    assert violations(page) == []
    page = visit(device, "?imagine=10", color_scheme=scheme)
    page.wait_for_selector("#frames img.imagined")
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    red, green, blue = page.evaluate(
        "getComputedStyle(document.querySelector('.gradio-container')).color.match(/\\d+/g).map(Number)"
    )
    assert (min(red, green, blue) > 200) == (scheme == "dark")
    assert violations(page) == []


@pytest.mark.parametrize("device", SIZES)
def test_what_is_imagined_comes_to_where_the_eye_is(visit, device):
    page = visit(device)
    page.get_by_label("Steps to go on").fill("30")
    page.get_by_role("button", name="Imagine on").click()
    page.wait_for_selector("#frames img.imagined")
    assert page.locator("#frames img.imagined[data-row]").count() == 3 * 30
    assert in_view(page, '#frames img.imagined[data-step="20"]')
    assert page.locator("#frames .clock").inner_text() == "frame 21"
    border = page.locator("#frames .screens img").last.evaluate("e => getComputedStyle(e).borderColor")
    assert border == "rgb(0, 158, 115)"
    assert page.locator("#frames .screens img").last.get_attribute("alt") == "sample 3, frame 21, imagined"
    page.wait_for_function("location.search.includes('imagine=30')")


def test_it_plays(visit):
    page = visit(reduced_motion="no-preference")
    clock = page.locator("#frames .clock")
    before = clock.inner_text()
    page.wait_for_function("t => document.querySelector('#frames .clock').innerText !== t", arg=before)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_address_brings_everything_back(visit):
    page = visit(query="?sequence=3&hide=2,7-9&imagine=10")
    assert page.locator("#hidden-frames").inner_text() == "Hidden frames: 2, 7-9."
    assert page.get_by_label("Sequence of").input_value() == "3"
    assert page.get_by_label("Steps to go on").input_value() == "10"
    page.get_by_role("button", name="Draw new samples").click()
    page.wait_for_function("location.search.includes('seed=1')")
    page.get_by_role("button", name="Hide frame 1", exact=True).click()
    page.wait_for_function("location.search.includes('hide=1-2,7-9')")
    visit.answered()
    shown = [image.get_attribute("src") for image in page.locator("#frames .strip img").all()]
    page.reload()
    page.wait_for_selector("#alpha svg")
    assert page.locator("#hidden-frames").inner_text() == "Hidden frames: 1-2, 7-9."
    assert [image.get_attribute("src") for image in page.locator("#frames .strip img").all()] == shown


def test_numbers_out_of_range_are_put_right(visit):
    page = visit(query="?sequence=99999&hide=18-44&imagine=7")
    sequence = page.get_by_label("Sequence of")
    count = sequence.input_value()
    assert int(count) >= 100
    assert page.locator("#hidden-frames").inner_text() == "Hidden frames: 18-20."
    sequence.fill("3")
    page.wait_for_function("location.search.includes('sequence=3&')")
    sequence.fill("0")
    expect(sequence).to_have_value("1", timeout=WAIT)
    sequence.fill("123456789")
    expect(sequence).to_have_value(count, timeout=WAIT)
    steps = page.get_by_label("Steps to go on")
    steps.fill("1000")
    expect(steps).to_have_value("60", timeout=WAIT)
    page.wait_for_function("document.querySelectorAll('#frames .strip img.imagined').length === 180")
    # None are none.
    steps.fill("-3")
    expect(steps).to_have_value("0", timeout=WAIT)
    page.wait_for_function("document.querySelectorAll('#frames .strip img.imagined').length === 0")


def test_another_model_and_a_clip(visit, tmp_path):
    page = visit("telephone")
    model = page.get_by_label("Model, or folder of a run")
    model.fill("nowhere")
    model.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("nowhere is not a run folder", timeout=WAIT)
    expect(model).to_have_value(str(ROOT / "pretrained" / "box"), timeout=WAIT)
    model.click()
    page.get_by_role("option", name="pong").click()
    expect(page.locator("#about")).to_contain_text("Model: pong", timeout=WAIT)
    assert page.get_by_role("alert").count() == 0
    page.wait_for_function("location.search.includes('model=pong')")
    assert violations(page) == []

    frames = np.zeros([8, 32, 32], np.uint8)
    for step, frame in enumerate(frames):
        frame[10:14, 3 * step : 3 * step + 4] = 255
    np.save(tmp_path / "moving.npy", frames)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Bring a clip").click()
    chooser.value.set_files(tmp_path / "moving.npy")
    expect(page.locator("#about")).to_contain_text("Video: moving.npy", timeout=WAIT)
    assert page.locator("#frames .strip button").count() == 8
    page.wait_for_function("location.search === '?model=pong'")


def test_examples_lead_to_what_they_say(visit):
    page = visit()
    page.get_by_role("link", name="two bounces in the gap").click()
    page.wait_for_selector("#alpha svg")
    expect(page.locator("#about")).to_contain_text("Model: box", timeout=WAIT)
    assert page.get_by_label("Sequence of").input_value() == "4"
