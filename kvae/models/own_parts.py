"""Alpha networks and likelihoods of somebody's own, by name: MODULE:NAME, as worlds of one's own have it.

A part registers itself where it stands, and options name it; a run's options do too, so that `kvae.load`
finds it again:

    @kvae.register_alpha_network("gru")
    class GRUAlpha(keras.layers.Layer): ...

    kvae.Config(alpha_network="my_parts:gru")
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from kvae.config import ModelOptions
from kvae.errors import UserError

Maker = TypeVar("Maker", bound=Callable[..., Any])


class OwnPartError(UserError):
    """A part of somebody's own that is not there, or not as it must be; the message says what is missing."""


class _Kind(NamedTuple):
    """What a kind of part is called, what registers one, and what one must have."""

    words: str
    decorator: str
    methods: tuple[str, ...]


_KINDS = {
    "alpha_network": _Kind("alpha network", "register_alpha_network", ("build", "initial_state", "step")),
    "likelihood": _Kind("likelihood", "register_likelihood", ("build", "distribution")),
}
"""By the option that names one."""

_makers: dict[str, dict[str, Callable[..., Any]]] = {option: {} for option in _KINDS}
"""What makes each part, by option and MODULE:NAME."""


def register_alpha_network(name: str) -> Callable[[Maker], Maker]:
    """Return a decorator that makes an alpha network known as MODULE:NAME, for `Config(alpha_network=...)`.

    It decorates what makes the network, a `keras.layers.Layer`, from a `Config` and the `name` of the layer:
    a function, or the class itself. The network is a `kvae.inference.protocols.CodeNetwork`, whose `build`
    makes all weights.

    Args:
        name: the name, without a colon; MODULE is the module that this stands in.

    Raises:
        ValueError: there can be no such name.
    """
    return _register("alpha_network", name)


def register_likelihood(name: str) -> Callable[[Maker], Maker]:
    """Return a decorator that makes a likelihood known as MODULE:NAME, for `Config(likelihood=...)`.

    It decorates what makes the likelihood, a `keras.layers.Layer`, from a `Config` and the `name` of the
    layer: a function, or the class itself. Its `build(frame_shape)` makes weights, if it has any; and
    `distribution(pixels)` returns p(x|a), a distribution of TensorFlow Probability over frames, for what the
    decoder makes of codes: [B, T, H, W], or in colour [B, T, H, W, 3], with `out_distr` gaussian as it is,
    with bernoulli logits. The bound takes its `log_prob` [B, T], pictures its `mean()`.

    Args:
        name: the name, without a colon; MODULE is the module that this stands in.

    Raises:
        ValueError: there can be no such name.
    """
    return _register("likelihood", name)


def _register(option: str, name: str) -> Callable[[Maker], Maker]:
    if not name.isidentifier():
        raise ValueError(f"The name of a part must be an identifier, such as mine. Received: {name!r}")

    def decorate(make: Maker) -> Maker:
        # A module that is loaded again registers again.
        _makers[option][f"{make.__module__}:{name}"] = make
        return make

    return decorate


def make(option: str, config: ModelOptions) -> Any:
    """Return the part that an option names; its module is imported where it has not been.

    Args:
        option: `alpha_network` or `likelihood`.
        config: the options, that one among them.

    Raises:
        OwnPartError: there is no such part, or it has not the methods that it must have.
    """
    kind, text = _KINDS[option], getattr(config, option)
    module, _, name = text.partition(":")
    makers = _makers[option]
    if text not in makers:
        _import(module, f"The {kind.words} {text}")
    if text not in makers:
        there = [known.partition(":")[2] for known in makers if known.startswith(f"{module}:")]
        raise OwnPartError(
            f"The module {module} registers no {kind.words} {name!r}. It registers: "
            f"{', '.join(there) or 'none'}. @kvae.{kind.decorator}({name!r}) above a class or a function does"
        )
    part = makers[text](config, name="alpha" if option == "alpha_network" else option)
    if missing := [method for method in kind.methods if not callable(getattr(part, method, None))]:
        raise OwnPartError(
            f"The {kind.words} {text} has no method {missing[0]}: it must have {', '.join(kind.methods)}"
        )
    return part


def _import(module: str, what: str) -> None:
    """Import a module, or raise OwnPartError, which says why that cannot be."""
    try:
        importlib.import_module(module)
    # Whatever its code raises.
    except Exception as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        if module == "__main__" or not is_missing:
            words = f"cannot be imported: {type(error).__name__}: {error}"
        else:
            words = "is neither in this folder nor installed: put it where Python looks for modules"
        raise OwnPartError(f"{what} needs the module {module}, which {words}") from error


def check_origin(config: ModelOptions, folder: Path) -> None:
    """Raise OwnPartError where parts that options name are code that came with a model.

    Options may be anybody's: they may name what is installed here, or lies in the folder one works in, and
    bring nothing along.

    Args:
        config: the options.
        folder: where the model lies.
    """
    inside = folder.resolve()
    if inside == Path.cwd():
        return
    for option, kind in _KINDS.items():
        module = getattr(config, option).partition(":")[0]
        top = module.partition(".")[0]
        # Of a module that has no dot nothing is run to find it.
        if not module or module in sys.modules or (spec := importlib.util.find_spec(top)) is None:
            continue
        places = [*filter(None, [spec.origin]), *(spec.submodule_search_locations or ())]
        if any(Path(place).resolve().is_relative_to(inside) for place in places):
            raise OwnPartError(
                f"The {kind.words} {getattr(config, option)} is code in the model's own folder, which is not "
                f"run unless you say so: import {module} first"
            )
