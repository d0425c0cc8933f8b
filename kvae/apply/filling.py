"""Fill in one clip, and imagine how it goes on: draws from the posterior of a trained model.

Frames [.., H, W] are [.., H, W, 3] of a model in colour.

A draw is a path of hidden codes and, given that, states z_1..z_T of the whole clip, see
`kvae.inference.posterior`. It goes on from its own last state, and from the alpha network's state after
its own codes, with all the noise of the model: so the draws of a continuation spread as the model's
predictions do.
"""

from typing import NamedTuple

import numpy as np

from kvae import arguments
from kvae.config.options import LATENT
from kvae.data.colour import per_pixel
from kvae.errors import UserError
from kvae.inference.posterior import Continuation, Posterior
from kvae.models.arguments import check_sides
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.kvae import KVAE
from kvae.models.seeds import SeedLike

NUM_DRAWS = 64


class FillingError(UserError):
    """A clip cannot be filled in so; the message says why."""


class Filled(NamedTuple):
    """A clip of T frames, filled in, and N frames that go on from it; all float32.

    Attributes:
        images: [T + N, H, W] in [0, 1]: frames that were seen as the model saw them; else the mean over draws
            of what C_t z_t decodes to, the probability (Bernoulli) or the mean (Gaussian) of a pixel.
        uncertainty: [T + N, H, W], the standard deviation over draws of what they decode to; 0 in frames that
            were seen. The noise of a pixel given its code is not in it: not p (1 - p) of a Bernoulli pixel,
            not the variance of a Gaussian one.
        samples: [S, T + N, H, W], single draws, decoded; frames that were seen are as in `images`.
        codes: [T + N, dim_a], means of C_t z_t; in seen steps smoothed, too. Up to T each draw's mean is
            exact given its path, after it they are means over draws.
        code_cov: [T + N, dim_a, dim_a], covariances of C_t z_t, within and between the draws.
        code_stddev: [T + N, dim_a], the roots of its diagonals.
        observed: [T + N], 1 where the frame was seen.
    """

    images: np.ndarray
    uncertainty: np.ndarray
    samples: np.ndarray
    codes: np.ndarray
    code_cov: np.ndarray
    code_stddev: np.ndarray
    observed: np.ndarray


def fill(
    model: SequenceAutoencoder,
    frames: np.ndarray,
    observed: np.ndarray,
    num_steps: int = 0,
    num_samples: int = 3,
    num_draws: int = NUM_DRAWS,
    seed: SeedLike | None = None,
    controls: np.ndarray | None = None,
) -> Filled:
    """Fill in the hidden frames of a clip, and go on from its end.

    Args:
        model: a trained `KVAE`; rivals of it cannot do this.
        frames: [T, H, W]: 0..255 if they are integers, else in [0, 1]. What is hidden is not looked at.
        observed: [T], 1 where the model may see the frame.
        num_steps: N, frames to imagine after the last one.
        num_samples: S, at most `num_draws`.
        num_draws: draws behind every mean, at least 2.
        seed: of the draws; None: others at every call.
        controls: [T, dim_u], entry t acting on the way into frame t; or of up to T + N frames, with those to
            come, which are zeros else. None: zeros. A model that learns its own looks at none.

    Returns:
        A `Filled`.

    Raises:
        FillingError: the model is no `KVAE`.
        FitError: the clip's frames have other sides than the model's.
        ArgumentError: frames, mask or controls are none, or a number is out of range.
    """
    if not isinstance(model, KVAE):
        kind = model.config.model
        why = "is there to be compared with" if kind in LATENT else "looks back alone"
        raise FillingError(
            f"A model of the kind {kind} {why}: it cannot fill in a gap of a clip from both sides and go on "
            "from there. Give a run of --model kvae"
        )
    num_steps = arguments.count(num_steps, "num_steps")
    num_draws = arguments.count(num_draws, "num_draws", 2)
    num_samples = arguments.count(num_samples, "num_samples", 0, num_draws)
    frames = np.asarray(arguments.shaped_frames(frames, "frames", rank=3))
    observed = np.asarray(arguments.mask(observed, frames.shape[:1], "observed"))
    arguments.frames(frames, observed, "frames", rank=3)
    check_sides(model.frame_shape, frames.shape[1:])
    seen = np.pad((observed > 0).astype(np.float32), [(0, num_steps)])
    pixels = model.pixels(frames).numpy()
    # Whatever stood there, a number that is none for example, must not reach the networks.
    pixels = np.where(per_pixel(seen[: len(frames)], frames) > 0, pixels, np.float32(0))
    seeds = model.seeds(seed)
    codes = model.codes(pixels[None], seeds)
    num_paths = model.config.num_paths
    of_all = _controls(controls, len(frames), num_steps, model.config.dim_u)
    of_clip = None if of_all is None else of_all[:, : len(frames)]
    given = (codes, seen[None, : len(frames)], of_clip)
    found = model.sample_posterior(*given, num_paths, num_draws, next(seeds))
    drawn = model.continue_posterior(found.sampled_states, found.paths, len(seen), next(seeds), of_all)

    shown = np.pad(pixels, [(0, num_steps)] + [(0, 0)] * len(model.frame_shape))
    is_seen = per_pixel(seen, shown) > 0
    mean, stddev, samples = _pictures(model, drawn.sampled_codes[0].numpy(), num_samples)
    code_mean, code_cov = _moments(found, drawn)
    code_stddev = np.sqrt(np.maximum(np.diagonal(code_cov, axis1=-2, axis2=-1), 0))
    images, uncertainty = np.where(is_seen, shown, mean), np.where(is_seen, 0, stddev)
    arrays = (images, uncertainty, np.where(is_seen, shown, samples), code_mean, code_cov, code_stddev, seen)
    return Filled(*(array.astype(np.float32) for array in arrays))


