"""Other dynamics behind the encoder and decoder of a trained model."""

from kvae.config import Config, ModelOptions
from kvae.config.all_options import option_names
from kvae.config.rules import ConfigError
from kvae.models.kvae import KVAE

OF_DYNAMICS = frozenset(
    "dim_z K noise_transition init_cov init_kf_matrices alpha_network alpha_rnn alpha_units alpha_layers "
    "alpha_activation fifo_size learn_noise learn_offset learn_u".split()
)
"""Options of a model that are its dynamics' alone."""
_OF_FRAMES = ("log_pixel_var", "pixel_errors", "pixel_motion", "frame_mean", "frame_scale")
"""Variables of a model, where it has them, that say what a frame is."""


def with_new_dynamics(trained: KVAE, config: Config) -> KVAE:
    """Return a model whose frames and codes are those of a trained one, and whose dynamics know nothing yet.

    Args:
        trained: a built `KVAE`.
        config: its options, but for those in `OF_DYNAMICS`, and for those that are no model's.

    Raises:
        ConfigError: another option of the model differs.
    """
    own, other = trained.config.to_dict(), config.to_dict()
    for name in option_names(ModelOptions):
        if name not in OF_DYNAMICS and own[name] != other[name]:
            raise ConfigError(
                f"{name} is no option of the dynamics. These are: {', '.join(sorted(OF_DYNAMICS))}"
            )
    model = KVAE(config)
    model.build_from_config(trained.get_build_config())
    for name in ("encoder", "decoder", "likelihood"):
        if getattr(trained, name) is not None:
            getattr(model, name).set_weights(getattr(trained, name).get_weights())
    for name in _OF_FRAMES:
        if getattr(trained, name) is not None:
            getattr(model, name).assign(getattr(trained, name))
    return model
