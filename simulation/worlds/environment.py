"""Environments of Gymnasium as worlds: `gym:Pendulum-v1`. Gymnasium is imported once one is asked for."""

import contextlib
import difflib
import importlib
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kvae.data.resizing import cut_and_resize
from kvae.system import called

from .base import Quantity, Sequences, World, check_num_steps
from .registry import check_trusted, find_function, register_family
from .spaces import ActionVectors, ObservationVectors, zero_action

OPTIONS = (
    *("policy", "frame_skip", "warmup_steps", "env_options"),
    *("frame_size", "resolution", "channels", "greyscale", "crop"),
)

FRAME_SIDE = 32
"""Pixels along a side of the frames, unless told otherwise."""

MAX_TRIES = 100
"""How often an episode is drawn until one is long enough for a sequence."""

_ODD_PIXEL = 127
"""Brightest pixel that is black where frames are black and white."""

_PACKAGES = {"classic_control": "pygame", "toy_text": "pygame", "box2d": "Box2D", "mujoco": "mujoco"}
"""Modules that Gymnasium's own environments are simulated or drawn with, by the folder that they stand in."""

Policy = Callable[[Any, np.random.Generator], Any]


class _Episode(NamedTuple):
    """What was recorded, of as many frames as the episode had."""

    frames: list[NDArray[np.uint8]]
    states: list[NDArray[np.float64]]
    controls: list[NDArray[np.float32]]
    steps: int
    is_cut: bool


