"""A linear-Gaussian model in plain arithmetic, dimension by dimension, and rivals that are one.

    z_1 ~ N(m, v),  z_t = a z_{t-1} + b u_t + N(0, q),  x_t = H z_t + c + N(0, r I)

The columns of H are orthogonal: so the dimensions of z stay independent in the posterior too.
"""

import numpy as np
import tensorflow as tf

A, B, Q = np.array([0.9, -0.5]), np.array([0.7, 0.3]), np.array([0.3, 0.2])
FIRST_MEAN, FIRST_VARIANCE = np.array([0.4, -0.2]), np.array([1.5, 0.8])
R = 0.2
H = 0.5 * np.array([[1, 1], [1, -1], [-1, -1], [1, -1]], np.float64)
OFFSET = np.array([0.1, 0.3, -0.2, 0.5])
# Hidden layers of relu are linear where all of their units are active.
ACTIVE = 40.0

OPTIONS = dict(
    conv=False,
    num_layers=1,
    vae_num_units=2,
    out_distr="gaussian",
    noise_pixel_var=R,
    dim_a=2,
    alpha_units=2,
    precision="float32",
)
"""Of a model for frames of 2x2 pixels."""


def log_likelihood(images, mask, controls):
    """Return log p of what is seen of frames [T, 2, 2], by one Gaussian over all of it, in float64."""
    num_steps = len(images)
    # Rows: z_1 .. z_T as linear maps of the first state and the noises.
    mean, covariance = np.zeros([num_steps, 2]), np.zeros([num_steps, 2, num_steps, 2])
    for d in range(2):
        factors = np.zeros([num_steps, num_steps])
        for t in range(num_steps):
            if t == 0:
                mean[0, d] = FIRST_MEAN[d]
            else:
                mean[t, d] = A[d] * mean[t - 1, d] + B[d] * controls[t]
                factors[t] = A[d] * factors[t - 1]
            factors[t, t] = np.sqrt(FIRST_VARIANCE[d] if t == 0 else Q[d])
        covariance[:, d, :, d] = factors @ factors.T
    big = np.kron(np.eye(num_steps), H)
    flat = 2 * num_steps
    seen = np.repeat(mask > 0, 4)
    residual = images.reshape(-1) - big @ mean.reshape(-1) - np.tile(OFFSET, num_steps)
    of_pixels = big @ covariance.reshape(flat, flat) @ big.T + R * np.eye(4 * num_steps)
    residual, of_pixels = residual[seen], of_pixels[np.ix_(seen, seen)]
    _, log_det = np.linalg.slogdet(2 * np.pi * of_pixels)
    return -0.5 * (log_det + residual @ np.linalg.solve(of_pixels, residual))


def messages(images, mask, controls):
    """Return precisions and shifts [T, 2] of p(x_t .. x_T | z_t), up to a factor, of frames [T, 2, 2]."""
    num_steps = len(images)
    precision, shift = np.zeros([num_steps, 2]), np.zeros([num_steps, 2])
    ahead, ahead_shift = np.zeros(2), np.zeros(2)
    for t in reversed(range(num_steps)):
        precision[t], shift[t] = ahead, ahead_shift
        if mask[t]:
            precision[t] += (H**2).sum(axis=0) / R
            shift[t] += H.T @ (images[t].reshape(-1) - OFFSET) / R
        # What it says of the state before: z_t = a z + b u + N(0, q) integrated out.
        spread = 1 / (1 + Q * precision[t])
        ahead = A**2 * precision[t] * spread
        ahead_shift = A * (shift[t] - precision[t] * B * controls[t]) * spread
    return precision, shift


def posterior(central, prior_precision, message):
    """Return mean and variance of a state whose prior is N(central, 1 / prior_precision)."""
    precision, shift = message
    variance = 1 / (prior_precision + precision)
    return variance * (prior_precision * central + shift), variance


def exact_messages(images, mask, controls):
    """Return `messages` of sequences [N, T, 2, 2] as the networks would say them: [N, T, 4]."""
    found = [
        np.concatenate(messages(*of_one), axis=-1) for of_one in zip(images, mask, controls, strict=True)
    ]
    return tf.constant(np.array(found, np.float32))


def set_decoder(model):
    """Let a model's decoder be H z + OFFSET."""
    hidden, out = model.decoder.hidden[0], model.decoder.out
    hidden.kernel.assign(np.eye(2))
    hidden.bias.assign(np.full(2, ACTIVE))
    out.kernel.assign(H.T)
    out.bias.assign(OFFSET - ACTIVE * H.sum(axis=1))


def data(num_sequences=3, num_steps=5, seed=0):
    """Return frames in [0, 1], a mask and controls that they may be judged with."""
    rng = np.random.default_rng(seed)
    images = rng.random([num_sequences, num_steps, 2, 2]).astype(np.float32)
    mask = np.ones([num_sequences, num_steps], np.float32)
    mask[1, [0, 2, 3]] = 0
    mask[2, -1] = 0
    return images, mask, rng.normal(size=[num_sequences, num_steps, 1]).astype(np.float32)
