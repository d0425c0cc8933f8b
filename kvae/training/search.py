"""Choose options of the dynamics by cross-validation, in minutes: on codes that are encoded once.

How sequences are explained depends on how many there are, and on how they move. Encoder and decoder stay as
they are; each trial trains new dynamics on some of the sequences, and is judged by the others.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kvae.config import Config
from kvae.config.options import names_of_search
from kvae.config.presets import OWN_VIDEOS
from kvae.config.size import FEW, FEWEST
from kvae.errors import TrainingError
from kvae.models.kvae import KVAE
from kvae.models.new_dynamics import with_new_dynamics
from kvae.training.refinement import BATCH_SIZE, EncodedSequences, drawn, refine

NUM_FOLDS = 3
NUM_UPDATES = 1000
"""Of each training, a quarter of what the last phase makes."""
HIDDEN = 0.4
"""Share of the codes that are hidden where trials are judged, whatever they hide while they learn."""
NUM_DRAWS = 4
"""Draws of codes, and of what of them is hidden, of each sequence that judges."""
_STREAM = 11
"""What sets the random numbers of the judges apart from all others."""


HEAD = (
    "# What was tried",
    "",
    f"New dynamics on the codes of the training sequences, learned in {NUM_UPDATES} updates from two thirds",
    f"of them and judged by the rest, {NUM_FOLDS} times: nats per code seen, where {HIDDEN:g} of them are",
    "hidden. The last row is chosen; a gain has to be more than its standard error.",
)
"""What stands before the table."""


class Trial(NamedTuple):
    """What was tried.

    Attributes:
        changes: options in place of the run's.
        scores: [N] log-likelihood per code that is seen, where some are hidden, of each sequence by dynamics
            that have not seen it; minus infinity where training broke.
        seconds: time that it took.
    """

    changes: Mapping[str, Any]
    scores: np.ndarray
    seconds: float


def search(model: KVAE, codes: EncodedSequences, say: Callable[[str], object]) -> list[Trial]:
    """Try dynamics with other options, those that config.search names, one after the other.

    First ways to find alpha together with shares of hidden codes, as neither is of much use alone; then, from
    the best of these on, K; then dim_z. A trial is better than the best before it if its gain, a mean over
    sequences, is more than its standard error.

    Args:
        model: a built `KVAE`; it stays as it is.
        codes: an `EncodedSequences`, those of the training sequences. Neighbours may overlap, so that each
            part that judges is a row of neighbours.
        say: what to call with a line for each trial.

    Returns:
        All trials, the options as they are first and the best last.
    """
    names, config = names_of_search(model.config.search), model.config
    if len(codes.mean) < 2:
        say("search: a single sequence leaves none to judge by, so the options stay as they are")
        return [Trial({}, np.full([len(codes.mean)], np.nan), 0.0)]
    best = _tried(model, codes, {})
    say(f"search: as it is   {words_of(best)}")
    trials = [best]
    for rivals in _rounds(config, names):
        before = best
        for changes in rivals:
            trial = _tried(model, codes, {**before.changes, **changes})
            gain = _gain(trial, best)
            if gain > 0:
                best = trial
            trials.append(trial)
            say(f"search: {_options_in_words(trial.changes)}   {words_of(trial)}{'   better' * (gain > 0)}")
    return [*(trial for trial in trials if trial is not best), best]


def table_of(trials: list[Trial]) -> list[str]:
    """Return the lines of a Markdown table of what `search` returned."""
    best = trials[-1]
    lines = ["| options | log-likelihood | against the chosen | seconds |", "| --- | --- | --- | --- |"]
    for trial in trials:
        mean, error = _difference(trial, best)
        against = "chosen" if trial is best else f"{mean:+.3f} ± {error:.3f}"
        words = _options_in_words(trial.changes) or "as it was"
        lines.append(f"| {words} | {trial.scores.mean():.3f} | {against} | {trial.seconds:.0f} |")
    return lines


def words_of(trial: Trial) -> str:
    """Return what a line of progress says of a trial's score."""
    return f"held out {trial.scores.mean():8.3f} nats a code   {trial.seconds:4.0f} s"


def _options_in_words(changes: Mapping[str, Any]) -> str:
    return " ".join(f"--{name} {value}" for name, value in changes.items())


