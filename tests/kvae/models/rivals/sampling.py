"""Importance sampling of log p(x|u), in plain arithmetic on a model's weights, to hold a bound against."""

import numpy as np
from scipy.special import logsumexp

OPTIONS = dict(
    conv=False,
    num_layers=1,
    vae_num_units=6,
    out_distr="gaussian",
    noise_pixel_var=0.5,
    dim_a=2,
    dim_u=2,
    alpha_units=5,
    precision="float32",
)
"""Of a model for frames of 3x3 pixels."""


def data(seed=0):
    """Return one sequence of 3 frames, of which the second is missing, and its controls."""
    rng = np.random.default_rng(seed)
    images = rng.random([1, 3, 3, 3]).astype(np.float32)
    return images, np.array([[1, 0, 1]], np.float32), rng.normal(size=[1, 3, 2]).astype(np.float32)


def disturb(model, size=0.5):
    """Move all weights away from where they start."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + size * rng.normal(size=weight.shape))


def layer(of, inputs):
    """Return what a dense layer makes of inputs, before its activation."""
    bias = of.bias.numpy() if of.use_bias else 0
    return inputs @ of.kernel.numpy().astype(np.float64) + bias


def relu(x):
    return np.maximum(x, 0)


def softplus(x):
    return np.logaddexp(0, x) + 1e-6


def log_normal(x, mean, variance):
    """Return log N(x; mean, diag(variance)) over the last axis."""
    return -0.5 * np.sum((x - mean) ** 2 / variance + np.log(2 * np.pi * variance), axis=-1)


def log_pixels(model, states, image):
    """Return log p(x|z) of a frame [3, 3] for states [S, 2]."""
    pixels = layer(model.decoder.out, relu(layer(model.decoder.hidden[0], states)))
    return log_normal(image.reshape(-1), pixels, np.full(9, model.config.noise_pixel_var))


def estimate(log_weights):
    """Return the log of the mean of weights, and its standard error."""
    total = logsumexp(log_weights) - np.log(len(log_weights))
    relative = np.exp(log_weights - total)
    return total, relative.std() / np.sqrt(len(log_weights))


def check(model, bounds, from_posterior, from_prior):
    """Check bounds [N], of one sequence and other draws, against log weights by two proposals."""
    (first, first_error), (second, second_error) = (estimate(w) for w in (from_posterior, from_prior))
    assert max(first_error, second_error) < 0.03
    assert abs(first - second) < 4 * np.hypot(first_error, second_error)
    # The mean log weight is the bound itself; few of its draws need many of the model's to be told apart.
    expected = np.mean(from_posterior)
    error = np.std(bounds) / np.sqrt(len(bounds)) + np.std(from_posterior) / np.sqrt(len(from_posterior))
    assert abs(np.mean(bounds) - expected) < 4 * error
    assert expected < first - 10 * first_error
