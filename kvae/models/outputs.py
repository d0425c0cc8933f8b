"""What the methods of a model take and return: arrays or tensors, and named tuples of tensors.

Frames [.., H, W] are [.., H, W, 3] of a model in colour.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

TensorLike = np.ndarray | tf.Tensor
"""NumPy or TensorFlow."""


class Sequences(NamedTuple):
    """A batch of sequences, as the bound sees them.

    Attributes:
        images: [B, T, H, W], the values that log p(x|a) is of.
        mask: [B, T], 1 = observed; None: every frame is.
        controls: [B, T, dim_u].
        weight: [B], what each sequence counts in a sum.
        draws: seeds [2], one for each draw.
    """

    images: tf.Tensor
    mask: tf.Tensor | None
    controls: tf.Tensor
    weight: tf.Tensor
    draws: Iterator[tf.Tensor]


class CodeTerm(NamedTuple):
    """What the dynamics of a model say of codes, each a weighted sum over sequences.

    Attributes:
        value: the term that stands in the bound.
        exact: the exact state space term; None of a model without.
        sampled: the original's estimate of it; None where it was not asked for.
        decoded: [B, T, dim_a], the codes that are to be decoded.
    """

    value: tf.Tensor
    exact: tf.Tensor | None
    sampled: tf.Tensor | None
    decoded: tf.Tensor


class Explained(NamedTuple):
    """What a model says of sequences, but for their pixels.

    Attributes:
        term: the `CodeTerm`.
        log_qa: weighted sum of log q of the codes, zero where they are not drawn.
        variance: [B, T], mean variance of q over the dimensions of a code.
    """

    term: CodeTerm
    log_qa: tf.Tensor
    variance: tf.Tensor


class Bound(NamedTuple):
    """The evidence lower bound and its terms, each divided by the number of observed frames.

    Attributes:
        total: log_px - log_qa + state_space.
        log_px: E log p(x|a).
        log_qa: E log q(a|x), zero with use_vae=False; of `dvbf` and `dmm` that of their states.
        state_space: the state space term that config.kf_elbo chooses; in `ae_rnn` and `vae_rnn` the
            prediction's; in `dvbf` and `dmm` E log p of their states.
        exact: the exact state space term, sum log p(a_t | a_1..a_{t-1}, u); None in the rivals.
        sampled: the original's estimate of it, or None where it was not asked for.
        num_observed: number of observed frames.
        encoder_variance: mean variance of q(a|x), over observed frames and dimensions; of `dvbf` and `dmm`
            that of a state, given the one before.
    """

    total: tf.Tensor
    log_px: tf.Tensor
    log_qa: tf.Tensor
    state_space: tf.Tensor
    exact: tf.Tensor | None
    sampled: tf.Tensor | None
    num_observed: tf.Tensor
    encoder_variance: tf.Tensor


class States(NamedTuple):
    """Means [B, T, dim_z] and covariances [B, T, dim_z, dim_z] of the states."""

    mean: tf.Tensor
    cov: tf.Tensor


class Decoded(NamedTuple):
    """Sequences as the model sees them.

    Attributes:
        images: [B, T, H, W], probabilities (Bernoulli) or means (Gaussian) of the pixels.
        codes: [B, T, dim_a], the codes that were decoded.
        states: the `States` behind them; None for `reconstruct`, which uses none.
        alpha: [B, T, K] mixture weights; None for `reconstruct`.
    """

    images: tf.Tensor
    codes: tf.Tensor
    states: States | None
    alpha: tf.Tensor | None


class Samples(NamedTuple):
    """Whole sequences from the posterior, S for each of the batch.

    Attributes:
        images: [B, S, T, H, W], decoded; observed frames are as they were given.
        codes: [B, S, T, dim_a], C_t z_t.
        states: [B, S, T, dim_z].
    """

    images: tf.Tensor
    codes: tf.Tensor
    states: tf.Tensor


class Imputed(NamedTuple):
    """Sequences with their missing frames filled in.

    Attributes:
        images: [B, T, H, W], probabilities (Bernoulli) or means (Gaussian) of the pixels; observed frames are
            as they were given.
        codes: [B, T, dim_a], posterior means of C_t z_t.
        states: the `States` of the posterior; None for a model without states.
        alpha: [B, T, K], posterior means; None for a model without.
        samples: `Samples`, or None if there were none to draw.
    """

    images: tf.Tensor
    codes: tf.Tensor
    states: States | None
    alpha: tf.Tensor | None
    samples: Samples | None


class Inference(NamedTuple):
    """Filter and smoother in one pass: codes C_t m_t|t and C_t m_t|T, states, and alpha.

    A model that looks back alone has the filtered codes, and None for the rest; one that cannot filter has
    None for those.
    """

    filtered_codes: tf.Tensor | None
    filtered_states: States | None
    smoothed_codes: tf.Tensor | None
    smoothed_states: States | None
    alpha: tf.Tensor | None
