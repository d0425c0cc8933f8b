"""Films and strips of frames: what the model saw, what it made of it, what it imagined.

Pure functions from arrays to pictures. Frames are in [0, 1], grey [.., H, W] or in colour [.., H, W, 3],
shown without smoothing; time steps are counted from 1. Frames that a row was not made from have a coloured
border there.
"""

import io
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import imageio.v2 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kvae.data.masks import hidden_steps
from kvae.plots.look import METHODS, method_of
from kvae.system.files import replacing

HIDDEN_COLOUR = (240, 125, 0)
"""RGB of the border around a frame that was hidden from the model."""

BLANK_COLOUR = (222, 222, 222)
"""RGB of the cell of a row that has ended."""

NAN_COLOUR = (220, 0, 180)
"""RGB of pixels that are not a number, so that a diverged model is seen for what it is."""

_PAPER = (255, 255, 255)
_INK = (45, 45, 45)
_NOTE = (110, 110, 110)
_MARGIN = 10
_BORDER = 3
# Two borders side by side and a line of paper between them.
_GAP = 2 * _BORDER + 2
_LABEL_SIZE = 15
_SMALL_SIZE = 12
_FILM_CELL = 96
_STRIP_CELL = 56


def film(
    rows: Mapping[str, np.ndarray],
    observed: np.ndarray | Mapping[str, np.ndarray] | None = None,
    scale: int | None = None,
    complete: Collection[str] | None = None,
    there: np.ndarray | None = None,
) -> np.ndarray:
    """Film a grid of sequences: one row per label, one column per sequence.

    Args:
        rows: Label to frames [N, T_row, H, W] or [N, T_row, H, W, 3] in [0, 1]; values outside are
            clipped. Rows may differ in length: a row that has ended shows a grey cell.
        observed: [N, T_mask], 1 where the model saw the frame. At hidden steps the cells of the
            incomplete rows have a coloured border; steps after the mask's end count as hidden. Or label to
            such masks, where rows saw different frames.
        scale: Screen pixels per pixel; by default cells are about 96 screen pixels wide.
        complete: Labels of the rows that nothing was hidden from; by default the first, the truth.
        there: [N, T_there], 0 where nobody has the frame, which has the border in those rows too.

    Returns:
        The film, uint8 [T, height, width, 3], T the longest row; height and width are even, as
        video codecs want.

    Raises:
        ValueError: If ranks, numbers of sequences or sides of frames do not fit together.
    """
    rows = _checked_rows(rows, ("N", "T"))
    num_sequences = next(iter(rows.values())).shape[0]
    different = [label for label, frames in rows.items() if frames.shape[0] != num_sequences]
    if different:
        raise ValueError(
            "All rows must hold the same number of sequences. Received: "
            + ", ".join(f"{label!r} with {frames.shape[0]}" for label, frames in rows.items())
        )
    num_steps = max(frames.shape[1] for frames in rows.values())
    complete = [next(iter(rows))] if complete is None else complete
    missing = _missing(there, num_sequences, num_steps)
    hidden = _hidden(rows, observed, complete, missing)

    layout = _lay_out(
        labels=[*rows, f"t = {num_steps}"],
        num_rows=len(rows),
        num_columns=num_sequences,
        cell=_cell_size(next(iter(rows.values()))[0], scale, _FILM_CELL),
        legend_line=0 if any(of_row.any() for of_row in hidden.values()) else None,
    )
    canvas = np.repeat(layout.canvas[np.newaxis], num_steps, axis=0)
    for row, (label, frames) in enumerate(rows.items()):
        for column in range(num_sequences):
            border = hidden[label][column, : frames.shape[1]]
            _paste(canvas, layout, row, column, frames[column], border)
    for step in range(num_steps):
        left, top, width, height = layout.footer
        image = Image.new("RGB", (width, height), _PAPER)
        ImageDraw.Draw(image).text(
            (width, height // 2), f"t = {step + 1}", _INK, _font(_SMALL_SIZE), anchor="rm"
        )
        canvas[step, top : top + height, left : left + width] = np.asarray(image)
    return canvas


def strip(
    rows: Mapping[str, np.ndarray],
    observed: np.ndarray | Mapping[str, np.ndarray] | None = None,
    scale: int | None = None,
    complete: Collection[str] | None = None,
    first_step: int = 1,
    there: np.ndarray | None = None,
) -> np.ndarray:
    """Lay out one sequence as a picture: one row per label, time from left to right.

    Args:
        rows: Label to frames [T_row, H, W] or [T_row, H, W, 3] in [0, 1]; values outside are clipped.
            Rows may differ in length: after a row's end its cells are grey.
        observed: [T_mask], 1 where the model saw the frame. Hidden steps have a coloured border
            in the incomplete rows; steps after the mask's end count as hidden. Or label to such masks, where
            rows saw different frames.
        scale: Screen pixels per pixel; by default cells are about 56 screen pixels wide.
        complete: Labels of the rows that nothing was hidden from; by default the first, the truth.
        first_step: What the first step is called.
        there: [T_there], 0 where nobody has the frame, which has the border in the complete rows too.

    Returns:
        The picture, uint8 [height, width, 3]; height and width are even.

    Raises:
        ValueError: If ranks or sides of frames do not fit together.
    """
    rows = _checked_rows(rows, ("T",))
    num_steps = max(len(frames) for frames in rows.values())
    for mask in observed.values() if isinstance(observed, Mapping) else (observed,):
        if mask is not None and np.ndim(mask) != 1:
            raise ValueError(f"observed must have shape [T_mask]. Received: shape {np.shape(mask)}.")
    complete = [next(iter(rows))] if complete is None else complete
    missing = _missing(None if there is None else there[np.newaxis], 1, num_steps)
    of_one = {label: frames[np.newaxis] for label, frames in rows.items()}
    if isinstance(observed, Mapping):
        hidden = _hidden(
            of_one, {label: mask[np.newaxis] for label, mask in observed.items()}, complete, missing
        )
    else:
        hidden = _hidden(
            of_one, None if observed is None else np.asarray(observed)[np.newaxis], complete, missing
        )

    layout = _lay_out(
        labels=[*rows, "t"],
        num_rows=len(rows),
        num_columns=num_steps,
        cell=_cell_size(next(iter(rows.values())), scale, _STRIP_CELL),
        legend_line=1 if any(of_row.any() for of_row in hidden.values()) else None,
    )
    canvas = layout.canvas[np.newaxis].copy()
    for row, (label, frames) in enumerate(rows.items()):
        for step in range(len(frames)):
            border = hidden[label][0, step : step + 1]
            _paste(canvas, layout, row, step, frames[step : step + 1], border)

    image = Image.fromarray(canvas[0])
    draw = ImageDraw.Draw(image)
    font = _font(_SMALL_SIZE)
    left, top, width, height = layout.footer
    middle = top + height // 2
    draw.text((left + width, middle), "t", _INK, font, anchor="rm")
    widest = _text_width(str(num_steps + first_step - 1), font) + 4
    pitch = layout.cell[1] + _GAP
    # Small cells have no room for every number.
    every = -(-widest // pitch)
    for step in range(0, num_steps, every):
        centre = layout.lefts[step] + layout.cell[1] // 2
        draw.text((centre, middle), str(step + first_step), _INK, font, anchor="mm")
    return np.array(image)


def _hidden(
    rows: Collection[str],
    observed: np.ndarray | Mapping[str, np.ndarray] | None,
    complete: Collection[str],
    missing: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return for each row [N, T] bool, True where it was made without the frame."""
    if isinstance(observed, Mapping):
        return {label: hidden_steps(observed.get(label), *missing.shape) | missing for label in rows}
    hidden = hidden_steps(observed, *missing.shape) | missing
    return {label: missing if label in complete else hidden for label in rows}


def _missing(there: np.ndarray | None, num_sequences: int, num_steps: int) -> np.ndarray:
    """Return [N, T] bool, True where nobody has the frame."""
    missing = np.zeros((num_sequences, num_steps), bool)
    if there is not None:
        missing[:, : there.shape[1]] = there[:, :num_steps] == 0
    return missing


def write_mp4(path: str | os.PathLike, film: np.ndarray, fps: float = 10) -> None:
    """Write a film as MP4 (H.264, yuv420p: what browsers play), all of it or nothing.

    Args:
        path: The file, ending in `.mp4`; its folder is made where there is none.
        film: uint8 [T, height, width, 3], height and width even.
        fps: Frames per second, positive.

    Raises:
        ValueError: If the film's shape or type, `path` or `fps` cannot be used.
    """
    film = _checked_film(film, fps)
    if Path(path).suffix != ".mp4":
        raise ValueError(f"path must end in .mp4. Received: {os.fspath(path)!r}")
    if film.shape[1] % 2 or film.shape[2] % 2:
        raise ValueError(
            "The film's height and width must be even for H.264. "
            f"Received: {film.shape[1]} x {film.shape[2]}."
        )
    with (
        replacing(path) as temporary,
        imageio.get_writer(
            temporary,
            format="FFMPEG",
            mode="I",
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            quality=8,
            # The default, 16, stretches every picture to multiples of 16 pixels.
            macro_block_size=1,
            ffmpeg_log_level="error",
            # The index first: a browser shows the film before all of it has come.
            output_params=["-movflags", "+faststart"],
        ) as writer,
    ):
        for image in film:
            writer.append_data(image)  # type: ignore[attr-defined] # Not in the type of all writers.


def encode_gif(film: np.ndarray, fps: float = 10) -> bytes:
    """Encode a film as a GIF that plays for ever, with one palette for all frames.

    Args:
        film: uint8 [T, height, width, 3].
        fps: Frames per second, positive; GIF counts in hundredths of a second, at least two.

    Returns:
        The file's bytes. A frame equal to the one before it is stored as a longer pause.

    Raises:
        ValueError: If the film's shape or type or `fps` cannot be used.
    """
    film = _checked_film(film, fps)
    num_steps, height, width, _ = film.shape
    # One tall picture: its palette then serves every frame, and need not be stored with each.
    tall = Image.fromarray(film.reshape(num_steps * height, width, 3)).quantize(
        256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    images = [tall.crop((0, t * height, width, (t + 1) * height)) for t in range(num_steps)]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=10 * max(2, round(100 / fps)),
        loop=0,
    )
    return buffer.getvalue()


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a picture as PNG, all of it or nothing.

    Args:
        path: The file; its folder is made where there is none.
        image: uint8 [height, width, 3].

    Raises:
        ValueError: If the picture's shape or type cannot be used.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"image must be uint8 [height, width, 3]. Received: {image.dtype} with shape {image.shape}."
        )
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", optimize=True)


class _Layout(NamedTuple):
    """Where things stand on the canvas, in screen pixels.

    `canvas` [height, width, 3] holds all that does not move: labels, legend, blank cells. `footer`
    is left, top, width, height of the small text below the labels.
    """

    canvas: np.ndarray
    cell: tuple[int, int]
    tops: list[int]
    lefts: list[int]
    footer: tuple[int, int, int, int]


def _lay_out(
    labels: Sequence[str],
    num_rows: int,
    num_columns: int,
    cell: tuple[int, int],
    legend_line: int | None,
) -> _Layout:
    """Lay out a grid of cells [height, width]; the last label stands below the rows, in small."""
    font, small = _font(_LABEL_SIZE), _font(_SMALL_SIZE)
    line = round(1.5 * _SMALL_SIZE)
    label_width = max(
        *(_text_width(label, font) for label in labels[:num_rows]),
        *(_text_width(label, small) for label in (*labels[num_rows:], *map(_note_of, labels[:num_rows]))),
    )
    # Cells may be smaller than the text beside them.
    row_height = max(cell[0], round(1.2 * _LABEL_SIZE))
    left = _MARGIN + label_width + _MARGIN
    tops = [_MARGIN + row * (row_height + _GAP) + (row_height - cell[0]) // 2 for row in range(num_rows)]
    lefts = [left + column * (cell[1] + _GAP) for column in range(num_columns)]
    footer = (_MARGIN, _MARGIN + num_rows * (row_height + _GAP), label_width, line)

    legend = "not seen: filled in, or imagined"
    width = lefts[-1] + cell[1] + _MARGIN
    height = footer[1] + line + _MARGIN // 2
    if legend_line is not None:
        width = max(width, left + line + _text_width(legend, small) + _MARGIN)
        height += legend_line * line

    image = Image.new("RGB", (width + width % 2, height + height % 2), _PAPER)
    draw = ImageDraw.Draw(image)
    for label, top in zip(labels[:num_rows], tops, strict=True):
        middle, note = top + cell[0] // 2, _note_of(label)
        # A cell that is too low for two lines has the one.
        if note and row_height >= _LABEL_SIZE + _SMALL_SIZE + 4:
            draw.text((_MARGIN + label_width, middle + 9), note, _NOTE, small, anchor="rm")
            middle -= 7
        draw.text((_MARGIN + label_width, middle), label, _INK, font, anchor="rm")
        for cell_left in lefts:
            corner = (cell_left + cell[1] - 1, top + cell[0] - 1)
            draw.rectangle(((cell_left, top), corner), fill=BLANK_COLOUR)
    if legend_line is not None:
        middle = footer[1] + legend_line * line + line // 2
        box = (left, middle - 5, left + 10, middle + 5)
        draw.rectangle(box, outline=HIDDEN_COLOUR, width=_BORDER)
        draw.text((left + line, middle), legend, _INK, small, anchor="lm")
    return _Layout(np.array(image), cell, tops, lefts, footer)


def _note_of(label: str) -> str:
    """Return what is said in small below the label of a row; empty: nothing."""
    look = METHODS.get(method_of(label))
    return "decoded throughout" if look is not None and look.decodes else ""


def _paste(
    canvas: np.ndarray,
    layout: _Layout,
    row: int,
    column: int,
    frames: np.ndarray,
    border: np.ndarray,
) -> None:
    """Show frames [T, H, W] or [T, H, W, 3] in one cell of the canvas, with a border where asked."""
    (height, width), top, left = layout.cell, layout.tops[row], layout.lefts[column]
    canvas[
        np.flatnonzero(border),
        top - _BORDER : top + height + _BORDER,
        left - _BORDER : left + width + _BORDER,
    ] = HIDDEN_COLOUR
    if frames.ndim == 3:
        frames = np.repeat(frames[..., np.newaxis], 3, axis=-1)
    unknown = np.isnan(frames).any(axis=-1)
    pixels = np.rint(255 * np.clip(np.nan_to_num(frames), 0, 1)).astype(np.uint8)
    pixels[unknown] = NAN_COLOUR
    scale = height // frames.shape[1]
    canvas[: len(frames), top : top + height, left : left + width] = pixels.repeat(scale, axis=1).repeat(
        scale, axis=2
    )


def _checked_rows(rows: Mapping[str, np.ndarray], leading: Sequence[str]) -> dict[str, np.ndarray]:
    """Return rows as arrays of frames with these axes before their own."""
    axes = ", ".join(leading)
    shape = f"[{axes}, H, W] or [{axes}, H, W, 3]"
    rank = len(leading) + 2
    if not rows:
        raise ValueError(f"rows must map a label to frames {shape}. Received: no rows.")
    rows = {label: np.asarray(frames) for label, frames in rows.items()}
    for label, frames in rows.items():
        if frames.shape[rank:] not in ((), (3,)) or frames.ndim < rank or not frames.size:
            raise ValueError(
                f"Frames must have shape {shape}, each size at least 1. "
                f"Received: {label!r} with shape {frames.shape}."
            )
        # Values a little outside come from a Gaussian decoder; 0..255 is a mistake of the caller.
        if frames.dtype.kind in "iu" and frames.max() > 1:
            raise ValueError(
                "Frames must be in [0, 1]; divide bytes by 255. "
                f"Received: {label!r}, {frames.dtype} up to {frames.max()}."
            )
    sides = {label: frames.shape[rank - 2 : rank] for label, frames in rows.items()}
    if len({*sides.values()}) > 1:
        raise ValueError(
            "Frames of all rows must have the same sides. Received: "
            + ", ".join(f"{label!r} with {of_row}" for label, of_row in sides.items())
        )
    return rows


def _cell_size(frames: np.ndarray, scale: int | None, target: int) -> tuple[int, int]:
    """Return height and width of an enlarged frame of [T, H, W] or [T, H, W, 3]."""
    height, width = frames.shape[1:3]
    if scale is None:
        scale = max(1, round(target / max(height, width)))
    if scale != int(scale) or scale < 1:
        raise ValueError(f"scale must be a whole number, 1 or more. Received: {scale}")
    return height * int(scale), width * int(scale)


def _checked_film(film: np.ndarray, fps: float) -> np.ndarray:
    film = np.asarray(film)
    if film.ndim != 4 or film.shape[3] != 3 or film.dtype != np.uint8 or not film.size:
        raise ValueError(
            "film must be uint8 [T, height, width, 3], each size at least 1. "
            f"Received: {film.dtype} with shape {film.shape}."
        )
    if not fps > 0:
        raise ValueError(f"fps must be positive. Received: {fps}")
    return film


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text_width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return int(np.ceil(font.getlength(text)))
