"""The command line of the main job: options to a `Config`. Imports no TensorFlow, so that --help is quick."""

import contextlib
import dataclasses
import shlex
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tyro

from kvae.config.config import Config
from kvae.config.marks import kind_of
from kvae.config.options import DataOptions, EvaluationOptions, ModelOptions, RunOptions, TrainingOptions
from kvae.config.rules import ConfigError
from kvae.config.start import check_world, starting_options
from kvae.system import called

AUTO = "auto"
"""On the command line, whole numbers that are chosen for the data: in a `Config` none at all."""

SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""What may be given for a switch, in upper or lower case."""


class _Groups(NamedTuple):
    """The options of the command line, in the order of --help."""

    data: DataOptions
    model: ModelOptions
    training: TrainingOptions
    evaluation: EvaluationOptions
    run: RunOptions


_GROUPS = typing.get_type_hints(_Groups)

Info = tyro.constructors.PrimitiveTypeInfo
Spec = tyro.constructors.PrimitiveConstructorSpec


def parse(arguments: Sequence[str], read_run_options: Callable[[str], dict[str, Any]]) -> Config:
    """Turn a command line into a configuration.

    Explicit options win over those of the preset, which lose with them what has no effect beside them; those
    of the preset over what the dataset's world starts from. Over the options of a run that is reloaded, or
    trained on, only explicit ones win.

    Args:
        arguments: strings.
        read_run_options: from a run folder to the options in its config.json.

    Returns:
        A `Config`.

    Raises:
        ConfigError: an explicit option would change the model that is reloaded or trained on, or is one of
            own videos, which another dataset ignores.
        SystemExit: with exit code 2 for a bad option, after a message; with 0 for --help.
    """
    _check_first(arguments)
    given = given_options(arguments)
    base = Config.from_dict(starting_options(given, read_run_options))
    groups = tyro.cli(
        _Groups,
        prog=called.command("train"),
        description=(
            "Train a Kalman variational auto-encoder, or a rival of it, on videos of a simulated world or on "
            "your own, and show what it has learned. The options have the names of the original code of "
            "Fraccaro et al. (NIPS 2017)."
        ),
        args=arguments,
        default=_Groups(*(_part(base, group) for group in _GROUPS.values())),
        use_underscores=True,
        # The groups are headings of --help, and no part of a name.
        config=(tyro.conf.FlagConversionOff, tyro.conf.OmitArgPrefixes),
        registry=_registry(),
    )
    options = {name: value for part in groups for name, value in vars(part).items()}
    config = Config(**options)
    check_world(config, given)
    return config


def _part(config: Config, group: type) -> Any:
    """Return the options of a `Config` that a group has."""
    return group(**{field.name: getattr(config, field.name) for field in dataclasses.fields(group)})


def _check_first(arguments: Sequence[str]) -> None:
    """Raise ConfigError where a command line begins with what is no option: a world's name, most likely."""
    first = next(iter(arguments), "-")
    if not first.startswith("-"):
        raise ConfigError(f"{first!r} is no option. Meant was perhaps:  --dataset {shlex.quote(first)}")


def given_options(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the options that stand on the command line, by name; but those that tyro will not understand."""
    fields = {field.name: field for field in dataclasses.fields(Config)}
    given = {}
    for i, argument in enumerate(arguments):
        name, has_value, text = argument[2:].partition("=")
        name = name.replace("-", "_")
        if not argument.startswith("--") or name not in fields:
            continue
        if not has_value:
            text = next(iter(arguments[i + 1 : i + 2]), "")
        with contextlib.suppress(ValueError):
            given[name] = _read(kind_of(fields[name]), text)
    return given


def _read(kind: Any, text: str) -> Any:
    """Return an option of some type as it was written on the command line, or raise ValueError."""
    if kind is bool:
        # The next option stands where a switch has no value.
        return _read_switch([text] if text else [])
    if kind in (int, float):
        return kind(text)
    return _read_whole_numbers([text]) if kind == tuple[int, ...] else text


def _registry() -> tyro.constructors.ConstructorRegistry:
    """Teach tyro to read 32,32,32 and auto; and that a switch without a value is True."""
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def whole_numbers(info: Info) -> Spec | None:
        if info.type != tuple[int, ...]:
            return None
        return Spec(
            nargs=1,
            metavar="INT,INT,...",
            instance_from_str=_read_whole_numbers,
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: [",".join(map(str, value)) or AUTO],
        )

    @registry.primitive_rule
    def switch(info: Info) -> Spec | None:
        if info.type is not bool:
            return None
        return Spec(
            nargs=(0, 1),
            metavar="{True,False}",
            instance_from_str=_read_switch,
            is_instance=lambda value: isinstance(value, bool),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _read_switch(words: list[str]) -> bool:
    # A switch without a value is on; before the next option, too, which tyro hands over with it.
    if not words or words[0].startswith("--"):
        return True
    # tyro hands over more than it was told to expect.
    if len(words) > 1 or words[0].lower() not in SWITCH:
        raise ValueError(f"must be True or False, or yes or no, 1 or 0. Received: {' '.join(words)!r}")
    return SWITCH[words[0].lower()]


def _read_whole_numbers(words: list[str]) -> tuple[int, ...]:
    if words in ([AUTO], [""]):
        return ()
    parts = words[0].split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"must be whole numbers such as 32,32. Received: {words[0]!r}")
    return tuple(int(part) for part in parts)