def _rounds(config: Config, names: tuple[str, ...]) -> Iterator[list[dict[str, Any]]]:
    """Yield what is tried in each round, without what the run has."""
    alphas, shares = [_alpha_of(config)], [{"refine_miss_prob": config.refine_miss_prob}]
    if "alpha" in names and not config.alpha_network:
        lstm = {"alpha_rnn": True, "alpha_units": OWN_VIDEOS["alpha_units"], "fifo_size": Config.fifo_size}
        alphas += [way for way in (lstm, dict(FEWEST)) if way["alpha_rnn"] != config.alpha_rnn]
    if "refine_miss_prob" in names:
        shares += [share for share in ({"refine_miss_prob": 0.0}, dict(FEW)) if share not in shares]
    together = [alpha | share for alpha, share in itertools.product(alphas, shares)]
    yield [_changed(config, options) for options in together[1:]]
    if "K" in names:
        yield [{"K": K} for K in (5, 9, 15) if config.K != K]
    if "dim_z" in names:
        sizes = (times * config.dim_a for times in (2, 3, 4))
        yield [{"dim_z": size} for size in sizes if config.dim_z != size]


def _alpha_of(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in FEWEST}


def _changed(config: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if getattr(config, name) != value}


def with_changes(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a configuration with other options; options of an MLP that is none any more are left out."""
    options = {**config.to_dict(), **changes}
    if options["alpha_rnn"]:
        options |= {name: getattr(Config, name) for name in ("alpha_layers", "alpha_activation", "fifo_size")}
    return Config.from_dict(options)


def _tried(model: KVAE, codes: EncodedSequences, changes: Mapping[str, Any]) -> Trial:
    start, config = time.monotonic(), with_changes(model.config, changes)
    count = len(codes.mean)
    scores = np.empty([count], np.float64)
    for fold in np.array_split(np.arange(count), min(NUM_FOLDS, count)):
        rest = np.setdiff1d(np.arange(count), fold)
        new = with_new_dynamics(model, config)
        epochs = math.ceil(NUM_UPDATES / math.ceil(len(rest) / BATCH_SIZE))
        try:
            refine(new, _part(codes, rest), epochs, config.init_lr, _part(codes, fold))
            scores[fold] = _scores(new, _part(codes, fold))
        except TrainingError:
            scores[fold] = -np.inf
    return Trial(dict(changes), scores, time.monotonic() - start)


def _part(codes: EncodedSequences, numbers: np.ndarray) -> EncodedSequences:
    mask = None if codes.mask is None else codes.mask[numbers]
    return EncodedSequences(codes.mean[numbers], codes.stddev[numbers], codes.controls[numbers], mask)


def _scores(model: KVAE, codes: EncodedSequences) -> np.ndarray:
    """Return [N], the mean log-likelihood of the codes of each sequence that are left to be seen."""
    rng, count = np.random.default_rng([model.config.seed, _STREAM]), len(codes.mean)
    size = min(BATCH_SIZE, count)

    @tf.function(autograph=False)
    def of(batch: tf.Tensor, controls: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(model.lgssm.filter(batch, mask, controls)[0].log_likelihood, axis=1)

    sums, seen = np.zeros([count]), np.zeros([count])
    for _ in range(NUM_DRAWS):
        for first in range(0, count, size):
            part = np.arange(first, min(first + size, count))
            batch, controls, mask, _ = drawn(codes, part, size, rng, HIDDEN)
            sums[part] += np.asarray(of(batch, controls, mask))[: len(part)]
            seen[part] += np.asarray(mask).sum(axis=1)[: len(part)]
    return sums / np.maximum(seen, 1)


def _difference(trial: Trial, other: Trial) -> tuple[float, float]:
    """Return how much better a trial is, the mean over sequences and its standard error."""
    if not (np.isfinite(trial.scores).all() and np.isfinite(other.scores).all()):
        return float(trial.scores.mean() - other.scores.mean()), 0.0
    gains = trial.scores - other.scores
    return float(gains.mean()), float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else 0.0


def _gain(trial: Trial, best: Trial) -> float:
    mean, error = _difference(trial, best)
    return mean - error