def _controls(controls: np.ndarray | None, num_frames: int, num_steps: int, dim_u: int) -> np.ndarray | None:
    """Return controls [1, S, dim_u] of a clip and of what comes after it."""
    if controls is None:
        return None
    array = np.asarray(arguments.array_of(controls, (None, dim_u), "controls", "[T, dim_u]"))
    if not num_frames <= len(array) <= num_frames + num_steps:
        raise arguments.ArgumentError(
            f"controls must be [T, dim_u], T = {num_frames}, or up to {num_frames + num_steps} with those to "
            f"come. Received: shape {array.shape}"
        )
    return array[None]


def _pictures(
    model: KVAE, sampled: np.ndarray, num_samples: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and standard deviation [T + N, H, W] of what D draws decode to, and S of them.

    Args:
        model: what decodes.
        sampled: [D, T + N, dim_a].
        num_samples: S.
    """
    num_draws, num_steps, _ = sampled.shape
    # Evenly spaced, as neighbours among the draws may come from the same path.
    chosen = [i * num_draws // num_samples for i in range(num_samples)]
    samples = np.zeros([num_samples, num_steps, *model.frame_shape], np.float32)
    mean, squares = np.zeros(samples.shape[1:]), np.zeros(samples.shape[1:])
    for i, codes in enumerate(sampled):
        decoded = model.decoded_images(codes[None])[0].numpy()
        if i in chosen:
            samples[chosen.index(i)] = decoded
        # Welford's running moments: as good as two passes, without all draws in memory.
        deviation = decoded - mean
        mean += deviation / (i + 1)
        squares += deviation * (decoded - mean)
    return mean, np.sqrt(squares / num_draws), samples


def _moments(found: Posterior, drawn: Continuation) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [T + N, dim_a] and covariance [T + N, dim_a, dim_a] of C_t z_t over draws."""
    exact, cov_of_draw, sampled = (
        tensor[0].numpy().astype(np.float64) for tensor in (found.codes, found.code_cov, drawn.sampled_codes)
    )
    num_seen = exact.shape[1]
    centres = np.concatenate([exact, sampled[:, num_seen:]], axis=1)
    mean = centres.mean(axis=0)
    deviation = centres - mean
    cov = np.einsum("dti,dtj->tij", deviation, deviation) / len(centres)
    # The law of total variance; after the end the draws alone tell how they spread.
    cov[:num_seen] += cov_of_draw.mean(axis=0)
    return mean, cov
