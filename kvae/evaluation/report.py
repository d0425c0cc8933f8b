"""The films and plots of a model on a few test sequences, and the final evaluation of a run."""

import numpy as np
import tensorflow as tf

from kvae.config.presets import dataset_name
from kvae.data import dataset as data
from kvae.data import masks
from kvae.evaluation import metrics as evaluation
from kvae.plots import figures, films

NUM_SEQUENCES = 4
NUM_SAMPLES = 4
"""Samples of each of them in a film."""
NUM_SAMPLED = 200
"""Test sequences on which a run judges posterior sampling, which takes as long as all else on all of them."""
CURVES = {
    "imputation_planning": ("hidden frames", evaluation.planning_curve),
    "imputation_random": ("probability of hiding a frame", evaluation.random_curve),
}
"""The imputation curves of a run: name -> what is along the x axis, and what computes the curve."""


def picture(model, dataset, folder, step, prefix=""):
    """Make every film, strip and plot of a model, on the first test sequences.

    Args:
        model: a `KVAE` or `RecurrentAutoencoder`.
        dataset: the test `data.Dataset`.
        folder: the `RunFolder` to write to.
        step: updates completed, TensorBoard's time.
        prefix: of the file names.
    """
    images = dataset.images[:NUM_SEQUENCES]
    controls = dataset.controls[:NUM_SEQUENCES] if dataset.controls.shape[-1] else None
    num_sequences, num_steps = images.shape[:2]
    config = model.config
    given, hidden = config.t_init_mask, config.t_steps_mask
    observed = masks.planning_mask(num_sequences, num_steps, given, hidden)

    truth = model.pixels(images).numpy()
    encoded = model.reconstruct(images)
    generated = model.generate(images, num_steps, controls=controls)
    found = {"generation": generated, "filtering": model.filter(images, observed, controls)}
    codes = {"encoded": encoded.codes.numpy(), "generated": generated.codes.numpy()}
    if "smoothing" in model.methods:
        found["smoothing"] = model.smooth(images, observed, controls)
        codes["smoothed"] = found["smoothing"].codes.numpy()
    if "sampling" in model.methods:
        found["sampling"] = model.impute(images, observed, controls, num_samples=NUM_SAMPLES)
        codes["sampled"] = found["sampling"].codes.numpy()
        # Whole sequences that the model holds possible, the mean of which it imputes.
        samples = found["sampling"].samples.images.numpy()
        rows = {"truth": truth} | {f"sample {i + 1}": samples[:, i] for i in range(NUM_SAMPLES)}
        folder.add_film("samples", films.film(rows, observed), step, prefix)
    rows = {"truth": truth, "reconstruction": encoded.images.numpy()}
    rows |= {method: found[method].images.numpy() for method in model.methods}
    complete = ("truth", "reconstruction")
    folder.add_film("imputation", films.film(rows, observed, complete=complete), step, prefix)
    of_first = {label: frames[0] for label, frames in rows.items()}
    strip = films.strip(of_first, observed[0], complete=complete)
    folder.add_strip("imputation_strip", strip, step, prefix)

    rows = {"truth": truth}
    for label, stochastic in (("deterministic", False), ("stochastic", True)):
        generation = model.generate(images, controls=controls, stochastic=stochastic)
        rows[label] = generation.images.numpy()
    first = masks.planning_mask(num_sequences, config.n_steps_gen, given, config.n_steps_gen)
    folder.add_film("generation", films.film(rows, first), step, prefix)

    folder.add_plot("codes", figures.code_trajectories(codes, observed), step, prefix)
    if config.model == "kvae":
        of_batch = slice(config.batch_size)
        folder.events.add_histograms(
            _histograms(model, dataset.images[of_batch], dataset.controls[of_batch]), step
        )
    if "smoothing" in model.methods:
        folder.add_plot("alpha", figures.alpha_over_time(model.smooth(images).alpha.numpy()), step, prefix)
    if config.model == "kvae" and not config.alpha_rnn and config.dim_a == 2 and config.K > 1:
        folder.add_plot("alpha_plane", _alpha_plane(model, dataset), step, prefix)


