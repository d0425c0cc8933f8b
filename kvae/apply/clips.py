"""One clip of anybody's, read as a model takes it."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kvae.apply import inputs
from kvae.data import identity
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.runs.options import read_identity
from kvae.videos.frames import EITHER, Look, has_colour, read_recording
from kvae.videos.sources import Source


class Clip(NamedTuple):
    """A clip of T frames.

    Attributes:
        frames: [T, H, W] or [T, H, W, 3] uint8, as the model takes them.
        there: [T] float32, 0 where nobody has the frame.
        controls: [S, M] or [S], as the clip's file has them; None: it has none.
        note: what became of its colours, for people; empty: nothing.
    """

    frames: NDArray[np.uint8]
    there: NDArray[np.float32]
    controls: NDArray | None
    note: str


def read(source: Source, model: SequenceAutoencoder, max_frames: int, rate: float, name: str) -> Clip:
    """Return the one clip of a source, cut and resized to the frames of a model.

    Args:
        source: what `kvae.videos.sources.find` returned.
        model: a built model.
        max_frames: most frames.
        rate: as for `kvae.videos.frames.clips_of`; 0: that of the model's run.
        name: what the note calls it.

    Raises:
        VideoError: as `kvae.videos.frames.read_recording`.
    """
    config = model.config
    height, width = model.frame_shape[:2]
    look = Look(height, width, config.is_binary, EITHER)
    found = read_recording(source, look, max_frames, rate or config.rate)
    channels = int(config.channels)
    in_colour = any(has_colour(frame) for frame in found.images[found.mask > 0])
    note = ""
    if in_colour and channels == 1:
        note = f"{name} is in colour: its frames are turned to grey, as the model was trained on such"
    if not in_colour and channels == 3:
        note = f"{name} is grey: its frames are taken as colour, with three channels alike"
    # Red, green and blue, and the grey of them.
    frames = found.images[..., 3] if channels == 1 else found.images[..., :3]
    return Clip(frames, found.mask, found.controls, note)


def controls_of(
    controls: NDArray,
    num_frames: int,
    num_future: int,
    model: SequenceAutoencoder,
    run_folder: str | os.PathLike,
    name: str,
) -> tuple[NDArray[np.float32] | None, str]:
    """Return controls as inputs of a model, and a note; None where the model takes none, as the note says.

    Args:
        controls: as read, [S, M] or [S]: inputs, or classes.
        num_frames: T, of the clip.
        num_future: frames after its end that controls may be of.
        model: a built model.
        run_folder: its folder, which knows what classes it learned from.
        name: of the file, for messages.

    Raises:
        InputError: as `kvae.apply.inputs.controls_of`.
    """
    config = model.config
    if config.learn_u or not config.use_controls:
        return None, f"controls of {name} left out: the model takes none of the data"
    classes = identity.classes_of(read_identity(run_folder))
    return inputs.controls_of(controls, num_frames, num_future, config.dim_u, classes, name), ""
