"""How the page looks. Knows no Gradio."""

from pathlib import Path

from kvae.explore.figures import HIDDEN, IMAGINED


def css() -> str:
    """Return the style of the page, with the colours that all pictures have."""
    colours = f":root {{ --hidden: {HIDDEN}; --imagined: {IMAGINED}; }}\n"
    return colours + Path(__file__).with_name("page.css").read_text()
