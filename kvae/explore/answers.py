"""What the page answers to what a person does: a new situation, and what is shown of it. Knows no Gradio."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kvae.errors import UserError
from kvae.explore import figures, html, rows, words
from kvae.explore.session import Exploration
from kvae.explore.shelf import Shelf
from kvae.explore.situation import MAX_FUTURE, Situation, clamped, in_words, middle

NUM_IMAGINED = 40
"""Steps that are offered to be imagined on."""

Parts = dict[str, Any]
"""What changes on the page, by the names of its parts: HTML, a value, or the properties of a field."""


class Answers:
    """The answers of a page; each begins with what is shown first, as plots take as long again as frames.

    A change returns the situation after it, and what fields are to say then: of what was typed only what is
    out of range is put right, as somebody may be typing on.

    Args:
        shelf: the models, and what they are shown.
    """

    def __init__(self, shelf: Shelf):
        self._shelf = shelf
        self.start = Situation(shelf.first)

    def opened(self, given: Mapping[str, str]) -> Iterator[Parts]:
        """Yield the page as its address says; `given` are the parameters of that, whoever wrote them."""
        name = given.get("model", self.start.model)
        problem = ""
        if name not in self._shelf.names:
            problem = f"There is no model {name!r} here. This is {self.start.model}"
            given, name = {}, self.start.model
        try:
            if not self._shelf.has_ready(name):
                yield {"status": words.loading(name)}
            for parts in self.shown(*self.begin(name, given)):
                yield parts | {"status": words.problem(problem)}
        except UserError as error:
            yield {"status": words.problem(str(error))}

    def shown(self, then: Situation, fields: Parts) -> Iterator[Parts]:
        """Yield what the page shows of a situation, with what fields are to say."""
        exploration, data_name = self._shelf.shown(then.model, then.clip)
        look = exploration.look(then.sequence, then.hidden, then.seed)
        future = exploration.imagine(look, then.future, then.seed) if then.future else None
        yield {
            **fields,
            "situation": then,
            "status": "",
            "summary": words.frames(look, exploration.model.config.is_binary),
            "frames": html.film(rows.of(look, future), rows.CLICKABLE, then.query()),
            "about": words.about(then.model, data_name, exploration.plane.note),
        }
        plane = figures.code_plane(exploration.plane, look, exploration.codes, future)
        of_codes = figures.codes_in_words(in_words(look.hidden), future is not None)
        of_alpha = figures.alpha_in_words(look.alpha, in_words(look.hidden))
        yield {
            "codes": "<h2>Codes</h2>" + html.plot(plane, of_codes),
            "alpha": "<h2>Alpha</h2>" + html.plot(figures.alpha_over_time(look), of_alpha),
        }

    def begin(self, name: str, given: Mapping[str, str], clip: str = "") -> tuple[Situation, Parts]:
        """Show a model, as an address says; or a clip that was brought, by its file.

        Raises:
            UserError: there is no such model, or no sequences for it, or it cannot take the clip.
        """
        exploration = self._shelf.shown(name, clip).exploration
        count = exploration.num_sequences
        then = Situation.of(given, name, count, exploration.num_steps)._replace(clip=clip)
        return then, {
            "model": {"value": name, "choices": self._shelf.names},
            "sequence": {"value": then.sequence + 1, "label": f"Sequence of {count}"},
            "steps": then.future or NUM_IMAGINED,
        }

    def choose_model(self, now: Situation, name: str | None) -> Iterator[Parts]:
        """Yield another model with its own sequences; where there is none, what is wrong."""
        yield from self._begun(now, (name or now.model).strip(), "")

    def bring_clip(self, now: Situation, file: str) -> Iterator[Parts]:
        """Yield a clip of somebody's; where the model cannot take it, what is wrong."""
        yield from self._begun(now, now.model, file)

    def _begun(self, now: Situation, name: str, clip: str) -> Iterator[Parts]:
        if not self._shelf.has_ready(name, clip):
            yield {"status": words.loading(name)}
        try:
            yield from self.shown(*self.begin(name, {}, clip))
        except UserError as error:
            # All is as it was. Where a clip lies is nobody's business.
            message = str(error).replace(clip, Path(clip).name) if clip else str(error)
            yield {"status": words.problem(message), "model": now.model}

    def choose_sequence(self, now: Situation, number: float | None) -> tuple[Situation, Parts]:
        """Show another sequence, counted from 1."""
        count = self._exploration(now).num_sequences
        chosen = clamped(number, 1, count, now.sequence + 1)
        return now._replace(sequence=chosen - 1), _put_right("sequence", number, chosen)

    def imagine(self, now: Situation, number: float | None) -> tuple[Situation, Parts]:
        """Imagine so many steps on; none with 0."""
        chosen = clamped(number, 0, MAX_FUTURE, now.future or NUM_IMAGINED)
        return now._replace(future=chosen), _put_right("steps", number, chosen)

    def choose_steps(self, now: Situation, number: float | None) -> tuple[Situation, Parts]:
        """Imagine so many steps on, if anything is imagined."""
        then, fields = self.imagine(now, number)
        return (then if now.future else now), fields

    def click(self, now: Situation, step: float) -> tuple[Situation, Parts]:
        """Hide a frame, counted from 0, or show it again."""
        return now.toggle(clamped(step, 0, self._exploration(now).num_steps - 1, 0)), {}

    def hide_middle(self, now: Situation) -> tuple[Situation, Parts]:
        """Hide the middle of the sequence, and nothing else."""
        return now._replace(hidden=middle(self._exploration(now).num_steps)), {}

    def hide_random(self, now: Situation) -> tuple[Situation, Parts]:
        """Hide frames at random."""
        return now.hide_at_random(self._exploration(now).num_steps), {}

    def show_all(self, now: Situation) -> tuple[Situation, Parts]:
        """Hide nothing."""
        return now._replace(hidden=()), {}

    def draw_anew(self, now: Situation) -> tuple[Situation, Parts]:
        """Draw other samples."""
        return now.drawn_anew(), {}

    def _exploration(self, now: Situation) -> Exploration:
        return self._shelf.shown(now.model, now.clip).exploration


def _put_right(field: str, typed: float | None, chosen: int) -> Parts:
    return {} if typed is None or typed == chosen else {field: chosen}
