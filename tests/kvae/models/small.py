"""Small models, and videos for them."""

import numpy as np

from kvae.config import Config
from kvae.models.kvae import KVAE

TINY = dict(num_filters=(4,), alpha_units=4, precision="float32", t_init_mask=2, t_steps_mask=2)


def videos(batch=3, num_steps=6, height=8, width=8, seed=0):
    """A bright square that moves: uint8 frames of 0 and 255."""
    rng = np.random.default_rng(seed)
    images = np.zeros([batch, num_steps, height, width], np.uint8)
    for b in range(batch):
        y, x = rng.integers(0, height - 2), rng.integers(0, width - 2)
        for t in range(num_steps):
            images[b, t, (y + t) % (height - 2) :, :][:3, x : x + 3] = 255
    return images


def coloured(**sides):
    """The squares of three sequences, red in one, green in another, white in the third: [3, T, H, W, 3]."""
    images = videos(**sides)
    return images[..., None] * np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1]], np.uint8)[:, None, None, None]


def tiny(images=None, **options):
    model = KVAE(Config(**{**TINY, **options}))
    model.build((videos() if images is None else images).shape)
    # A model that has learned something: B, C and a_0 away from their small beginnings.
    rng = np.random.default_rng(1)
    for weight in (model.lgssm.C, model.lgssm.B, model.lgssm.a_0):
        weight.assign(rng.normal(size=weight.shape))
    return model
