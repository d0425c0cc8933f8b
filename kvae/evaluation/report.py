"""The final evaluation of a run: its bound, and its imputation curves."""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kvae.config import Config
from kvae.config.datasets import dataset_name
from kvae.data import Dataset
from kvae.evaluation.bound import test_bound
from kvae.evaluation.imputation import CurvePoint, can_be_judged, careless_guess, planning_curve, random_curve
from kvae.evaluation.motion import given_up, metrics_of, motion_of, not_seen, sum_up, too_many
from kvae.models.autoencoder import SequenceAutoencoder
from kvae.plots import figures
from kvae.runs.run_folder import RunFolder

NUM_SAMPLED = 200
"""Test sequences on which a run judges posterior sampling, which takes as long as all else on all of them."""
CURVES = {
    "imputation_planning": ("hidden frames", planning_curve),
    "imputation_random": ("probability of hiding a frame", random_curve),
}
"""The imputation curves of a run: name -> what is along the x axis, and what computes the curve."""


def evaluate(
    model: SequenceAutoencoder, dataset: Dataset, folder: RunFolder, step: int, facts: Mapping[str, Any]
) -> Iterator[str]:
    """Evaluate a finished model on the whole test set, and write its bound and its curves.

    Args:
        model: a `KVAE` or a rival, see `kvae.models.rivals`.
        dataset: the test `Dataset`.
        folder: the `RunFolder` to write to.
        step: TensorBoard's time.
        facts: what else to put into evaluation.json.

    Yields:
        Lines of text that sum it up, each as soon as it is known: the whole takes minutes.
    """
    bound = test_bound(model, dataset)
    guess = careless_guess(dataset.images, dataset.mask, model.config.is_binary)
    yield _line_of_bound(bound, model.config)
    motion = motion_of(model, dataset)
    yield sum_up(motion)
    for words in filter(None, (of(motion, model.config) for of in (given_up, not_seen))):
        yield f"Warning: {words}"
    if words := too_many(motion, model.config):
        yield words
    if not_judged := int((~can_be_judged(model, dataset)).sum()):
        yield (
            f"{not_judged} of {len(dataset.images)} test sequences are not judged below: none of their first "
            f"{model.config.t_init_mask} frames is there"
        )
    curves = {}
    for name in CURVES:
        curves[name] = yield from _evaluate_curve(name, model, dataset, folder, step, guess)
    if guess is not None:
        yield f"A careless guess, a frame of the same video from another time: {guess:.4f}"
        if not guess:
            yield "No pixel crosses half of its range there: what is above says nothing of these videos"
        elif words := _no_better(guess, curves.get("imputation_planning", {})):
            yield f"Warning: {words}"
    # The guess under the name that it has in the folders of all runs.
    folder.write_json(
        "evaluation.json", {**facts, "test_bound": bound, "motion": metrics_of(motion), "baseline": guess}
    )


def _line_of_bound(bound: Mapping[str, float], config: Config) -> str:
    if "exact" not in bound:
        return f"Test bound per frame: {bound['total']:.3f}"
    rest = bound["total"] - bound["state_space"]
    line = f"Test bound per frame: {rest + bound['exact']:.3f} (exact state space term)"
    # Its states are drawn independently for each step; as learned noise is small, no step of such a path is
    # likely, and the term says nothing.
    return line if config.learn_noise else f"{line}, {rest + bound['sampled']:.3f} (sampled)"


def _evaluate_curve(
    name: str,
    model: SequenceAutoencoder,
    dataset: Dataset,
    folder: RunFolder,
    step: int,
    guess: float | None,
) -> Generator[str, None, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Compute, write and plot one of `CURVES`.

    Yields:
        The lines of its table.

    Returns:
        Method to (x, fractions of wrong pixels).
    """
    x_label, curve_of = CURVES[name]
    sampled = dataset.first(NUM_SAMPLED)
    # Sampling takes as long as all others together, so they are shown first.
    others = tuple(method for method in model.methods if method != "sampling")
    whole: list[CurvePoint] = []
    lines_of: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for methods, part in ((others, dataset), (("sampling",), sampled)):
        if methods[0] not in model.methods:
            continue
        curve = curve_of(model, part, methods)
        if not curve:
            return {}
        if not whole:
            yield f"Fraction of wrong pixels on hidden frames, by {x_label}:"
            yield " " * 12 + "".join(f"{x:>8}" for x in dict.fromkeys(point.x for point in curve))
        whole += curve
        for method in methods:
            points = [point for point in curve if point.method == method]
            wrong = [point.error.wrong_pixels for point in points]
            lines_of[method] = np.array([point.x for point in points]), np.array(wrong)
            yield f"{method:>12}" + "".join(f"{value:8.4f}" for value in wrong)
    if "sampling" in lines_of and len(dataset.images) > NUM_SAMPLED:
        yield f"{'':>12}  (sampling: the first {NUM_SAMPLED} test sequences)"
    folder.write_curve(name, whole, model.config.model)
    folder.add_plot(name, curve_plot(name, lines_of, model.config.dataset, guess), step, folder="")
    return lines_of


def _no_better(guess: float, curve: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Say which methods have, where least is hidden, as much wrong as a careless guess; empty: none."""
    wrong = {method: float(errors[0]) for method, (_, errors) in curve.items() if len(errors)}
    worse = [f"{method} ({error:.4f})" for method, error in wrong.items() if error >= guess]
    if not worse:
        return ""
    return (
        f"{', '.join(worse)}: no better than that guess, even with the fewest frames hidden. The model has "
        "not learned to fill in these videos; more epochs, or what the warnings above name, may help"
    )


def curve_plot(
    name: str,
    lines_of: Mapping[str, tuple[np.ndarray, np.ndarray]],
    dataset: str,
    guess: float | None = None,
) -> Figure:
    """Plot an imputation curve.

    Args:
        name: one of `CURVES`.
        lines_of: method to (x, fractions of wrong pixels).
        dataset: the option of that name.
        guess: what a careless guess has wrong; None: not known.
    """
    title = f"{dataset_name(dataset)}: wrong pixels on hidden frames"
    return figures.imputation_curves(lines_of, CURVES[name][0], title, guess=guess)
