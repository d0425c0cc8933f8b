"""The page: what a person sees and clicks. Needs Gradio, of the extra `explore`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from kvae.explore import style, words
from kvae.explore.answers import NUM_IMAGINED, Answers, Parts
from kvae.explore.shelf import Shelf
from kvae.explore.situation import Situation
from kvae.videos.sources import ARRAY_SUFFIXES, FILM_SUFFIXES, VIDEO_SUFFIXES

_LARGEST_CLIP = "200mb"


def build(shelf: Shelf) -> gr.Blocks:
    """Return the page for models and their sequences."""
    answers = Answers(shelf)
    with gr.Blocks(title="KVAE: explore", analytics_enabled=False) as page:
        gr.HTML(words.heading(shelf.names))
        with gr.Row(elem_id="tools"):
            fields = _fields(shelf)
            buttons = _buttons()
        parts = {"situation": gr.State(answers.start), **fields, **_shown()}
        _answer(page, answers, parts, buttons)
    return page


def _fields(shelf: Shelf) -> dict[str, gr.Dropdown | gr.Number]:
    """Make what is chosen or typed."""
    label = "Model, or folder of a run" if shelf.any_folder else "Model"
    return {
        "model": gr.Dropdown(
            shelf.names,
            value=shelf.first,
            label=label,
            allow_custom_value=shelf.any_folder,
            min_width=140,
            scale=2,
        ),
        # Numbers out of range are put right by the answer: Gradio would refuse them with a traceback.
        "sequence": gr.Number(1, label="Sequence", precision=0, min_width=100),
        "steps": gr.Number(NUM_IMAGINED, label="Steps to go on", precision=0, min_width=100),
    }


def _buttons() -> dict[str, gr.Button | gr.UploadButton]:
    suffixes = sorted({*VIDEO_SUFFIXES, *ARRAY_SUFFIXES, *FILM_SUFFIXES})
    return {
        "imagine": gr.Button("Imagine on", variant="primary", min_width=105, size="md"),
        "hide_middle": gr.Button("Hide the middle", min_width=120, size="md"),
        "hide_random": gr.Button("Hide at random", min_width=120, size="md"),
        "show_all": gr.Button("Show all", min_width=80, size="md"),
        "draw_anew": gr.Button("Draw new samples", min_width=135, size="md"),
        "clip": gr.UploadButton("Bring a clip", file_types=suffixes, min_width=105, size="md"),
    }


def _shown() -> dict[str, gr.HTML]:
    """Make what answers are shown in: plots beside the frames where there is room."""
    found = {"status": gr.HTML(elem_id="status")}
    script = Path(__file__).with_name("page.js").read_text()
    with gr.Row(elem_id="shown"):
        with gr.Column(scale=9, min_width=500):
            found["summary"] = gr.HTML(elem_id="summary")
            found["frames"] = gr.HTML(elem_id="frames", elem_classes="clickable", js_on_load=script)
            found["about"] = gr.HTML(elem_id="about")
        with gr.Column(scale=5, min_width=340):
            found |= {name: gr.HTML(elem_id=name) for name in ("codes", "alpha")}
    return found


def _answer(page: gr.Blocks, answers: Answers, parts: dict[str, Any], buttons: dict[str, Any]) -> None:
    """Let the page answer what a person does."""
    situation = parts["situation"]

    def told(found: Iterator[Parts]) -> Iterator[dict[Any, Any]]:
        for of_page in found:
            yield {
                parts[name]: gr.update(**value) if isinstance(value, dict) else value
                for name, value in of_page.items()
            }

    # One change after another, whichever button it comes from: each starts from the one before.
    common: dict[str, Any] = {
        "outputs": list(parts.values()),
        "show_progress": "hidden",
        "concurrency_id": "page",
        "concurrency_limit": 1,
    }

    def on(trigger: Callable[..., Any], answer: Callable[..., Iterator[Parts]], *inputs: Any) -> None:
        def update(now: Situation, *values: Any) -> Iterator[dict[Any, Any]]:
            yield from told(answer(now, *values))

        # Of many changes in a row, such as those of a number that is typed, the last is what counts.
        trigger(update, [situation, *inputs], trigger_mode="always_last", **common)

    def changed(change: Callable[..., tuple[Situation, Parts]]) -> Callable[..., Iterator[Parts]]:
        return lambda *given: answers.shown(*change(*given))

    def opened(request: gr.Request) -> Iterator[dict[Any, Any]]:
        yield from told(answers.opened(dict(request.query_params)))

    def clicked(now: Situation, event: gr.EventData) -> Iterator[dict[Any, Any]]:
        yield from told(answers.shown(*answers.click(now, event.step)))

    page.load(opened, None, **common)
    # A click on another frame may come before the first is answered: both count.
    parts["frames"].click(clicked, situation, trigger_mode="multiple", **common)
    on(parts["model"].input, answers.choose_model, parts["model"])
    on(buttons["clip"].upload, answers.bring_clip, buttons["clip"])
    on(parts["sequence"].input, changed(answers.choose_sequence), parts["sequence"])
    on(parts["steps"].input, changed(answers.choose_steps), parts["steps"])
    on(buttons["imagine"].click, changed(answers.imagine), parts["steps"])
    for name in ("hide_middle", "hide_random", "show_all", "draw_anew"):
        on(buttons[name].click, changed(getattr(answers, name)))


def serve(page: gr.Blocks, address: str, port: int, browser: bool) -> None:
    """Start to serve the page; return once it can be opened.

    Args:
        page: what `build` returned.
        address: 127.0.0.1: to this machine alone.
        port: a free one.
        browser: open the page in a browser.
    """
    page.queue(default_concurrency_limit=1).launch(
        server_name=address,
        server_port=port,
        inbrowser=browser,
        share=False,
        prevent_thread_lock=True,
        max_file_size=_LARGEST_CLIP,
        # Nothing of Gradio's own: no other server, no link outside.
        ssr_mode=False,
        footer_links=[],
        quiet=True,
        theme=_theme(),
        css=style.css(),
    )


def _theme() -> gr.themes.Base:
    # Fonts of the system: others would be fetched.
    # White on a lighter green is hard to read.
    green = {
        f"button_primary_{part}{mode}": colour
        for part, colour in (
            ("background_fill", "*primary_700"),
            ("background_fill_hover", "*primary_800"),
            ("text_color", "white"),
        )
        for mode in ("", "_dark")
    }
    fonts = ["system-ui", "sans-serif"]
    return gr.themes.Default(primary_hue="emerald", font=fonts, font_mono=["monospace"]).set(**green)