def evaluate(model, dataset, folder, step, facts):
    """Evaluate a finished model on the whole test set, and write its bound and its curves.

    Args:
        model: a `KVAE` or `RecurrentAutoencoder`.
        dataset: the test `data.Dataset`.
        folder: the `RunFolder` to write to.
        step: TensorBoard's time.
        facts: what else to put into evaluation.json.

    Yields:
        Lines of text that sum it up, each as soon as it is known: the whole takes minutes.
    """
    bound = evaluation.test_bound(model, dataset)
    baseline = evaluation.baseline(dataset.images)
    line = f"Test bound per frame: {bound['total']:.3f}"
    if "exact" in bound:
        rest = bound["total"] - bound["state_space"]
        line = (
            f"Test bound per frame: {rest + bound['exact']:.3f} (exact state space term), "
            f"{rest + bound['sampled']:.3f} (sampled)"
        )
    yield line
    for name in CURVES:
        yield from _evaluate_curve(name, model, dataset, folder, step)
    if baseline is not None:
        yield f"Baseline, between early and late frames of one video: {baseline:.4f}"
    folder.write_json("evaluation.json", {**facts, "test_bound": bound, "baseline": baseline})


def _evaluate_curve(name, model, dataset, folder, step):
    """Compute, write and plot one of `CURVES`; yield the lines of its table."""
    x_label, curve_of = CURVES[name]
    sampled = data.Dataset(dataset.images[:NUM_SAMPLED], dataset.controls[:NUM_SAMPLED], None)
    # Sampling takes as long as all others together, so they are shown first.
    others = tuple(method for method in model.methods if method != "sampling")
    whole, lines_of = [], {}
    for methods, part in ((others, dataset), (("sampling",), sampled)):
        if methods[0] not in model.methods:
            continue
        curve = curve_of(model, part, methods)
        if not curve:
            return
        if not whole:
            yield f"Fraction of wrong pixels on hidden frames, by {x_label}:"
            yield " " * 12 + "".join(f"{x:>8}" for x in dict.fromkeys(point.x for point in curve))
        whole += curve
        for method in methods:
            points = ((x, error.wrong_pixels) for x, of, error in curve if of == method)
            lines_of[method] = tuple(zip(*points, strict=True))
            yield f"{method:>12}" + "".join(f"{value:8.4f}" for value in lines_of[method][1])
    if "sampling" in lines_of and len(dataset.images) > NUM_SAMPLED:
        yield f"{'':>12}  (sampling: the first {NUM_SAMPLED} test sequences)"
    folder.write_curve(name, whole, model.config.model)
    folder.add_plot(name, curve_plot(name, lines_of, model.config.dataset), step, folder="")


def curve_plot(name, lines_of, dataset):
    """Plot an imputation curve.

    Args:
        name: one of `CURVES`.
        lines_of: method to (x, fractions of wrong pixels).
        dataset: the option of that name.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    title = f"{dataset_name(dataset)}: wrong pixels on hidden frames"
    return figures.imputation_curves(lines_of, CURVES[name][0], title)


def _histograms(model, images, controls):
    """Return what the dynamics do over sequences without a hidden frame, by TensorBoard's tags.

    The moduli of the eigenvalues of every A_t, above 1 where it makes states grow; and the weights of each of
    the K models in the mixture: all near 0 for one that is not used.
    """
    if not controls.shape[-1]:
        controls = np.zeros([*images.shape[:2], model.config.dim_u], np.float32)
    _, dynamics = model.lgssm.filter(model.reconstruct(images).codes, None, tf.constant(controls))
    moduli = np.abs(np.linalg.eigvals(dynamics.model.A[:, 1:].numpy()))
    weights = np.moveaxis(dynamics.alpha.numpy(), -1, 0)
    of_models = {f"dynamics/alpha_{k:02d}": weight for k, weight in enumerate(weights, start=1)}
    return {"dynamics/eigenvalue_moduli": moduli} | of_models


def _alpha_plane(model, dataset):
    """Plot alpha over the plane of codes, where all the codes in the MLP's memory are the same."""
    codes = model.reconstruct(dataset.images[: model.config.batch_size]).codes.numpy().reshape(-1, 2)
    low, high = codes.min(axis=0), codes.max(axis=0)
    margin = 0.1 * (high - low) + 1e-3
    axes = [np.linspace(low[i] - margin[i], high[i] + margin[i], 100) for i in range(2)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    queue = np.repeat(points, model.config.fifo_size, axis=1).astype(np.float32)
    alpha, _ = model.alpha(tf.constant(queue))
    alpha = alpha[:, -1].numpy().reshape(100, 100, model.config.K)
    return figures.alpha_plane(*axes, alpha, codes)
