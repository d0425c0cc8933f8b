"""Small trainings: options, videos, a model and its folder."""

import numpy as np

from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.models.kvae import KVAE
from kvae.runs.run_folder import RunFolder

TINY = dict(
    num_filters=(4,),
    K=2,
    alpha_units=4,
    precision="float32",
    t_init_mask=2,
    t_steps_mask=3,
    n_steps_gen=8,
    batch_size=4,
)


def videos(num_sequences, seed=0, num_steps=6):
    rng = np.random.default_rng(seed)
    images = (rng.random([num_sequences, num_steps, 8, 8]) > 0.5).astype(np.uint8) * 255
    return Dataset(images, np.zeros([num_sequences, num_steps, 0], np.float32), None)


def start(log_dir, **options):
    """Return a new model and a run folder for it."""
    config = Config(log_dir=str(log_dir), run_name="run", **{**TINY, **options})
    model = KVAE(config)
    model.build((None, None, 8, 8))
    return model, RunFolder.create(config)
