"""Fill in and continue a clip of video by the model of a run: `python -m kvae.apply RUN_FOLDER CLIP`.

Imports no TensorFlow before the options are read, so that --help is quick.
"""

from kvae.system import command

if __name__ == "__main__":
    command.begin()

import math
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import tyro

from kvae.data.colour import per_pixel
from kvae.errors import UserError
from kvae.runs.options import model_file
from kvae.system import called
from kvae.videos.frames import seconds_of_step
from kvae.videos.sources import find, short_name

if TYPE_CHECKING:
    from kvae.apply.filling import Filled
    from kvae.models.autoencoder import SequenceAutoencoder
    from kvae.videos.sources import Source

_BLANK = 222 / 255
"""Grey of a frame that the model did not see."""
_LONGEST_STRIP = 40
"""Steps in the strip."""
_BEFORE = 4
"""Steps that a strip shows before what it is about."""
_FILM_CELL = 160
"""Screen pixels along the longer side of a frame of the film, at most, unless it has more itself."""
_FILM_HEIGHT = 760
"""Screen pixels of all rows together, about: a film that fits a screen."""
_FPS = 10
"""Frames a second of the film of a clip that does not say how many it has."""
_BYTES_OF_CELL = 250_000
"""Of the film, before it is compressed, with the label beside a cell."""


class ApplyError(UserError):
    """What was asked of a clip cannot be done; the message says why."""


@dataclass(frozen=True)
class Options:
    """Fill in hidden frames of a clip, and imagine how it goes on, by the model of a run; no training.

    The folder OUTPUT then holds filled.mp4, strip.png and filled.npz, whose arrays
    `kvae.apply.filling.Filled` describes.
    """

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN_FOLDER")]
    """The folder of a run, or the name of a trained model, such as box."""

    clip: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CLIP")]
    """A video (mp4, gif, avi, mov, webm), a folder of png or jpg, or an .npy, .npz or .h5 with [T, H, W] or
    [T, H, W, 3], whose `mask`, `controls` and `times` count too; cut and resized as the frames of the run."""

    hide: str = ""
    """Frames to hide and to fill in, counted from 1 as a player shows them: 8-15, or 8-15,20."""

    continue_: Annotated[int, tyro.conf.arg(name="continue")] = 0
    """Frames to imagine after the last one."""

    controls: str = ""
    """File of the clip's controls [T, dim_u], entry t acting on the way into frame t; or of more steps, with
    those that --continue imagines, which are zeros else. An .npy, .npz or .h5, or lines of numbers, .csv."""

    mask: str = ""
    """File of a mask [T] that is 0 where a frame is missing, of the same kinds: those frames are not looked
    at, and filled in."""

    rate: float = 0.0
    """Frames a second that the clip is read at, or a unit of its `times`. 0: that of the run, or as its times
    are spaced."""

    samples: int = 3
    """Whole sequences to show that the model holds possible, at most 16."""

    output: str = ""
    """Folder to write to, which must not be there yet. By default here, CLIP's name and _applied."""

    max_frames: int = 1000
    """Most frames, those imagined included; memory and time grow with them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code, see `kvae.system.command`."""
    return command.run(lambda signals: _run(_read_options(arguments)))


def _read_options(arguments: Sequence[str] | None) -> Options:
    return tyro.cli(Options, prog=called.command("apply"), args=arguments, use_underscores=True)


