"""The page: what a person sees and clicks. Needs Gradio, of the extra `explore`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from kvae.data import masks
from kvae.explore import figures, html, words
from kvae.explore.session import MAX_FUTURE, Exploration, Look, middle
from kvae.plots.look import METHODS

_HERE = Path(__file__).parent
_FORCE_LIGHT = "() => document.body.classList.remove('dark')"
"""The plots are on white paper, so the page is too."""
_HIDE_PROBABILITY = 0.5
_SEEN_ROW = "model sees"


class Situation(NamedTuple):
    """What a person has chosen; all else follows from it.

    Attributes:
        sequence: its number, from 0.
        hidden: numbers of the hidden frames, from 0.
        seed: of all draws.
        future: steps to imagine on; 0 until that is asked for.
    """

    sequence: int
    hidden: tuple[int, ...]
    seed: int = 0
    future: int = 0

    def toggle(self, step: int) -> "Situation":
        """Hide a frame that is seen, show one that is hidden."""
        return self._replace(hidden=tuple(sorted({step} ^ set(self.hidden))))

    def hide_at_random(self, num_steps: int) -> "Situation":
        """Hide each frame after the first with a probability of a half, others in every call."""
        mask = masks.random_mask(1, num_steps, 1, _HIDE_PROBABILITY, [self.sequence, self.seed + 1])
        return self._replace(hidden=tuple(np.flatnonzero(mask[0] == 0).tolist()), seed=self.seed + 1)


def build(exploration: Exploration, model_name: str, data_name: str) -> gr.Blocks:
    """Return the page for a model and its sequences, by the names that it shows."""
    num_steps = exploration.num_steps
    start = Situation(0, middle(num_steps))
    script = (_HERE / "page.js").read_text()
    with gr.Blocks(title="KVAE: explore", analytics_enabled=False) as page:
        situation = gr.State(start)
        gr.HTML(words.heading(model_name, data_name))
        with gr.Row(equal_height=True):
            sequence = gr.Slider(
                1, exploration.num_sequences, 1, step=1, label="Sequence", scale=2, min_width=300
            )
            with gr.Row(equal_height=True, scale=3):
                hide_middle = gr.Button(f"Hide the middle {len(middle(num_steps))}", min_width=120, size="md")
                hide_random = gr.Button("Hide at random", min_width=120, size="md")
                show_all = gr.Button("Show all", min_width=90, size="md")
                again = gr.Button("Draw new samples", min_width=120, size="md")
        summary = gr.HTML(elem_id="summary")
        frames = gr.HTML(elem_id="frames", elem_classes="clickable", js_on_load=script)
        with gr.Row():
            with gr.Column():
                gr.HTML(words.codes(exploration.plane.note))
                codes = gr.HTML(elem_id="codes")
            with gr.Column():
                gr.HTML(words.ALPHA)
                alpha = gr.HTML(elem_id="alpha")
                gr.HTML(words.IMAGINE)
                with gr.Row(equal_height=True):
                    steps = gr.Slider(5, MAX_FUTURE, 40, step=5, label="Steps to go on", min_width=200)
                    imagine = gr.Button("Imagine on", variant="primary", min_width=120, size="md")
        future = gr.HTML(elem_id="future", js_on_load=script)

        outputs = [situation, summary, frames, codes, alpha, future]
        # One change after another, whichever button it comes from: each starts from the one before.
        common: dict[str, Any] = {
            "outputs": outputs,
            "show_progress": "hidden",
            "concurrency_id": "page",
            "concurrency_limit": 1,
        }

        def on(trigger: Callable[..., Any], change: Callable[..., Situation], *inputs: gr.Slider) -> None:
            def update(now: Situation, *values: float) -> Iterator[list[Any]]:
                then = change(now, *map(int, values))
                for shown in _shown(exploration, then):
                    yield [then, *shown]

            # Of many changes in a row, such as a slider's, the last is what counts.
            trigger(update, [situation, *inputs], trigger_mode="always_last", **common)

        def clicked(now: Situation, event: gr.EventData) -> Iterator[list[Any]]:
            then = now.toggle(int(event.step))
            for shown in _shown(exploration, then):
                yield [then, *shown]

        def choose(now: Situation, number: int) -> Situation:
            return now._replace(sequence=min(max(number, 1), exploration.num_sequences) - 1)

        on(page.load, lambda now: start)
        on(sequence.change, choose, sequence)
        on(hide_middle.click, lambda now: now._replace(hidden=middle(num_steps)))
        on(hide_random.click, lambda now: now.hide_at_random(num_steps))
        on(show_all.click, lambda now: now._replace(hidden=()))
        on(again.click, lambda now: now._replace(seed=now.seed + 1))
        on(imagine.click, lambda now, count: now._replace(future=count), steps)
        on(steps.change, lambda now, count: now._replace(future=count if now.future else 0), steps)
        # A click on another frame may come before the first is answered: both count.
        frames.click(clicked, situation, trigger_mode="multiple", **common)
    return page


def serve(page: gr.Blocks, port: int, browser: bool) -> None:
    """Start to serve the page, to this machine alone; return once it can be opened.

    Args:
        page: what `build` returned.
        port: a free one.
        browser: open the page in a browser.
    """
    page.queue(default_concurrency_limit=1).launch(
        server_name="127.0.0.1",
        server_port=port,
        inbrowser=browser,
        share=False,
        prevent_thread_lock=True,
        # Nothing of Gradio's own: no other server, no link outside.
        ssr_mode=False,
        footer_links=[],
        quiet=True,
        # Fonts of the system: others would be fetched.
        theme=gr.themes.Default(
            primary_hue="emerald", font=["system-ui", "sans-serif"], font_mono=["monospace"]
        ),
        css=(_HERE / "page.css").read_text(),
        js=_FORCE_LIGHT,
    )


def _shown(exploration: Exploration, now: Situation) -> Iterator[list[Any]]:
    """Yield what the page shows: summary, frames, codes, alpha and future, each in HTML.

    The frames come first: the plots take as long again.
    """
    look = exploration.look(now.sequence, now.hidden, now.seed)
    yield [words.frames(look), html.film(_rows(look), clickable=_SEEN_ROW), gr.skip(), gr.skip(), gr.skip()]
    future = exploration.imagine(look, now.future, now.seed) if now.future else None
    plane = figures.code_plane(exploration.plane, look, exploration.codes, future)
    imagined = ""
    if future is not None:
        none = np.zeros(now.future, bool)
        rows = [
            html.Row(f"imagined {i + 1}", images, none, figures.IMAGINED)
            for i, images in enumerate(future.images)
        ]
        imagined = html.film(rows, first_step=exploration.num_steps + 1)
    yield [
        gr.skip(),
        gr.skip(),
        html.picture(plane, "Codes of the sequence in the plane: encoded, filtered, and their posterior"),
        html.picture(figures.alpha_over_time(look), "Weights of the mixture over time"),
        imagined,
    ]


def _rows(look: Look) -> list[html.Row]:
    return [
        html.Row("truth", look.truth, look.missing, METHODS["truth"].colour, blank=True),
        html.Row(_SEEN_ROW, look.truth, look.hidden, blank=True),
        html.Row("posterior mean", look.filled, look.hidden, figures.POSTERIOR),
        html.Row("filtering", look.filtered, look.hidden, METHODS["filtering"].colour),
        *(html.Row(f"sample {i + 1}", frames, look.hidden) for i, frames in enumerate(look.samples)),
    ]
