"""What the page says."""

from html import escape

from kvae.explore.html import steps_in_words
from kvae.explore.session import Look, wrong_pixels

TITLE = "What a Kalman variational auto-encoder makes of what it does not see"


def heading(model_name: str, data_name: str) -> str:
    """Return the top of the page."""
    return (
        f"<h1>{TITLE}</h1>"
        "<p>Hide frames of a video: the model fills them in from those that are left. Nobody has told it "
        "what a ball, a wall or a velocity is. "
        f'<span class="note">Model: {escape(model_name)}. Videos: {escape(data_name)}.</span></p>'
    )


def frames(look: Look) -> str:
    """Return what stands above the frames: how to use them, what is hidden, how much of it is wrong."""
    text = (
        "<h2>Frames</h2>"
        "<p>Click a frame to hide it or to show it again. The posterior uses the frames on both sides of a "
        "gap, the samples are whole videos that it holds possible; filtering knows only what came before. "
        f'<b id="hidden-frames">Hidden frames: {steps_in_words(look.hidden)}.</b>'
    )
    if look.missing.any():
        text += f" Of these the video itself lacks {steps_in_words(look.missing)}."
    filled, filtered = wrong_pixels(look.filled, look), wrong_pixels(look.filtered, look)
    if filled is not None and filtered is not None:
        text += f" Wrong pixels in them: posterior {filled:.1%}, filtering {filtered:.1%}."
    return text + "</p>"


def codes(note: str) -> str:
    """Return what stands above the plane of codes; `note` says what the plane is, where that is not plain."""
    return (
        "<h2>Codes</h2>"
        "<p>A frame is a point here, its code. Where frames are hidden the posterior spreads over the paths "
        f"that fit the others. {note}</p>"
    )


ALPHA = (
    "<h2>Alpha</h2>"
    "<p>The weight of each linear model in the mixture at each step: a bounce is a switch between them. "
    "Orange marks hidden frames.</p>"
)

IMAGINE = (
    "<h2>Imagine on</h2>"
    "<p>The video has ended; the model goes on from where it believes things to be, each time with other "
    "noise. The imagined frames come below.</p>"
)