class EnvironmentWorld(World):
    """An environment that acts by a policy, and is drawn. It only samples sequences.

    A sequence lies within one episode. Of episodes that are too short others are drawn, `MAX_TRIES` at most.

    Args:
        env_id: what `gymnasium.make` takes.
        options: see `World.options`.
        policy: "random", uniform in the action space; "zero"; or MODULE:FUNCTION, which gets an observation
            and a `numpy.random.Generator`, or the former alone, and returns an action.
        frame_skip: steps of the environment from a frame to the next; the action is held.
        warmup_steps: steps of the environment before the first frame.
        env_options: further arguments of `gymnasium.make`.
        frame_size: (H, W) of the frames.
        channels: 1, grey, or 3, colour.
        greyscale: False: grey frames become black and white.
        crop: (top, left, bottom, right) of what is kept of a picture, in its pixels; None: all.

    Raises:
        ValueError: there is no such environment, it cannot be drawn, or an option does not go with it.
    """

    num_train, num_test = 500, 100

    def __init__(
        self,
        env_id: str,
        options: dict[str, Any],
        policy: str = "random",
        frame_skip: int = 1,
        warmup_steps: int = 0,
        env_options: dict[str, Any] | None = None,
        frame_size: tuple[int, int] = (FRAME_SIDE, FRAME_SIDE),
        channels: int = 1,
        greyscale: bool = True,
        crop: tuple[int, int, int, int] | None = None,
    ):
        self.name, self.options = f"gym:{env_id}", options
        self.image_shape = (*frame_size, 3) if channels == 3 else frame_size
        self._frame_size, self._channels, self._greyscale, self._crop = frame_size, channels, greyscale, crop
        self._frame_skip, self._warmup_steps = frame_skip, warmup_steps
        self._env = _make(env_id, env_options or {})
        try:
            self._actions = ActionVectors(self._env.action_space)
            self._policy = self._policy_of(policy)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}.") from error
        self._observations = ObservationVectors(self._env.observation_space)
        self.control_quantities: tuple[Quantity, ...] = self._actions.quantities
        self.state_quantities: tuple[Quantity, ...] = self._observations.quantities
        left_out = self._observations.left_out
        if left_out:
            self.notes = (
                f"states of {self.name} are without what is a picture, or no number, in an observation: "
                f"{', '.join(left_out)}",
            )
        self.packages = ("numpy", "pillow", "gymnasium", *_packages_of(self._env))
        with self._drawing():
            self._env.reset(seed=0)
            rendered = self._picture()
        self._check_crop(rendered)
        self.parameters = {
            "environment": self._env.spec.id,
            "env_options": env_options or {},
            "policy": policy,
            "frame_skip": frame_skip,
            "warmup_steps": warmup_steps,
            "rendered": [rendered.height, rendered.width],
            "crop": list(crop) if crop else None,
            "frame_size": list(frame_size),
            "channels": channels,
            "greyscale": greyscale,
            "action_space": str(self._env.action_space),
            "observation_space": " ".join(str(self._env.observation_space).split()),
            "left_out": list(left_out),
        }

    @property
    def unwrapped(self) -> Any:
        """The environment itself, without what Gymnasium puts around it."""
        return self._env.unwrapped

    def sample_sequence(self, rng: np.random.Generator, num_steps: int = 20) -> Sequences:
        """Draw one sequence (N = 1): the seed of its episode, and its actions."""
        check_num_steps(num_steps)
        lengths = []
        for _ in range(MAX_TRIES):
            episode = self._record(rng, num_steps)
            if len(episode.frames) == num_steps:
                return Sequences(
                    np.stack(episode.frames)[None],
                    np.stack(episode.states)[None],
                    np.stack(episode.controls)[None],
                )
            lengths.append(episode.steps)
            if episode.is_cut:
                # No other episode is longer.
                break
        raise ValueError(self._too_short(lengths, num_steps, episode.is_cut))

    def _record(self, rng: np.random.Generator, num_steps: int) -> _Episode:
        """Record an episode, up to `num_steps` frames of it."""
        (of_policy,) = rng.spawn(1)
        observation, _ = self._env.reset(seed=int(rng.integers(2**31)))
        self._env.action_space.seed(int(rng.integers(2**31)))
        episode = _Episode([], [], [], 0, False)
        action, ended, cut = None, False, False
        for number in range(-self._warmup_steps, (num_steps - 1) * self._frame_skip + 1):
            if number % self._frame_skip == 0 and number >= 0:
                self._keep(episode, observation, None if number == 0 else action)
            if ended or cut or number == (num_steps - 1) * self._frame_skip:
                break
            if action is None or number % self._frame_skip == 0:
                action = self._act(observation, of_policy)
            observation, _, ended, cut, _ = self._env.step(action)
            steps = episode.steps + 1
            episode = episode._replace(
                steps=steps, is_cut=not ended and steps == self._env.spec.max_episode_steps
            )
        return episode

    def _keep(self, episode: _Episode, observation: Any, action: Any) -> None:
        """Add a frame to what was recorded, with the action that led to it."""
        episode.frames.append(self._frame(self._picture()))
        state = self._observations.vector(observation)
        if not np.isfinite(state.astype(np.float32)).all():
            raise ValueError(
                f"An observation of {self.name} holds what is no finite number: {state.tolist()}."
            )
        episode.states.append(state)
        dim_u = len(self.control_quantities)
        episode.controls.append(
            np.zeros(dim_u, np.float32) if action is None else self._actions.vector(action)
        )

    def _act(self, observation: Any, rng: np.random.Generator) -> Any:
        try:
            return self._actions.check(self._policy(observation, rng))
        except ValueError as error:
            said = str(error).rstrip(".")
            raise ValueError(f"The policy {self.parameters['policy']} for {self.name}: {said}.") from error

    def _policy_of(self, text: str) -> Policy:
        space = self._env.action_space
        if text == "random":
            return lambda observation, rng: space.sample()
        if text == "zero":
            zero = zero_action(space)
            return lambda observation, rng: zero
        if ":" not in text:
            raise ValueError(f"policy must be random, zero or MODULE:FUNCTION. Received: {text!r}")
        return _Function(text)

    def _picture(self) -> Image.Image:
        """Draw the environment."""
        picture = np.asarray(self._env.render())
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise ValueError(
                f"{self.name} draws no pictures [H, W, 3] of uint8: {picture.dtype} {list(picture.shape)}"
            )
        return Image.fromarray(picture)

    def _frame(self, picture: Image.Image) -> NDArray[np.uint8]:
        """Return a frame of a picture, as it is made of a video's."""
        if self._crop:
            top, left, bottom, right = self._crop
            picture = picture.crop((left, top, right, bottom))
        frame = np.asarray(
            cut_and_resize(picture if self._channels == 3 else picture.convert("L"), *self._frame_size)
        )
        return frame if self._greyscale else np.where(frame > _ODD_PIXEL, 255, 0).astype(np.uint8)

    @contextlib.contextmanager
    def _drawing(self):
        """Say in the words of a user why an environment cannot be drawn."""
        try:
            yield
        # Whatever its code, or that of a driver, raises.
        except Exception as error:
            said = str(error).strip() or type(error).__name__
            hint = ""
            if "mujoco" in type(self._env.unwrapped).__module__ or "mujoco" in said.lower():
                hint = (
                    " MuJoCo draws without a screen where the variable MUJOCO_GL is egl, or osmesa: "
                    "see docs/environments.md."
                )
            raise ValueError(f"{self.name} cannot be drawn here: {said.rstrip('.')}.{hint}") from error

    def _check_crop(self, rendered: Image.Image) -> None:
        if self._crop is None:
            return
        top, left, bottom, right = self._crop
        if not (0 <= top < bottom <= rendered.height and 0 <= left < right <= rendered.width):
            raise ValueError(
                f"crop must be TOP,LEFT,BOTTOM,RIGHT within the pictures of {self.name}, {rendered.height} "
                f"rows and {rendered.width} columns. Received: {','.join(map(str, self._crop))}."
            )

    def _too_short(self, lengths: list[int], num_steps: int, is_cut: bool) -> str:
        needed = self._warmup_steps + (num_steps - 1) * self._frame_skip
        of_what = f"{num_steps} frames, which take {needed} steps"
        if is_cut:
            limit = json.dumps({"max_episode_steps": needed})
            return (
                f"Episodes of {self.name} are cut after {lengths[-1]} steps, too short for {of_what}. "
                f"--env_options '{limit}' raises that limit; or choose a smaller num_steps, frame_skip or "
                "warmup_steps."
            )
        return (
            f"Episodes of {self.name} end after {sum(lengths) / len(lengths):.0f} steps, {max(lengths)} at "
            f"most of {len(lengths)}, too short for {of_what}: choose a smaller num_steps, frame_skip or "
            "warmup_steps, or a policy that ends them later."
        )


