"""What is asked of every model that is judged by what it makes of sequences."""

from collections.abc import Iterator

import tensorflow as tf
import tensorflow_probability as tfp

from kvae.models.outputs import Inference, TensorLike
from kvae.models.seeds import SeedLike
from kvae.models.trainable import Trainable


class Judged(Trainable):
    """A model whose codes have dynamics, as `kvae.evaluation` sees it.

    Here a code is of its frame alone; a model whose codes are of whole sequences says otherwise.
    """

    @property
    def methods(self) -> tuple[str, ...]:
        """Ways to fill in hidden frames by which the model is judged, see `kvae.evaluation`."""
        return ()

    def features(
        self, images: TensorLike, draws: Iterator[tf.Tensor], mask: TensorLike | None = None
    ) -> tf.Tensor:
        """Return what the dynamics are told of each frame, [B, T, F]: its code.

        Arguments as `codes`.
        """
        return self.codes(images, draws, mask)

    def codes_of(
        self, features: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> tf.Tensor:
        """Return the codes [B, T, dim_a] of sequences, given what `features` says of their frames.

        Args:
            features: [B, T, F].
            mask: [B, T], 1 = observed, or None: all are. Here a code is of its frame alone, whatever it is.
            controls: [B, T, dim_u], or None: zeros; nor do these matter here.
        """
        return features

    def code_distribution(
        self, images: TensorLike, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> tfp.distributions.Distribution:
        """Return how far the codes [B, T, dim_a] of sequences are known: q(a|x) of each frame.

        Frames as in `encode`, mask and controls as in `codes_of`.
        """
        return self.encode(images)

    @property
    def code_noise(self) -> tf.Tensor | None:
        """The standard deviation [dim_a] of a code given the state, or None where codes have no noise.

        Codes that are closer together than that are one and the same to the model.
        """
        return None

    def infer_codes(
        self, codes: tf.Tensor, mask: TensorLike | None = None, controls: TensorLike | None = None
    ) -> Inference:
        """Return what the dynamics believe of codes [B, T, dim_a], where some may be missing."""
        raise NotImplementedError

    def sample_codes(
        self,
        codes: tf.Tensor,
        mask: TensorLike,
        controls: TensorLike | None,
        num_draws: int,
        seed: SeedLike | None = None,
    ) -> tf.Tensor:
        """Return draws [B, S, T, dim_a] from what the dynamics believe of codes [B, T, dim_a]."""
        raise NotImplementedError
