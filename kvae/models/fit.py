"""Whether data fit a model."""

from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.models.arguments import FitError, check_sides
from kvae.models.autoencoder import SequenceAutoencoder


def check_fit(model: SequenceAutoencoder, dataset: Dataset | Shards) -> None:
    """Raise FitError unless a model can take these sequences.

    Args:
        model: a built model.
        dataset: sequences [N, T, H, W] or [N, T, H, W, 3], with controls [N, T, dim_u] or, where dim_u is 0,
            without.
    """
    height, width = model.frame_shape[:2]
    hint = f". Choose other data by --dataset or --data; own videos fit with --frame_size {height},{width}"
    check_sides(model.frame_shape, tuple(dataset.shape[2:]), hint)
    if dataset.dim_u not in (0, model.config.dim_u):
        raise FitError(
            f"The model takes {model.config.dim_u} controls per step, but the data have {dataset.dim_u}. "
            f"Choose other data by --dataset or --data, or train a model with --dim_u {dataset.dim_u} or "
            "--use_controls False"
        )
