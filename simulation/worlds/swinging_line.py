"""A rod that swings around its end, drawn as a line: the pendulum of the recurrent Kalman network's authors.

After Becker et al., "Recurrent Kalman networks", ICML 2019, who fill in its hidden frames.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from .base import PhysicsWorld, Quantity, Sequences
from .registry import register

RESOLUTION = 24
"""Pixels along a side of the world as it is."""

OPTIONS = ("resolution",)


@dataclass(frozen=True)
class SwingingLineParameters:
    """A swinging line in numbers.

    The dynamics, theta'' = (m g l / I) sin(theta) - c theta' with theta = 0 upright and I = m l^2 / 3, and
    their numbers are those of the paper's public code.

    Attributes:
        mass: m.
        length: l.
        friction: c.
        gravity: g.
        dt: seconds between two frames.
        substep: seconds of a step of the physics: Euler's, the velocity first.
        velocity_noise: standard deviation of what every frame's velocity gets.
        angle_noise: standard deviation of the angle that is drawn about the one that is stored.
        image_size: (H, W).
        canvas: pixels along a side of what is drawn; frames are reduced from it.
        line_length: in those pixels.
        line_width: likewise.
    """

    mass: float = 1.0
    length: float = 1.0
    friction: float = 0.1
    gravity: float = 9.81
    dt: float = 0.05
    substep: float = 1e-4
    velocity_noise: float = 0.1
    angle_noise: float = 1e-5
    image_size: tuple[int, int] = (RESOLUTION, RESOLUTION)
    canvas: int = 128
    line_length: float = 55.0
    line_width: int = 8


class SwingingLine(PhysicsWorld):
    """The swinging line. It begins anywhere, at rest; what comes then nobody can foretell for long."""

    num_train = 2000
    # Longer sequences than those of other worlds: curves take their time.
    num_test = 200
    num_steps = 75
    packages = ("numpy", "pillow")

    name = "swinging_line"
    state_quantities = (
        Quantity("angle", "radian", "from hanging down, counter-clockwise, in [-pi, pi)"),
        Quantity("velocity", "radian / second", "angular velocity, counter-clockwise"),
    )
    control_quantities = ()

    def __init__(self, parameters: SwingingLineParameters, options: dict[str, Any] | None = None):
        self.options = options or {}
        self.image_shape = parameters.image_size
        self.parameters = json.loads(json.dumps(asdict(parameters)))
        self._parameters = parameters

    def sample_initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw angle and velocity of one sequence, [2]."""
        return np.array([rng.uniform(-math.pi, math.pi), 0.0])

    def sample_sequence(self, rng: np.random.Generator, num_steps: int | None = None) -> Sequences:
        """Draw one sequence (N = 1), with the noise of its velocities and of what is drawn."""
        num_steps = self.num_steps if num_steps is None else num_steps
        return self.rollout(self.sample_initial_state(rng)[None], num_steps, rng)

    def rollout(
        self, initial_states: ArrayLike, num_steps: int = 75, rng: np.random.Generator | None = None
    ) -> Sequences:
        """Simulate from initial states [N, 2] (angle, velocity); see `PhysicsWorld.rollout`.

        Args:
            initial_states: [N, 2].
            num_steps: frames of each sequence.
            rng: what all noise is drawn from; None: no noise.
        """
        initial_states = self._check_rollout_arguments(initial_states, num_steps)
        p, shape = self._parameters, (len(initial_states), num_steps)
        pushes, jitter = np.zeros(shape), np.zeros(shape)
        if rng is not None:
            # Streams of their own, so that a short sequence is the beginning of a long one.
            of_velocity, of_angle = rng.spawn(2)
            pushes = p.velocity_noise * of_velocity.normal(size=shape)
            jitter = p.angle_noise * of_angle.normal(size=shape)
        states = np.empty((*shape, 2))
        for n, (angle, velocity) in enumerate(initial_states.tolist()):
            states[n] = self._simulate(angle, velocity, pushes[n].tolist())
        states[..., 0] = wrapped(states[..., 0])
        images = self.draw(states[..., 0] + jitter)
        return Sequences(images, states, np.empty((*shape, 0), np.float32))

    def render(self, states: ArrayLike) -> NDArray[np.uint8]:
        """See `PhysicsWorld.render`."""
        return self.draw(np.asarray(states)[..., 0])

    def swing(self, theta: Any, velocity: Any) -> tuple[Any, Any]:
        """Return angle and velocity one frame later, without noise.

        Args:
            theta: angles from upright: a number, or an array, of which each entry is a line of its own.
            velocity: of the same shape.
        """
        p = self._parameters
        sin = np.sin if isinstance(theta, np.ndarray) else math.sin
        inertia = p.mass * p.length**2 / 3
        pull = p.mass * p.gravity * p.length / inertia
        for _ in range(round(p.dt / p.substep)):
            velocity = velocity + p.substep * (pull * sin(theta) - p.friction * velocity)
            theta = theta + p.substep * velocity
        return theta, velocity

    def draw(self, angles: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Draw lines at angles from hanging down, white on black: [*angles.shape, H, W]."""
        p = self._parameters
        height, width = p.image_size
        images = np.empty((angles.size, height, width), np.uint8)
        middle = p.canvas / 2
        for frame, angle in zip(images, angles.ravel(), strict=True):
            picture = Image.new("F", (p.canvas, p.canvas), 0.0)
            end = (middle + p.line_length * np.sin(angle), middle + p.line_length * np.cos(angle))
            ImageDraw.Draw(picture).line([(middle, middle), end], fill=1.0, width=p.line_width)
            reduced = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
            # Cut off, not rounded, as theirs are.
            frame[...] = 255 * np.clip(reduced, 0, 1)
        return images.reshape(*angles.shape, height, width)

    def _simulate(self, angle: float, velocity: float, pushes: list[float]) -> list[tuple[float, float]]:
        """Return angle and velocity at every frame; of each push what comes before it is over."""
        theta = angle + math.pi
        found = [(angle, velocity)]
        for push in pushes[1:]:
            theta, velocity = self.swing(theta, velocity)
            velocity += push
            found.append((theta - math.pi, velocity))
        return found


def wrapped(angles: Any) -> Any:
    """Return angles in [-pi, pi)."""
    return (angles + math.pi) % (2 * math.pi) - math.pi


@register("swinging_line", OPTIONS)
def swinging_line(resolution: int = RESOLUTION, **options: Any) -> SwingingLine:
    """Make the swinging line.

    Args:
        resolution: pixels along a side; the picture grows with it.
        options: none; see `make_world`.

    Raises:
        ValueError: the resolution is too small, or larger than what is drawn.
    """
    if not 8 <= resolution <= SwingingLineParameters.canvas:
        raise ValueError(
            f"resolution must be between 8 and {SwingingLineParameters.canvas}. Received: {resolution}."
        )
    parameters = SwingingLineParameters(image_size=(resolution, resolution))
    return SwingingLine(parameters, {} if resolution == RESOLUTION else {"resolution": resolution})