def _run(options: Options) -> None:
    _check(options)
    output = Path(options.output or f"{short_name(options.clip)}_applied")
    if output.exists():
        raise ApplyError(f"There is a {output} already: choose another --output, or delete it")
    sources = find(options.clip)
    if len(sources) > 1:
        raise ApplyError(f"{options.clip} holds {len(sources)} videos: give one of them")
    model_file(options.run_folder)
    from kvae.apply.filling import fill
    from kvae.data.archives import free_memory
    from kvae.plots import films
    from kvae.runs.load import load
    from kvae.system import files

    model = load(options.run_folder)
    height, width = model.frame_shape[:2]
    clip = _read(options, sources[0], model)
    frames, observed = clip.frames, clip.observed
    num_steps = len(frames) + options.continue_
    num_rows = options.samples + 3
    needed = num_steps * (num_rows * _BYTES_OF_CELL + 8 * (num_rows + 5) * math.prod(model.frame_shape))
    if needed > free_memory():
        raise ApplyError(
            f"{num_steps:,} frames would take {needed / 1e9:.1f} GB, more than the memory that is free: cut "
            "the clip, or choose a smaller --continue"
        )
    seen = model.pixels(frames).numpy()
    found = fill(model, frames, observed, options.continue_, options.samples, controls=clip.controls)

    rows = _rows(seen, found, clip.there)
    scale = max(1, min(_FILM_CELL, _FILM_HEIGHT // len(rows)) // max(height, width))
    film = films.film(
        {label: row[None] for label, row in rows.items()},
        {label: mask[None] for label, mask in _seen_by(rows, found.observed, clip.there).items()},
        scale,
    )
    step = seconds_of_step(sources[0], options.rate or model.config.rate)
    films.write_mp4(output / "filled.mp4", film, 1 / step if step else _FPS)
    for name, first in _strips(found.observed, len(seen)).items():
        part = slice(first, first + _LONGEST_STRIP)
        # A row that has ended before the strip begins has nothing to show in it.
        shown = {label: row[part] for label, row in rows.items() if len(row) > first}
        seen_by = _seen_by(shown, found.observed, clip.there)
        strip = films.strip(
            shown, {label: mask[part] for label, mask in seen_by.items()}, first_step=first + 1
        )
        films.write_png(output / name, strip)
    with files.replacing(output / "filled.npz") as temporary:
        np.savez_compressed(temporary, **found._asdict())
    filled, missing = int((observed == 0).sum()), int((clip.there == 0).sum())
    words = f" ({missing} were missing)" if missing else ""
    print(
        f"{options.clip}: {len(frames)} frames, {filled} of them filled in{words}, {options.continue_} "
        f"imagined.\nFilm, strip and numbers are in {output}"
    )
    if filled > missing:
        of_filled, of_last = errors_on_hidden(seen, found.images[: len(seen)], observed, clip.there)
        print(
            f"A hidden pixel, if the clip is sound, was filled in with an error (RMS) of {of_filled:.3f}; "
            f"the last frame seen, shown on, has {of_last:.3f}"
        )


class _Clip(NamedTuple):
    """A clip of T frames: what a model is given, `there` [T] as far as anybody has it."""

    frames: np.ndarray
    there: np.ndarray
    observed: np.ndarray
    controls: np.ndarray | None


def _read(options: Options, source: "Source", model: "SequenceAutoencoder") -> _Clip:
    """Return the clip as a model takes it, with what it says of itself or files beside it do.

    Raises:
        UserError: a file cannot be used, or nothing of the clip is left to see, or to do.
    """
    from kvae.apply import clips, inputs

    found = clips.read(source, model, options.max_frames - options.continue_, options.rate, str(options.clip))
    num_frames, there = len(found.frames), found.there
    if options.mask:
        mask = inputs.read_array(Path(options.mask), "mask")
        there = there * inputs.mask_of(mask, num_frames, options.mask)
    observed = there.copy()
    observed[hidden_frames(options.hide, num_frames)] = 0
    if observed.all() and not options.continue_:
        raise ApplyError(
            "There is nothing to do, as no frame is missing: say which to --hide, or how many to --continue"
        )
    if not observed.any():
        raise ApplyError(f"None of the {num_frames} frames is left to see: all are hidden, or missing")
    if found.note:
        print(found.note)
    return _Clip(found.frames, there, observed, _controls_of(options, found.controls, num_frames, model))


def _controls_of(
    options: Options, controls: np.ndarray | None, num_frames: int, model: "SequenceAutoencoder"
) -> np.ndarray | None:
    """Return the controls of a clip as inputs of the model; those of --controls win over its own."""
    from kvae.apply import clips, inputs

    name = options.controls or str(options.clip)
    if options.controls:
        controls = inputs.read_array(Path(options.controls), "controls")
    if controls is None:
        return None
    taken, note = clips.controls_of(controls, num_frames, options.continue_, model, options.run_folder, name)
    if note:
        print(f"Warning: {note}", file=sys.stderr)
    return taken


def hidden_frames(ranges: str, num_frames: int) -> list[int]:
    """Return the indices, from 0, of frames that are written as 8-15,20, counted from 1, ends included.

    Raises:
        ApplyError: it is written otherwise, a frame is not there, or none is left to see.
    """
    hidden: set[int] = set()
    for part in filter(None, ranges.split(",")):
        found = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part)
        if not found:
            raise ApplyError(f"--hide must be ranges of frames such as 8-15,20. Received: {ranges!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= num_frames:
            raise ApplyError(f"--hide must name frames of 1 to {num_frames}, in order. Received: {part!r}")
        hidden.update(range(first - 1, last))
    if len(hidden) == num_frames:
        raise ApplyError(f"--hide {ranges} leaves none of the {num_frames} frames to see")
    return sorted(hidden)


def errors_on_hidden(
    truth: np.ndarray, filled: np.ndarray, observed: np.ndarray, there: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the root mean squared errors of hidden frames: as filled in, and as the last frame seen.

    Args:
        truth: [T, H, W] or [T, H, W, 3], pixels in [0, 1].
        filled: as the truth.
        observed: [T], 1 = observed; some frame is hidden, and some is not. Before the first that is seen,
            that one stands for the last.
        there: [T], 0 where nobody has the frame, which is not judged; None: all are.
    """
    steps = np.arange(len(observed))
    last = np.maximum.accumulate(np.where(observed > 0, steps, np.argmax(observed > 0)))
    hidden = observed == 0 if there is None else (observed == 0) & (there > 0)
    of_filled, of_last = (
        float(np.sqrt(np.mean((frames - truth)[hidden] ** 2))) for frames in (filled, truth[last])
    )
    return of_filled, of_last


def _check(options: Options) -> None:
    for name, value, least, most in (
        ("continue", options.continue_, 0, 100_000),
        ("samples", options.samples, 0, 16),
        ("max_frames", options.max_frames, 1, 1_000_000),
        ("rate", options.rate, 0, 1e9),
    ):
        if not least <= value <= most:
            raise ApplyError(f"--{name} must be between {least} and {most}. Received: {value}")
    if options.continue_ >= options.max_frames:
        raise ApplyError(
            f"--continue {options.continue_} leaves no frame of --max_frames {options.max_frames} to the clip"
        )


def _rows(seen: np.ndarray, found: "Filled", there: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of film and strip, of T or T + N frames, by label; the truth where any is hidden."""
    observed = found.observed[: len(seen)]
    largest = float(found.uncertainty.max())
    rows = {"truth": _blanked(seen, there)} if (there > observed).any() else {}
    rows |= {
        "model sees": _blanked(seen, observed),
        "filled in": found.images,
        # As bright as it gets: of a good model it is small.
        f"uncertainty (white: {largest:.2g})": found.uncertainty / (largest or 1),
    }
    return rows | {f"sample {i}": sample for i, sample in enumerate(found.samples, start=1)}


def _blanked(frames: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return frames [T, ...] in grey where `shown` [T] is 0."""
    return np.where(per_pixel(shown, frames) > 0, frames, np.float32(_BLANK))


def _seen_by(rows: Collection[str], observed: np.ndarray, there: np.ndarray) -> dict[str, np.ndarray]:
    """Return the frames that each row was made from: of the truth those that are there, else those seen."""
    return {label: there if label == "truth" else observed for label in rows}


def _strips(observed: np.ndarray, num_frames: int) -> dict[str, int]:
    """Return name and first step, from 0, of the strips.

    One is around the first hidden frame; where that does not reach what is imagined, another begins a little
    before the end of the clip.
    """
    most = max(0, len(observed) - _LONGEST_STRIP)
    first = min(max(0, int(np.argmin(observed)) - _BEFORE), most)
    strips = {"strip.png": first}
    if first < most and len(observed) > num_frames:
        strips["strip_imagined.png"] = max(0, num_frames - _BEFORE)
    return strips


if __name__ == "__main__":
    sys.exit(main())
