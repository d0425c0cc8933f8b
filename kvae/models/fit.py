"""Whether data fit a model."""

from kvae.data.dataset import Dataset
from kvae.data.shards import Shards
from kvae.errors import UserError
from kvae.models.autoencoder import SequenceAutoencoder


class FitError(UserError):
    """Data that do not fit a model; the message says why, and what would."""


def check_fit(model: SequenceAutoencoder, dataset: Dataset | Shards) -> None:
    """Raise FitError unless a model can take these sequences.

    Args:
        model: a built model.
        dataset: sequences [N, T, H, W], with controls [N, T, dim_u] or, dim_u = 0, without.
    """
    expected, received = model.frame_shape, tuple(dataset.shape[2:])
    if received != expected:
        raise FitError(
            f"The model was trained on frames of {expected[0]}x{expected[1]}, those of the dataset are "
            f"{received[0]}x{received[1]}. Choose other data by --dataset or --data; your own videos fit "
            f"with --frame_size {expected[0]},{expected[1]}"
        )
    if dataset.dim_u not in (0, model.config.dim_u):
        raise FitError(
            f"The model takes {model.config.dim_u} controls per step, but the data have {dataset.dim_u}. "
            f"Choose other data by --dataset or --data, or train a model with --dim_u {dataset.dim_u} or "
            "--use_controls False"
        )
