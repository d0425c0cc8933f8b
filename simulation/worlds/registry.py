"""The worlds by name: `box`, of this program; `gym:Pendulum-v1`, of a family; `my_module:circle`, of yours.

A world registers itself where it stands:

    @register("circle")
    class Circle(World): ...
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from kvae.system import called

from .base import World

Maker = TypeVar("Maker", bound=Callable[..., World])


class _Recipe(NamedTuple):
    """What makes a world, the names of its options, and which of them name code, as MODULE:FUNCTION."""

    make: Callable[..., World]
    options: tuple[str, ...]
    code_options: tuple[str, ...] = ()


_PACKAGE = __name__.removesuffix(".worlds.registry")
"""What the package is called here: in the repository otherwise than where it is installed."""

_worlds: dict[str, _Recipe] = {}
_families: dict[str, _Recipe] = {}
_trusted: set[str] = set()


def register(name: str, options: Iterable[str] | None = None) -> Callable[[Maker], Maker]:
    """Return a decorator that makes a world known by a name.

    It decorates what makes the world from its options: a function, or the class itself.

    Args:
        name: the name, without a colon. From the command line a world of your own is MODULE:NAME.
        options: names of the options; by default those of the parameters.

    Raises:
        ValueError: another module's world has this name, or there can be no such name.
    """
    if not name or ":" in name:
        raise ValueError(f"The name of a world must have no colon, and not be empty. Received: {name!r}.")

    def decorate(make: Maker) -> Maker:
        known = _worlds.get(name)
        # A module that is loaded again registers again; so does the main one in a process of its own.
        if known is not None and known.make.__module__ != make.__module__:
            raise ValueError(
                f"There is a world {name!r} already, of {known.make.__module__}: choose another name."
            )
        _worlds[name] = _Recipe(make, _names_of(make) if options is None else tuple(options))
        return make

    return decorate


def register_family(
    prefix: str, options: Iterable[str], code_options: Iterable[str] = ()
) -> Callable[[Maker], Maker]:
    """Return a decorator that makes all worlds PREFIX:REST known; what makes them gets REST first."""

    def decorate(make: Maker) -> Maker:
        _families[prefix] = _Recipe(make, tuple(options), tuple(code_options))
        return make

    return decorate


def world_names() -> tuple[str, ...]:
    """Names of the registered worlds, which `make_world` knows."""
    return tuple(_worlds)


def option_names() -> tuple[str, ...]:
    """Names of all that can be different in some world, in `make_world`."""
    recipes = (*_worlds.values(), *_families.values())
    return tuple(dict.fromkeys(option for recipe in recipes for option in recipe.options))


def make_world(name: str, **options: Any) -> World:
    """Make the world called `name`.

    Args:
        name: one of `world_names`; or gym:ID, see `simulation.worlds.environment`; or MODULE:NAME, the world
            that a module of yours registers, once that is imported.
        options: what is to be different from the world as it is. The ball worlds take num_balls,
            resolution (pixels along a side), greyscale, colours, friction, damping, contacts and
            substeps, see `BallParameters`; polygon takes vertices too; pendulum and swinging_line take
            resolution alone.

    Raises:
        ValueError: if there is no such world, it has no such option, or it cannot be made so.
    """
    recipe, rest = _find(str(name))
    if unknown := sorted(set(options) - set(recipe.options)):
        known = ", ".join(recipe.options) or "none"
        raise ValueError(f"World {name!r} has no option {unknown[0]!r}. Its options: {known}.")
    world = recipe.make(*rest, **options)
    world.name = str(name)
    if not hasattr(world, "options"):
        world.options = options
    return world


def is_of_this_program(name: str) -> bool:
    """Return whether a name is that of a world, not of a family and of no module of somebody's own."""
    return ":" not in name


def modules_named(name: str, options: dict[str, Any]) -> tuple[str, ...]:
    """Return the modules that a world's name and options name: making or simulating it runs their code."""
    prefix, _, rest = name.partition(":")
    if prefix in _families:
        named = [rest, *(str(options.get(option, "")) for option in _families[prefix].code_options)]
        return tuple(dict.fromkeys(text.partition(":")[0] for text in named if ":" in text))
    return (prefix,) if rest else ()


def trust(*modules: str) -> None:
    """Import modules, whose worlds and functions may be used from then on.

    For those that the user named. What a dataset file or a run folder names may be anybody's.

    Raises:
        ValueError: there is no such module, or it cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        # Whatever its code raises.
        except Exception as error:
            hint = "; a module is named without .py" if module.endswith(".py") else ""
            missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
            what = "there is no such module in this folder, nor installed" if missing else _said(error)
            raise ValueError(f"The module {module} cannot be imported: {what}{hint}.") from error
        _trusted.add(module)


def trusted_modules(name: str) -> tuple[str, ...]:
    """Return the modules that another process must import, to make a world that is known here."""
    own = _worlds[name].make.__module__ if name in _worlds else ""
    is_importable = own and own not in ("__main__", "__mp_main__") and not own.startswith(f"{_PACKAGE}.")
    return (*sorted(_trusted), *([own] if is_importable else ()))


def find_function(text: str, what: str) -> Callable[..., Any]:
    """Return the function MODULE:FUNCTION of a module that is trusted.

    Args:
        text: its name.
        what: what messages call it.

    Raises:
        ValueError: there is no such function, or its module is not trusted.
    """
    module, _, name = text.partition(":")
    check_trusted(module, f"{what} {text!r}")
    found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise ValueError(f"{what} must be MODULE:FUNCTION. {module} has no function {name!r}.")
    return found


def check_trusted(module: str, what: str) -> None:
    """Raise ValueError unless a module may be used."""
    if module not in _trusted:
        raise ValueError(
            f"{what} names code, the module {module}, which is not run unless you say so: on the command "
            f"line of `{called.command('generate')}` with --trust {module}, in Python with "
            f"{_PACKAGE}.trust({module!r})."
        )


def _find(name: str) -> tuple[_Recipe, tuple[str, ...]]:
    """Return what makes a world, and what it gets before its options."""
    if name in _worlds:
        return _worlds[name], ()
    prefix, colon, rest = name.partition(":")
    if prefix in _families:
        if not rest:
            raise ValueError(f"{name} needs the ID of an environment, as in gym:Pendulum-v1.")
        return _families[prefix], (rest,)
    if not colon:
        close = difflib.get_close_matches(name, _worlds, n=1)
        suggestion = f" Did you mean {close[0]!r}?" if close else ""
        others = "".join(f", {family}:ID" for family in _families)
        raise ValueError(
            f"Unknown world {name!r}.{suggestion} The worlds are: {', '.join(_worlds)}{others}, and "
            "MODULE:NAME for one of your own."
        )
    check_trusted(prefix, f"World {name!r}")
    there = [
        world
        for world, recipe in _worlds.items()
        if recipe.make.__module__ == prefix or recipe.make.__module__.startswith(f"{prefix}.")
    ]
    if rest not in there:
        raise ValueError(
            f"The module {prefix} registers no world {rest!r}. It registers: {', '.join(there) or 'none'}. "
            f"@register({rest!r}) of {_PACKAGE}.worlds above a class or a function does."
        )
    return _worlds[rest], ()


def _names_of(make: Callable[..., World]) -> tuple[str, ...]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(name for name, of in inspect.signature(make).parameters.items() if of.kind in kinds)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
