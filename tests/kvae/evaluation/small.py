"""A small model in which everything matters, and videos for it."""

import numpy as np

from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.models.kvae import KVAE
from kvae.runs.weights import named_weights

TINY = dict(
    num_filters=(4,),
    activation="tanh",
    K=2,
    alpha_units=4,
    precision="float32",
    t_init_mask=2,
    t_steps_mask=3,
    num_paths=0,
)


def videos(num_sequences, num_steps=8, dim_u=0, seed=0):
    rng = np.random.default_rng(seed)
    images = (rng.random([num_sequences, num_steps, 8, 8]) > 0.5).astype(np.uint8) * 255
    controls = 0.3 * rng.normal(size=[num_sequences, num_steps, dim_u]).astype(np.float32)
    return Dataset(images, controls, None)


def tiny(**options):
    """A random model in which frames, codes and controls matter."""
    model = KVAE(Config(**{**TINY, **options}))
    model.build((None, None, 8, 8))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        if weight.path.endswith("lgssm/A"):
            continue
        weight.assign(weight + 0.4 * rng.normal(size=weight.shape))
    # Pixels on both sides of 0.5: Bernoulli pixels have logits.
    named_weights(model)["decoder/out/bias"].assign([0.5 * (model.config.out_distr == "gaussian")])
    model.compile()
    return model
