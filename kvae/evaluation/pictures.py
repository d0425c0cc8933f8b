"""The films, strips and plots of a model on a few test sequences."""

from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from kvae.data import masks
from kvae.data.dataset import Dataset
from kvae.evaluation.bounces import bounces
from kvae.evaluation.motion import NUM_JUDGED, Motion, motion_of
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.models.outputs import Decoded
from kvae.plots import figures, films, look
from kvae.runs.run_folder import RunFolder

NUM_SEQUENCES = 4
NUM_SAMPLES = 4
"""Samples of each of them in a film."""


_CODES = {
    "reconstruction": "encoded",
    "generation": "generated",
    "smoothing": "smoothed",
    "sampling": "sampled",
}
"""Whose codes are plotted, and under which name."""


def draw(
    model: SequenceAutoencoder, dataset: Dataset, folder: RunFolder, step: int, prefix: str = ""
) -> None:
    """Draw every film, strip and plot of a model, on the first test sequences.

    Args:
        model: a `KVAE` or a rival, see `kvae.models.rivals`.
        dataset: the test data.
        folder: the `RunFolder` to write to.
        step: updates completed, TensorBoard's time.
        prefix: of the file names.
    """
    config = model.config
    images = dataset.images[:NUM_SEQUENCES]
    controls = dataset.controls[:NUM_SEQUENCES] if dataset.controls.shape[-1] else None
    num_sequences, num_steps = images.shape[:2]
    there = None if dataset.mask is None else dataset.mask[:NUM_SEQUENCES]
    asked = masks.planning_mask(num_sequences, num_steps, config.t_init_mask, config.t_steps_mask)
    observed = asked if there is None else masks.both(asked, there)
    assert observed is not None
    truth = model.pixels(images).numpy()
    found = _decoded(model, images, observed, controls, there)

    if "sampling" in found:
        # Whole sequences that the model holds possible, the mean of which it imputes.
        samples = found["sampling"].samples.images.numpy()
        rows = {"truth": truth} | {f"sample {i + 1}": samples[:, i] for i in range(NUM_SAMPLES)}
        folder.add_film("samples", films.film(rows, observed, there=there), step, prefix)
    rows = {"truth": truth} | {label: found[label].images.numpy() for label in look.METHODS if label in found}
    seen_by = _seen_by(rows, observed, config.t_init_mask)
    folder.add_film("imputation", films.film(rows, seen_by, there=there), step, prefix)
    of_first = {label: frames[0] for label, frames in rows.items()}
    of_first_there = None if there is None else there[0]
    strip = films.strip(of_first, {label: mask[0] for label, mask in seen_by.items()}, there=of_first_there)
    folder.add_strip("imputation_strip", strip, step, prefix)
    film = _film_of_generation(model, images, controls, truth, there)
    folder.add_film("generation", film, step, prefix)

    codes = {name: found[label].codes.numpy() for label, name in _CODES.items() if label in found}
    if there is not None:
        # What is encoded of a frame that nobody has means nothing.
        codes["encoded"] = np.where(there[..., None] > 0, codes["encoded"], np.nan)
    folder.add_plot("codes", figures.code_trajectories(codes, observed), step, prefix)
    found_motion = motion_of(model, dataset.first(NUM_JUDGED))
    folder.add_plot("motion", _plot_of_motion(found_motion), step, prefix)
    if config.model == "kvae":
        folder.events.add_histograms(_histograms(model, dataset.first(config.batch_size)), step)
    alpha = _alpha(model, images, there, controls)
    if alpha is not None:
        states = None if dataset.states is None else dataset.states[:NUM_SEQUENCES]
        marked = bounces(states, config.dataset)
        folder.add_plot("alpha", figures.alpha_over_time(alpha, marked=marked), step, prefix)
    if config.model == "kvae" and not config.alpha_rnn and config.dim_a == 2 and config.K > 1:
        folder.add_plot("alpha_plane", _alpha_plane(model, dataset), step, prefix)


def _seen_by(rows: Collection[str], observed: np.ndarray, num_given: int) -> dict[str, np.ndarray]:
    """Return the frames [N, T] that each row was made from; those made from all are left out."""
    first = observed * (np.arange(observed.shape[1]) < num_given)
    masks_of = {"generation": first} | dict.fromkeys(("sampling", "smoothing", "filtering"), observed)
    return {label: mask for label, mask in masks_of.items() if label in rows}


