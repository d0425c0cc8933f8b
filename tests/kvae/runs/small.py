"""Options of a small model, and frames for it."""

import numpy as np

TINY = dict(num_filters=(4,), K=2, alpha_units=4, precision="float32", t_init_mask=2, t_steps_mask=3)
FRAMES = (np.random.default_rng(0).random([3, 6, 8, 8]) > 0.5).astype(np.uint8) * 255