class _Function:
    """A policy of somebody's own, which is looked for when it is needed first."""

    def __init__(self, text: str):
        self._text = text
        self._function: Policy | None = None

    def __call__(self, observation: Any, rng: np.random.Generator) -> Any:
        if self._function is None:
            self._function = _with_two_arguments(find_function(self._text, "policy"))
        try:
            return self._function(observation, rng)
        except Exception as error:
            raise ValueError(f"it raised {type(error).__name__}: {error}") from error


def _with_two_arguments(function: Callable[..., Any]) -> Policy:
    """Return a policy that takes an observation and a generator, of one that may take the former alone."""
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return lambda observation, rng: function(observation)
    except ValueError:
        # A function that does not tell its arguments.
        pass
    return function


@register_family("gym", OPTIONS, code_options=("policy",))
def environment(env_id: str, **options: Any) -> EnvironmentWorld:
    """Make the world of an environment.

    Args:
        env_id: what `gymnasium.make` takes, Pendulum-v1 or ALE/Pong-v5; MODULE:ID imports a module first.
        options: see `EnvironmentWorld`. frame_size may be one side or two, or resolution may say one.

    Raises:
        ValueError: as of `EnvironmentWorld`, or an option is out of bounds.
    """
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        # MuJoCo reads it when it is imported, and would else look for a screen.
        os.environ.setdefault("MUJOCO_GL", "egl")
    values = dict(options)
    if "resolution" in values:
        if "frame_size" in values:
            raise ValueError("resolution and frame_size say the same: give one of them.")
        values["frame_size"] = values.pop("resolution")
    if "frame_size" in values:
        values["frame_size"] = _sides(values["frame_size"])
    for name, least in (("frame_skip", 1), ("warmup_steps", 0)):
        if not isinstance(values.get(name, least), int) or values.get(name, least) < least:
            raise ValueError(f"{name} must be a whole number, at least {least}. Received: {values[name]!r}.")
    if values.get("channels", 1) not in (1, 3):
        raise ValueError(f"channels must be 1, grey, or 3, colour. Received: {values['channels']!r}.")
    if values.get("channels", 1) == 3 and not values.get("greyscale", True):
        raise ValueError("greyscale says whether frames of one channel are grey: leave it out in colour.")
    if values.get("crop") is not None:
        values["crop"] = _whole_numbers("crop", values["crop"], (4,), "TOP,LEFT,BOTTOM,RIGHT")
    if not isinstance(values.get("env_options", {}), dict):
        raise ValueError(f"env_options must be a dictionary. Received: {values['env_options']!r}.")
    # As JSON has them, so that they are the same when they come from a file.
    said = json.loads(json.dumps(values))
    return EnvironmentWorld(env_id, said, **values)