def _decoded(
    model: SequenceAutoencoder,
    images: np.ndarray,
    observed: np.ndarray,
    controls: np.ndarray | None,
    there: np.ndarray | None,
) -> dict[str, Any]:
    """Return what the model makes of the sequences, a `Decoded` or `Imputed` for each way to see them."""
    seed = model.config.seed
    codes = model.codes_of(model.features(images, model.seeds(seed), there), there, controls)
    believed = model.infer_codes(model.features(images, model.seeds(seed), observed), observed, controls)
    of_method = {
        "reconstruction": codes,
        "filtering": believed.filtered_codes,
        "smoothing": believed.smoothed_codes,
    }
    found: dict[str, Any] = {
        label: Decoded(model.decoded_images(codes), codes, None, None)
        for label, codes in of_method.items()
        if codes is not None
    }
    found["generation"] = model.generate(images, images.shape[1], controls=controls, seed=seed, mask=there)
    if "sampling" in model.methods:
        found["sampling"] = model.impute(images, observed, controls, num_samples=NUM_SAMPLES, seed=seed)
    return found


def _alpha(
    model: SequenceAutoencoder,
    images: np.ndarray,
    there: np.ndarray | None,
    controls: np.ndarray | None,
) -> np.ndarray | None:
    """Return the weights [N, T, K] of a mixture of dynamics; None of a model without."""
    features = model.features(images, model.seeds(model.config.seed), there)
    alpha = model.infer_codes(features, there, controls).alpha
    return None if alpha is None else alpha.numpy()


def _film_of_generation(
    model: SequenceAutoencoder,
    images: np.ndarray,
    controls: np.ndarray | None,
    truth: np.ndarray,
    there: np.ndarray | None,
) -> np.ndarray:
    """Film what the first frames go on to be, by the mean of the dynamics and with their noise."""
    rows, seed = {"truth": truth}, model.config.seed
    for label, stochastic in (("deterministic", False), ("stochastic", True)):
        generation = model.generate(images, controls=controls, stochastic=stochastic, seed=seed, mask=there)
        rows[label] = generation.images.numpy()
    num_steps, num_given = model.config.n_steps_gen, model.config.t_init_mask
    return films.film(rows, masks.planning_mask(len(images), num_steps, num_given, num_steps), there=there)


def _histograms(model: SequenceAutoencoder, dataset: Dataset) -> dict[str, np.ndarray]:
    """Return what the dynamics do over sequences in which all that is there is seen, by TensorBoard's tags.

    The moduli of the eigenvalues of every A_t, above 1 where it makes states grow; and the weights of each of
    the K models in the mixture: all near 0 for one that is not used.
    """
    controls, mask = dataset.controls, dataset.mask
    if not controls.shape[-1]:
        controls = np.zeros([*controls.shape[:2], model.config.dim_u], np.float32)
    codes = model.encode(dataset.images).mean()
    given = None if mask is None else tf.constant(mask)
    _, dynamics = model.lgssm.filter(codes, given, tf.constant(controls))
    moduli = np.abs(np.linalg.eigvals(dynamics.model.A[:, 1:].numpy()))
    weights = np.moveaxis(dynamics.alpha.numpy(), -1, 0)
    of_models = {f"dynamics/alpha_{k:02d}": weight for k, weight in enumerate(weights, start=1)}
    return {"dynamics/eigenvalue_moduli": moduli} | of_models


def _alpha_plane(model: SequenceAutoencoder, dataset: Dataset) -> Figure:
    """Plot alpha over the plane of codes, where all the codes in the MLP's memory are the same."""
    some = dataset.first(model.config.batch_size)
    codes = model.encode(some.images).mean().numpy()
    codes = codes.reshape(-1, 2) if some.mask is None else codes[some.mask > 0]
    low, high = codes.min(axis=0), codes.max(axis=0)
    margin = 0.1 * (high - low) + 1e-3
    first, second = (np.linspace(low[i] - margin[i], high[i] + margin[i], 100) for i in range(2))
    points = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    queue = np.repeat(points, model.config.fifo_size, axis=1).astype(np.float32)
    alpha, _ = model.alpha(tf.constant(queue))
    alpha = alpha[:, -1].numpy().reshape(100, 100, model.config.K)
    return figures.alpha_plane(first, second, alpha, codes)


def _plot_of_motion(motion: Motion) -> Figure:
    """Plot a `Motion`; the colours of a pixel are added up."""
    variance, error, moving = motion.variance, motion.error, motion.moving
    if variance.ndim == 3:
        return figures.motion_explained(variance.sum(axis=-1), error.sum(axis=-1), np.any(moving, axis=-1))
    return figures.motion_explained(variance, error, moving)
