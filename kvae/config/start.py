"""What explicit options are laid over: those of a preset and a world, or those of an earlier run."""

import dataclasses
import shlex
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kvae.config.all_options import AllOptions, marked, option_names
from kvae.config.datasets import is_environment, is_own_videos, is_own_world
from kvae.config.marks import Mark
from kvae.config.options import EvaluationOptions, ModelOptions
from kvae.config.presets import MODEL_PRESETS, OWN_VIDEOS, PRESETS, WORLD_PRESETS
from kvae.config.rules import ConfigError, idle_setting, no_effect
from kvae.system import called


def starting_options(
    given: Mapping[str, Any], read_run_options: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Return what explicit options are to be laid over.

    Args:
        given: the explicit options by name.
        read_run_options: from a run folder to the options in its config.json.

    Raises:
        ConfigError: an explicit option would change the run or the model that is gone on with.
    """
    if run_folder := given.get("resume"):
        return _of_resumed(run_folder, given, read_run_options)
    if run_folder := given.get("reload_model"):
        allowed = marked(Mark.RELOAD) | {*option_names(EvaluationOptions)}
        _refuse(
            set(given) - allowed,
            f"a model that is reloaded. With --reload_model these work: {_list(allowed)}",
        )
        return _of_run(read_run_options(run_folder))
    if run_folder := given.get("init_model"):
        fixed = trained_on()
        _refuse(
            set(given) & fixed,
            f"a model that is trained on. With --init_model all options work but: {_list(fixed)}",
        )
        options = _of_run(read_run_options(run_folder)) | first_phases_over() | {"init_model": run_folder}
        if not options.get("validation_split"):
            # Without any held out nobody could tell whether what is trained on is better than it was.
            options["validation_split"] = AllOptions.validation_split
        return options
    return preset_options(given.get("preset", ""), given.get("dataset", AllOptions.dataset), given)


def trained_on() -> frozenset[str]:
    """Return the options that come with the model of --init_model: a preset sets some of them too."""
    return frozenset({"preset", *option_names(ModelOptions)})


def first_phases_over() -> dict[str, Any]:
    """Return what --init_model starts from in place of the run's."""
    return dict.fromkeys(marked(Mark.FIRST_PHASE), 0)


def preset_options(preset: str, dataset: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the options that a preset sets for a dataset's world; for unknown ones, none.

    Args:
        preset: its name.
        dataset: the name of a world or an environment, or a path to videos.
        given: explicit options: what of the preset has no effect beside them is left out.
    """
    given = given or {}
    if preset in ("none", "original"):
        of_dataset: dict[str, Any] = {}
    elif is_own_videos(dataset) or is_environment(dataset) or is_own_world(dataset):
        of_dataset = _own_video_options(given)
    else:
        of_dataset = WORLD_PRESETS.get(dataset, {})
    if preset not in ("none", "original"):
        of_dataset = of_dataset | _model_options(given.get("model", AllOptions.model), of_dataset)
    return _giving_way(of_dataset | PRESETS.get(preset, {}), given)


def check_world(config: AllOptions, names: Collection[str]) -> None:
    """Raise ConfigError where an option `names` holds, which is for own videos, would be ignored."""
    if is_own_videos(config.dataset):
        return
    idle = marked(Mark.OWN_VIDEOS)
    if is_environment(config.dataset):
        idle -= marked(Mark.ENVIRONMENTS)
    for name in option_names():
        value = getattr(config, name)
        if name in idle & {*names} and value != getattr(AllOptions, name):
            raise no_effect(name, value, f"dataset={config.dataset}")


def _model_options(model: str, of_dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model starts from beside the options of its dataset."""
    options = MODEL_PRESETS.get(model, {})
    # A state that is decoded itself is as large as one behind a code.
    return options | {"dim_a": of_dataset.get("dim_z", AllOptions.dim_z)} if options else {}


def _giving_way(options: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have an effect beside the explicit ones `given`."""
    fields = dataclasses.fields(AllOptions)
    defaults = {field.name: field.default for field in fields}
    # What is left out may be what another one needed.
    while idle := {
        field.name
        for field in fields
        if field.name in options and idle_setting(field, {**defaults, **options, **given})
    }:
        options = {name: value for name, value in options.items() if name not in idle}
    return options


def _own_video_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what own videos, environments and own worlds start from.

    Of 20 frames 4 are shown first, and 12 hidden after them; of fewer or more as large a part.
    """
    timesteps = given.get("timesteps", AllOptions.timesteps)
    shown = max(1, min(AllOptions.t_init_mask, timesteps // 5))
    hidden = max(1, min(3 * timesteps // 5, timesteps - given.get("t_init_mask", shown)))
    return OWN_VIDEOS | {"t_init_mask": shown, "t_steps_mask": hidden}


def _of_resumed(
    run_folder: str, given: Mapping[str, Any], read_run_options: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Return the options of a run that was stopped."""
    allowed = marked(Mark.RESUME)
    _refuse(set(given) - allowed, f"a run that is resumed. With --resume these work: {_list(allowed)}")
    # These are the command's, whatever the run had.
    options = read_run_options(run_folder) | {"quiet": False, "profile": False}
    if options.get("reload_model"):
        name = shlex.quote(str(options["reload_model"]))
        raise ConfigError(
            f"{run_folder} is an evaluation of another run: there is no training to resume. To evaluate that "
            f"one again:  {called.command('train')} --reload_model {name}"
        )
    return options


def _of_run(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an earlier run but those that are the command's."""
    of_command = marked(Mark.COMMAND)
    return {name: value for name, value in options.items() if name not in of_command}


def _refuse(names: Collection[str], what: str) -> None:
    if names:
        raise ConfigError(f"--{min(names)} cannot change {what}")


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
