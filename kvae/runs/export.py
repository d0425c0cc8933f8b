"""A model as a TensorFlow SavedModel, which runs without this package.

`tf.saved_model.load(folder)` gives an object with two functions, which are signatures of the same names
too. All tensors are float32 but for `num_steps`; frames lie in [0, 1] (a Bernoulli model without
config.grey_targets takes any pixel above 0 as a 1), [.., H, W, 3] of a model in colour, and controls may be
[B, 0, dim_u]: what is missing at their end are zeros.

- `impute(images [B, T, H, W], mask [B, T], controls [B, S, dim_u])`: `images` [B, T, H, W] with the missing
  frames filled in, `codes` [B, T, dim_a], `state_mean` [B, T, dim_z], `state_cov` [B, T, dim_z, dim_z]; see
  `KVAE.impute`. Follow a few dozen sequences at a time: all their paths are in memory at once.
- `generate(images [B, G, H, W], num_steps int32 [], controls [B, S, dim_u])`: how the sequences go on, the
  given frames included: `images` [B, num_steps, H, W], `codes`, `states` [B, num_steps, dim_z]; see
  `KVAE.generate`. num_steps is at least G.
"""

import os
from pathlib import Path

import tensorflow as tf

from kvae.errors import UserError
from kvae.models.arguments import fitted_controls
from kvae.models.kvae import KVAE


class ExportError(UserError):
    """A model cannot be exported; the message says why."""


def export(model: KVAE, path: str | os.PathLike) -> None:
    """Write a model as a TensorFlow SavedModel, whose `impute` and `generate` run without this package.

    Args:
        model: a built `KVAE`.
        path: a new folder.

    Raises:
        ExportError: there is something of that name already, or the model has no weights yet.

    Examples:
        >>> import os, tempfile
        >>> import kvae, tensorflow as tf
        >>> model = kvae.KVAE(kvae.Config(num_filters=(4,), num_paths=4))
        >>> model.build((None, None, 8, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kvae.export(model, os.path.join(folder, "exported"))
        ...     exported = tf.saved_model.load(os.path.join(folder, "exported"))
        >>> exported.generate(tf.zeros([3, 4, 8, 8]), 10, tf.zeros([3, 0, 1]))["images"].shape
        TensorShape([3, 10, 8, 8])
    """
    if Path(path).exists():
        raise ExportError(f"There is something at {path} already: name a folder that is not there yet")
    if not model.built:
        raise ExportError("The model has no weights yet: train it, load it, or call model.build first")
    # A copy has neither optimizer nor metrics.
    bare = KVAE(model.config, name=model.name)
    bare.build_from_config(model.get_build_config())
    bare.set_weights(model.get_weights())
    exported = _Exported(bare)
    signatures = {"impute": exported.impute, "generate": exported.generate}
    tf.saved_model.save(exported, os.fspath(path), signatures)


class _Exported(tf.Module):
    """The two functions of plain tensors, and the model whose weights they use."""

    def __init__(self, model: KVAE):
        super().__init__()
        self.model = model
        images = tf.TensorSpec([None, None, *model.frame_shape], tf.float32, "images")
        controls = tf.TensorSpec([None, None, model.config.dim_u], tf.float32, "controls")
        mask = tf.TensorSpec([None, None], tf.float32, "mask")
        num_steps = tf.TensorSpec([], tf.int32, "num_steps")
        self.impute = tf.function(self._impute, input_signature=[images, mask, controls], autograph=False)
        self.generate = tf.function(
            self._generate, input_signature=[images, num_steps, controls], autograph=False
        )

    def _impute(self, images: tf.Tensor, mask: tf.Tensor, controls: tf.Tensor) -> dict[str, tf.Tensor]:
        found = self.model.impute(
            images, mask, fitted_controls(controls, tf.shape(images)[1], None, self.model.config.dim_u)
        )
        assert found.states is not None  # Of a KVAE.
        return {
            "images": found.images,
            "codes": found.codes,
            "state_mean": found.states.mean,
            "state_cov": found.states.cov,
        }

    def _generate(self, images: tf.Tensor, num_steps: tf.Tensor, controls: tf.Tensor) -> dict[str, tf.Tensor]:
        codes = self.model.encode(images).mean()
        found = self.model.generate_from_codes(
            codes, fitted_controls(controls, num_steps, None, self.model.config.dim_u)
        )
        assert found.states is not None
        return {"images": found.images, "codes": found.codes, "states": found.states.mean}