def _sides(value: Any) -> tuple[int, int]:
    sides = _whole_numbers("frame_size", value, (1, 2), "a side such as 32, or HEIGHT,WIDTH such as 48,64")
    if not all(4 <= side <= 4096 for side in sides):
        raise ValueError(f"The sides of a frame must be between 4 and 4096. Received: {sides}.")
    return sides[0], sides[-1]


def _whole_numbers(name: str, value: Any, counts: tuple[int, ...], words: str) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(numbers) not in counts or not all(type(number) is int for number in numbers):
        raise ValueError(f"{name} must be {words}. Received: {value!r}.")
    return numbers


def _make(env_id: str, env_options: dict[str, Any]) -> Any:
    """Make an environment that draws offscreen."""
    try:
        import gymnasium
    except ImportError as error:
        raise ValueError(
            f"gym:{env_id} needs Gymnasium, which is not installed: {called.install('gymnasium')}"
        ) from error
    if module := env_id.rpartition(":")[0]:
        check_trusted(module, f"World 'gym:{env_id}'")
    if taken := sorted({"render_mode", "id", "disable_env_checker"} & set(env_options)):
        raise ValueError(f"env_options cannot have {taken[0]!r}: environments are drawn as rgb_array here.")
    if env_id.startswith("ALE/"):
        _register_ale(gymnasium, env_id)
    try:
        spec = gymnasium.spec(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(_unknown(gymnasium, env_id, error)) from error
    try:
        with warnings.catch_warnings():
            # That it cannot be drawn is said in our own words.
            warnings.filterwarnings("ignore", message=".*render_mode.*")
            env = gymnasium.make(spec, render_mode="rgb_array", disable_env_checker=True, **env_options)
    except (gymnasium.error.DependencyNotInstalled, ImportError) as error:
        raise ValueError(
            f"gym:{env_id} needs a package that is not installed: {_first_line(error)}"
        ) from error
    # Whatever its code raises.
    except Exception as error:
        if "argument 'render_mode'" in str(error):
            raise ValueError(_not_drawn(env_id, [])) from error
        given = f" with env_options {json.dumps(env_options)}" if env_options else ""
        raise ValueError(f"gym:{env_id} cannot be made{given}: {_first_line(error)}") from error
    modes = env.metadata.get("render_modes") or []
    if "rgb_array" not in modes:
        raise ValueError(_not_drawn(env_id, modes))
    return env


def _register_ale(gymnasium: Any, env_id: str) -> None:
    try:
        ale_py = importlib.import_module("ale_py")
        gymnasium.register_envs(ale_py)
        # Its greeting would stand between a command and its output.
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    except ImportError as error:
        raise ValueError(f"gym:{env_id} needs the package ale-py: pip install ale-py") from error


def _unknown(gymnasium: Any, env_id: str, error: Exception) -> str:
    ids = {name.lower(): name for name in gymnasium.registry}
    close = difflib.get_close_matches(env_id.lower(), ids, n=3)
    hint = f" Did you mean {' or '.join('gym:' + ids[name] for name in close)}?" if close else ""
    why = "" if close else f" {_first_line(error)}"
    return f"Gymnasium {gymnasium.__version__} has no environment {env_id!r}.{hint}{why}"


def _not_drawn(env_id: str, modes: list[str]) -> str:
    of = f"Its render modes: {', '.join(map(str, modes)) or 'none'}"
    return f"gym:{env_id} cannot be drawn: it has no render mode rgb_array. {of}."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # What Gymnasium adds to an error of an environment's own.
    lines = lines[0].split(" was raised from the environment creator")
    return lines[0] if lines[0].endswith(".") else f"{lines[0]}."


def _packages_of(env: Any) -> list[str]:
    """Return the installed packages that an environment is simulated and drawn with, beside Gymnasium."""
    module = type(env.unwrapped).__module__.split(".")
    modules = [module[0]]
    if module[:2] == ["gymnasium", "envs"]:
        modules = [_PACKAGES[module[2]]] if len(module) > 2 and module[2] in _PACKAGES else []
    by_module = metadata.packages_distributions()
    return [package for name in modules for package in by_module.get(name, [])[:1]]
