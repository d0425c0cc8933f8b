"""What the page says."""

from collections.abc import Collection
from html import escape

from kvae.explore.session import Look, wrong_pixels
from kvae.explore.situation import Situation, in_words

TITLE = "What a Kalman variational auto-encoder makes of what it does not see"

EXAMPLES = {
    "two bounces in the gap": Situation("box", sequence=3, hidden=tuple(range(4, 16))),
    "gravity, from both ends": Situation("box_gravity", sequence=11, hidden=tuple(range(5, 15))),
    "Pong, imagined on": Situation("pong", sequence=2, hidden=(), future=40),
    "a pendulum, every third frame seen": Situation(
        "pendulum", sequence=0, hidden=tuple(step for step in range(15) if step % 3)
    ),
}
"""What is worth to be looked at, by the words of a link to it."""


def heading(models: Collection[str]) -> str:
    """Return the top of the page, with examples of the models that are offered."""
    links = [
        f'<a href="{escape(situation.query())}">{escape(name)}</a>'
        for name, situation in EXAMPLES.items()
        if situation.model in models
    ]
    examples = f" Examples: {', '.join(links)}." if links else ""
    return (
        f"<h1>{TITLE}</h1>"
        "<p>Click frames of a video to hide them: the model fills them in from those that are left. Nobody "
        f"has told it what a ball, a wall or a velocity is.{examples}</p>"
    )


def loading(name: str) -> str:
    """Return what is said while a model gets ready."""
    return f'<p role="status">Loading {escape(name)} ...</p>'


def problem(message: str) -> str:
    """Return what is said where something that was asked for cannot be."""
    return f'<p class="problem" role="alert">{escape(message)}</p>' if message else ""


def frames(look: Look, is_binary: bool = True) -> str:
    """Return what stands above the frames: what is hidden, how much of it is wrong.

    Args:
        look: what the model makes of the sequence.
        is_binary: the model's pixels are black or white, so that they can be wrong.
    """
    text = f'<h2>Frames</h2><p><b id="hidden-frames">Hidden frames: {in_words(look.hidden)}.</b>'
    if look.missing.any():
        text += f" Of these the video itself lacks {in_words(look.missing)}."
    filled, filtered = wrong_pixels(look.filled, look), wrong_pixels(look.filtered, look)
    if is_binary and filled is not None and filtered is not None:
        text += f" Wrong pixels in them: posterior {filled:.1%}, filtering {filtered:.1%}."
    return text + "</p>"


def about(model_name: str, data_name: str, note: str = "") -> str:
    """Return what stands below the frames: what the rows and the plots are, and what is shown.

    Args:
        model_name: the model.
        data_name: where its sequences come from.
        note: what the plane of codes is, where that is not plain.
    """
    return (
        '<p class="note">The posterior uses the frames on both sides of a gap; the samples are whole videos '
        "that it holds possible, and each is imagined on from its own end, in green. Filtering knows only "
        "what came before. A frame is a point in the plane of codes: where frames are hidden the posterior "
        f"spreads over the paths that fit the others. {escape(note)} Alpha is the weight of each linear "
        "model in the mixture: a bounce is a switch between them. Orange marks hidden frames.</p>"
        f'<p class="note">Model: {escape(model_name)}. Video: {escape(data_name)}.</p>'
    )
