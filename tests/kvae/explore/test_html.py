"""Frames and plots as a browser gets them, read as one reads them."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from kvae.explore import figures, html, rows, style, words
from kvae.explore.session import Future, Look
from kvae.plots.films import HIDDEN_COLOUR
from kvae.plots.look import METHODS

T, N = 6, 4


class Elements(HTMLParser):
    """All elements of a page: name and attributes, in their order; what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} with an attribute twice"
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def look():
    rng = np.random.default_rng(0)
    frames = rng.random([T, 8, 8]).astype(np.float32)
    hidden, missing = np.zeros(T, bool), np.zeros(T, bool)
    hidden[[1, 2, 4]] = missing[[4]] = True
    codes = rng.normal(size=[T, 2])
    alpha = rng.dirichlet([1, 1], T)
    cov = np.tile(np.eye(2), [T, 1, 1])
    samples = np.tile(frames, [3, 1, 1, 1])
    return Look(
        frames, hidden, missing, frames, frames, samples, codes, codes, cov, codes, alpha, codes, codes
    )


@pytest.fixture(scope="module")
def future():
    rng = np.random.default_rng(1)
    return Future(rng.random([3, N, 8, 8]), rng.normal(size=[3, N, 2]))


def test_every_frame_can_be_read_out(look, future):
    found = Elements(html.film(rows.of(look, future), rows.CLICKABLE))
    images = [image for image in found.named("img") if "data-row" in image]
    assert len(images) == 7 * T + 3 * N
    alts = [image["alt"] for image in images]
    # Those of buttons say it there.
    assert alts.count("") == T
    assert len({*alts}) == 6 * T + 3 * N + 1
    assert "posterior, frame 2, hidden" in alts
    assert "posterior, frame 1" in alts
    assert f"sample 3, frame {T + N}, imagined" in alts


def test_buttons_say_what_they_do_and_whether_they_have(look):
    found = Elements(html.film(rows.of(look), rows.CLICKABLE))
    buttons = [button for button in found.named("button") if "data-step" in button]
    assert [button["aria-label"] for button in buttons] == [f"Hide frame {t}" for t in range(1, T + 1)]
    assert [button["aria-pressed"] for button in buttons] == [str(bool(h)).lower() for h in look.hidden]
    assert {button["type"] for button in found.named("button")} == {"button"}


def test_what_is_not_seen_has_a_border_row_by_row(look, future):
    found = Elements(html.film(rows.of(look, future), rows.CLICKABLE))
    kinds = {}
    for image in found.named("img"):
        if "data-row" in image:
            kinds.setdefault(int(image["data-row"]), []).append(image["class"].removeprefix("cell").strip())
    seen_by_model = ["hidden" if hidden else "" for hidden in look.hidden]
    assert kinds[0] == ["hidden" if missing else "" for missing in look.missing]
    assert kinds[1] == kinds[2] == kinds[3] == seen_by_model
    assert kinds[4] == kinds[5] == kinds[6] == seen_by_model + ["imagined"] * N


def test_frames_are_what_they_were(look):
    found = Elements(html.film(rows.of(look), rows.CLICKABLE))
    images = {(i["data-row"], i["data-step"]): i["src"] for i in found.named("img") if "data-row" in i}

    def pixels(source):
        return np.asarray(
            Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))
        )

    np.testing.assert_array_equal(pixels(images["2", "1"]), np.rint(255 * look.filled[1]))
    # Hidden ones are not given away, nor are those that nobody has.
    for place in (("1", "1"), ("0", "4")):
        assert len(np.unique(pixels(images[place]))) == 1


def test_what_is_scrolled_can_be_reached_and_the_address_is_told(look, future):
    text = html.film(rows.of(look, future), rows.CLICKABLE, "?model=<a>&hide=1")
    (film,) = [e for e in Elements(text).named("div") if e.get("class") == "film"]
    assert film["data-query"] == "?model=<a>&hide=1"
    assert (film["data-seen"], film["data-steps"]) == (str(T), str(T + N))
    (strip,) = [e for e in Elements(text).named("div") if e.get("class") == "scroll"]
    assert strip["tabindex"] == "0"
    assert strip["role"] == "region"
    assert strip["aria-label"]


def test_labels_are_text():
    row = html.Row("<b>", np.zeros([1, 2, 2]), np.zeros(1, bool))
    text = html.film([row])
    assert "<b>" not in text
    Elements(text)


def test_plots_have_words_and_the_colours_of_the_page(look, future):
    plane = figures.Plane.of(look.encoded[None])
    figure = figures.code_plane(plane, look, look.encoded[None], future)
    text = html.plot(figure, 'codes of "it" & <more>')
    svg = ElementTree.fromstring(text)
    assert svg.attrib["aria-label"] == 'codes of "it" & <more>'
    assert svg.attrib["role"] == "img"
    # As wide as its place.
    assert "viewBox" in svg.attrib
    assert not {"width", "height"} & set(svg.attrib)
    # A style within a page is one of the whole page.
    assert "<style" not in text
    found = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}\b", text)}
    used = {METHODS[name].colour.lower() for name in ("sampling", "filtering", "generation")}
    assert found == used
    assert {*re.findall(r"var\(--(\w+)\)", text)} == {"ink", "paper", "cloud", "line", "grid"}


def test_every_colour_of_plots_is_in_the_style_for_light_and_dark():
    text = style.css()
    light, dark = re.findall(r"^(?:\.dark )?\.gradio-container[^{]* \{([^}]*)\}", text, re.M)[:2]
    for name in ("ink", "line", "cloud", "grid", "quiet"):
        assert f"--{name}: #" in light
        assert f"--{name}: #" in dark
    assert f"--imagined: {METHODS['generation'].colour}" in text
    assert "--hidden: #{:02x}{:02x}{:02x}".format(*HIDDEN_COLOUR) in text


def _luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize(("which", "paper"), [(0, "#ffffff"), (1, "#0f0f11")])
def test_text_can_be_read(which, paper):
    """By WCAG's contrast of 4.5, on Gradio's paper; the browser's test looks at all of the page."""
    block = re.findall(r"^(?:\.dark )?\.gradio-container[^{]* \{([^}]*)\}", style.css(), re.M)[which]
    for name in ("ink", "quiet", "line"):
        (colour,) = re.findall(rf"--{name}: (#\w{{6}})", block)
        bright, dim = sorted((_luminance(colour), _luminance(paper)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5


def test_alpha_in_words():
    alpha = np.array([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    said = figures.alpha_in_words(alpha, "3")
    assert said.endswith("the largest: model 2 in frames 1-2, model 1 in 3, model 2 in 4; hidden: 3")
    assert figures.alpha_in_words(alpha[:1], "none").endswith("model 2 in frames 1; hidden: none")


def test_links_to_examples_are_those_of_models_that_are_there():
    assert words.heading(["box"]).count("<a ") == 1
    assert "Examples" not in words.heading(["mine"])
    found = Elements(words.heading(["box", "box_gravity", "pong", "pendulum"])).named("a")
    assert [link["href"] for link in found] == [example.query() for example in words.EXAMPLES.values()]


def test_what_goes_wrong_is_text_and_is_announced():
    (said,) = Elements(words.problem("<b> is none")).named("p")
    assert said["role"] == "alert"
    assert words.problem("") == ""
