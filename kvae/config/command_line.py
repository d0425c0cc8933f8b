"""The command line of run_kvae.py: options to a `Config`. Imports no TensorFlow, so that --help is quick."""

import tyro

from kvae.config.options import Config, ConfigError, option_names
from kvae.config.presets import preset_options

EVALUATION_OPTIONS = frozenset(
    "dataset data_dir frame_size timesteps stride gpu precision batch_size t_init_mask t_steps_mask "
    "n_steps_gen num_paths evaluate_on_samples display_step generate_step log_dir run_name "
    "reload_model quiet".split()
)
"""Options that do not touch what was learned: those that --reload_model may change."""

MODEL_OPTIONS = frozenset(
    "preset model out_distr conv activation filter_size num_filters vae_num_units num_layers noise_pixel_var "
    "learn_pixel_var use_vae dim_a dim_z dim_u K noise_emission noise_transition init_cov init_kf_matrices "
    "alpha_rnn alpha_units alpha_layers alpha_activation fifo_size learn_noise learn_offset learn_u".split()
)
"""Options that say what is learned, or where it starts: those that --init_model may not change."""

OF_A_NEW_MODEL = {
    "only_vae_epochs": 0,
    "kf_update_steps": 0,
}
"""What --init_model starts from in place of the run's: phases that are for a model that knows nothing yet."""

COMMAND_OPTIONS = frozenset(
    "gpu strategy run_name log_dir n_steps_gen reload_model display_step generate_step quiet profile".split()
)
"""Options that --reload_model, as in the original code, and --init_model take from the command line alone."""

RESUME_OPTIONS = frozenset("resume gpu strategy quiet profile".split())
"""Options that work beside --resume; the last two are those of the command, whatever the run had."""


def parse(arguments, read_run_options):
    """Turn a command line into a configuration.

    Explicit options win over those of the preset, those over what the dataset's world starts from. Over the
    options of a run that is reloaded, or trained on, only explicit ones win.

    Args:
        arguments: a list of strings.
        read_run_options: from a run folder to the options in its config.json.

    Returns:
        A `Config`.

    Raises:
        ConfigError: an explicit option would change the model that is reloaded or trained on.
        SystemExit: with exit code 2 for a bad option, after a message; with 0 for --help.
    """
    given = _given_options(arguments)
    base = preset_options(
        given.get("preset", ""),
        given.get("dataset", Config.dataset),
        given.get("model", Config.model),
        given,
    )
    if run_folder := given.get("resume", ""):
        if refused := sorted(set(given) & set(option_names()) - RESUME_OPTIONS):
            raise ConfigError(
                f"--{refused[0]} cannot change a run that is resumed. "
                f"With --resume these work: {', '.join(sorted(RESUME_OPTIONS))}"
            )
        base = read_run_options(run_folder) | {"quiet": False, "profile": False}
        if base.get("reload_model"):
            raise ConfigError(f"{run_folder} is an evaluation of another run: there is no training to resume")
    elif run_folder := given.get("reload_model", ""):
        refused = sorted(set(given) & set(option_names()) - EVALUATION_OPTIONS)
        if refused:
            raise ConfigError(
                f"--{refused[0]} cannot change a model that is reloaded. "
                f"With --reload_model these work: {', '.join(sorted(EVALUATION_OPTIONS))}"
            )
        base = _of_run(run_folder, read_run_options)
    elif run_folder := given.get("init_model", ""):
        if refused := sorted(set(given) & MODEL_OPTIONS):
            raise ConfigError(
                f"--{refused[0]} cannot change a model that is trained on. "
                f"With --init_model all options work but: {', '.join(sorted(MODEL_OPTIONS))}"
            )
        base = _of_run(run_folder, read_run_options) | OF_A_NEW_MODEL | {"init_model": run_folder}
    return tyro.cli(
        Config,
        prog="run_kvae.py",
        description=(
            "Train a Kalman variational auto-encoder, or a rival of it, on videos of a simulated world or on "
            "your own, and show what it has learned. The options have the names of the original code of "
            "Fraccaro et al. (NIPS 2017)."
        ),
        args=arguments,
        default=Config.from_dict(base),
        use_underscores=True,
        config=(tyro.conf.FlagConversionOff,),
        registry=_registry(),
    )


def _of_run(run_folder, read_run_options):
    """Return the options of an earlier run but those that are the command's."""
    options = read_run_options(run_folder)
    return {name: value for name, value in options.items() if name not in COMMAND_OPTIONS}


def _given_options(arguments):
    """Return the options that stand on the command line, by name, with their values where they have one."""
    given = {}
    for i, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        name, has_value, value = argument[2:].partition("=")
        if not has_value and i + 1 < len(arguments):
            value = arguments[i + 1]
        given[name.replace("-", "_")] = value
    return given


def _registry():
    """Teach tyro to read 32,32,32; and that a switch without a value is True."""
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def whole_numbers(info):
        if info.type != tuple[int, ...]:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="INT,INT,...",
            instance_from_str=_read_whole_numbers,
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [",".join(map(str, value))],
        )

    @registry.primitive_rule
    def switch(info):
        if info.type is not bool:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=(0, 1),
            metavar="{True,False}",
            choices=("True", "False"),
            instance_from_str=_read_switch,
            is_instance=lambda value: isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _read_switch(words):
    # tyro hands over more than it was told to expect.
    if len(words) > 1:
        raise ValueError(f"must be True or False. Received: {' '.join(words)!r}")
    return words != ["False"]


def _read_whole_numbers(words):
    parts = words[0].split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"must be whole numbers such as 32,32. Received: {words[0]!r}")
    return tuple(int(part) for part in parts)
