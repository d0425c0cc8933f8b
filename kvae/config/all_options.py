"""All options in one frozen dataclass, and what is asked of them by group or by mark."""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from typing import Any, Self

from kvae.config.marks import Mark, beside
from kvae.config.options import (
    NUM_EPOCHS,
    DataOptions,
    EvaluationOptions,
    ModelOptions,
    OptionGroup,
    RunOptions,
    TrainingOptions,
)
from kvae.config.rules import ConfigError, require

RETIRED = {"warmup_epochs": 0, "warmup_scale": 5.0}
"""Options that finished runs may have in their config.json, with the values at which they did nothing."""


# The fields of the last come first.
@dataclass(frozen=True)
class AllOptions(RunOptions, EvaluationOptions, TrainingOptions, ModelOptions, DataOptions):
    """The options of all groups: what `Config` is, which knows besides where they start."""

    def _check_together(self) -> None:
        super()._check_together()
        is_refinement = bool(self.init_model and self.refine_epochs)
        require(self.num_epochs >= 1 or is_refinement, "num_epochs", NUM_EPOCHS, self.num_epochs)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> Self:
        """Return the configuration that `to_dict` described; missing options take their defaults.

        Options of earlier versions are left out, with a warning where they did something.

        Raises:
            ConfigError: an option is unknown, or its value cannot work.
        """
        if not isinstance(options, dict):
            raise TypeError(f"Options must be a dictionary. Received: {options!r}")
        for name in sorted(set(options) & set(RETIRED)):
            if options[name] != RETIRED[name]:
                warnings.warn(f"{name} is no option any more: {options[name]!r} is ignored", stacklevel=2)
        options = {name: value for name, value in options.items() if name not in RETIRED}
        unknown = sorted(set(options) - set(option_names()))
        if unknown:
            raise ConfigError(f"Unknown option {unknown[0]!r}. Options are: {', '.join(option_names())}")
        return cls(**options)

    def to_json(self) -> str:
        """Return the options as a JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the configuration that `to_json` wrote."""
        return cls.from_dict(json.loads(text))


def option_names(group: type[OptionGroup] = AllOptions) -> list[str]:
    """Return the names of all options of a group, in order."""
    return [field.name for field in dataclasses.fields(group)]


def marked(mark: Mark) -> frozenset[str]:
    """Return the names of all options that have a mark."""
    return frozenset(
        field.name
        for field in dataclasses.fields(AllOptions)
        if any(mark in marks for marks in beside(field, Mark))
    )


def hyperparameters() -> list[str]:
    """Return the names of the options that touch what is learned, in order."""
    others = marked(Mark.COMMAND) | marked(Mark.RESUME) | marked(Mark.PLACE)
    return [name for name in option_names() if name not in others | {*option_names(EvaluationOptions)}]
