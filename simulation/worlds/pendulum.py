"""A pendulum with a motor in its pivot, seen as small grey pictures with noise."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pymunk
from numpy.typing import ArrayLike, NDArray

from .base import PhysicsWorld, Quantity, Sequences
from .registry import register

RESOLUTION = 16
"""Pixels along a side of the world as it is."""

OPTIONS = ("resolution",)


@dataclass(frozen=True)
class PendulumParameters:
    """A pendulum in numbers; lengths in the picture are in pixels.

    The dynamics, m l^2 phi'' = -mu phi' + m g l sin(phi) + u with phi = 0 upright, and their numbers are
    those of Karl et al., "Deep Variational Bayes Filters", ICLR 2017; that paper leaves the rest open.

    Attributes:
        mass: m.
        length: l, from the pivot to the bob.
        friction: mu.
        gravity: g.
        dt: seconds between two frames; the torque is held in between.
        substeps: steps of the physics in that time.
        max_speed: phi' starts uniform between minus this and this, phi uniform on the circle.
        max_torque: the torque of every step is uniform between minus this and this.
        image_size: (H, W).
        arm_length: from the middle of the frame to the bob's.
        bob_radius: radius of the bob.
        noise_std: standard deviation of the noise that every pixel gets, of 1 for white.
    """

    mass: float = 1.0
    length: float = 1.0
    friction: float = 0.5
    gravity: float = 9.81
    dt: float = 0.1
    substeps: int = 10
    max_speed: float = 4.0
    max_torque: float = 5.0
    image_size: tuple[int, int] = (RESOLUTION, RESOLUTION)
    arm_length: float = 5.0
    bob_radius: float = 1.5
    noise_std: float = 0.05


class Pendulum(PhysicsWorld):
    """The pendulum; its sequences have a torque for every step, and frames that are drawn before it."""

    num_train = 500
    num_steps = 15

    name = "pendulum"
    state_quantities = (
        Quantity("phi", "radian", "angle from upright, clockwise, in (-pi, pi]"),
        Quantity("dphi", "radian / second", "angular velocity, clockwise"),
    )
    control_quantities = (
        Quantity("torque", "newton metre", "torque between the frame before and this one, clockwise"),
    )

    def __init__(self, parameters: PendulumParameters, options: dict[str, Any] | None = None):
        self.options = options or {}
        self.image_shape = parameters.image_size
        self.parameters = json.loads(json.dumps(asdict(parameters)))
        self._parameters = parameters

    def sample_initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw phi and phi' of one sequence, [2]."""
        p = self._parameters
        return np.array([rng.uniform(-math.pi, math.pi), rng.uniform(-p.max_speed, p.max_speed)])

    def sample_sequence(self, rng: np.random.Generator, num_steps: int | None = None) -> Sequences:
        """Draw one sequence (N = 1), its torques and the noise of its frames too."""
        num_steps = self.num_steps if num_steps is None else num_steps
        # Streams of their own, so that a short sequence is the beginning of a long one.
        of_torque, of_noise = rng.spawn(2)
        torque = of_torque.uniform(-1, 1, size=[1, num_steps, 1]) * self._parameters.max_torque
        torque[:, 0] = 0.0
        return self.rollout(self.sample_initial_state(rng)[None], num_steps, torque, of_noise)

    def rollout(
        self,
        initial_states: ArrayLike,
        num_steps: int = 15,
        controls: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> Sequences:
        """Simulate from initial states [N, 2] (phi, phi'); see `PhysicsWorld.rollout`.

        Args:
            initial_states: [N, 2].
            num_steps: frames of each sequence.
            controls: torques [N, T, 1], entry t between the frames t - 1 and t; None: zeros.
            rng: what the pixels' noise is drawn from; None: no noise.
        """
        initial_states = self._check_rollout_arguments(initial_states, num_steps)
        shape = (len(initial_states), num_steps)
        torques = np.zeros((*shape, 1)) if controls is None else np.asarray(controls, np.float64)
        if torques.shape != (*shape, 1) or not np.isfinite(torques).all():
            raise ValueError(
                f"controls must be finite numbers of shape {[*shape, 1]}. "
                f"Received shape: {list(torques.shape)}."
            )
        # What is stored is what acted.
        stored = torques.astype(np.float32)
        states = np.empty((*shape, 2))
        for n, (phi, speed) in enumerate(initial_states.tolist()):
            states[n] = self._simulate(phi, speed, stored[n, :, 0].tolist())
        # Into (-pi, pi].
        states[..., 0] = math.pi - (math.pi - states[..., 0]) % (2 * math.pi)
        images = self._draw(states[..., 0])
        if rng is not None:
            images += self._parameters.noise_std * rng.normal(size=images.shape)
        return Sequences(_to_bytes(images), states, stored)

    def render(self, states: ArrayLike) -> NDArray[np.uint8]:
        """See `PhysicsWorld.render`."""
        return _to_bytes(self._draw(np.asarray(states)[..., 0]))

    def _simulate(self, phi: float, speed: float, torques: list[float]) -> list[tuple[float, float]]:
        """Return phi and phi' at every frame."""
        p = self._parameters
        h = p.dt / p.substeps
        inertia = p.mass * p.length**2
        space = pymunk.Space()
        # pymunk's damping is the friction of the pivot: phi' shrinks by exp(-mu / (m l^2)) in a second.
        decay = p.friction / inertia
        space.damping = math.exp(-decay)
        # The body is what turns around the pivot, with the inertia m l^2 of a bob at the arm's end. Gravity
        # acts as the torque m g l sin(phi): a bob held in place by a joint would leave its circle a little.
        body = pymunk.Body(p.mass, inertia)
        space.add(body, pymunk.PivotJoint(space.static_body, body, (0, 0)))
        body.angle = phi
        weight = p.mass * p.gravity * p.length
        # pymunk moves a body and then changes its velocity, over the same h. With the velocities half a step
        # behind the angles, that is the leapfrog method, of second order in h. A torque that acts through a
        # step with friction gains less speed in it: the step's mean of exp(-decay t).
        half, whole = h / 2, -math.expm1(-decay * h) / (decay * h) if decay else 1.0
        found = [(phi, speed)]
        for torque in torques[1:]:
            # Half a step forward, from the frame to the first of the velocities in between ...
            body.angular_velocity = speed + half * self._acceleration(body.angle, speed, torque)
            for _ in range(p.substeps):
                body.torque = whole * (weight * math.sin(body.angle + h * body.angular_velocity) + torque)
                space.step(h)
            # ... and half a step back, to the velocity at the next frame.
            between = body.angular_velocity
            speed = between - half * self._acceleration(body.angle, between, torque)
            found.append((body.angle, speed))
        return found

    def _acceleration(self, phi: float, speed: float, torque: float) -> float:
        p = self._parameters
        moment = -p.friction * speed + p.mass * p.gravity * p.length * math.sin(phi) + torque
        return moment / (p.mass * p.length**2)

    def _draw(self, phi: NDArray[np.float64]) -> NDArray[np.float64]:
        """Draw the bob, white on black, [*phi.shape, H, W]; a pixel on its edge is grey."""
        p = self._parameters
        height, width = p.image_size
        # The middles of the pixels; y points up, rows go down.
        x, y = np.arange(width) + 0.5, height - (np.arange(height) + 0.5)
        across = x - (width / 2 + p.arm_length * np.sin(phi)[..., None])
        upwards = y - (height / 2 + p.arm_length * np.cos(phi)[..., None])
        distance = np.hypot(across[..., None, :], upwards[..., :, None])
        return np.clip(p.bob_radius + 0.5 - distance, 0.0, 1.0)


def _to_bytes(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.round(255 * np.clip(images, 0.0, 1.0)).astype(np.uint8)


@register("pendulum", OPTIONS)
def pendulum(resolution: int = RESOLUTION, **options: Any) -> Pendulum:
    """Make the pendulum.

    Args:
        resolution: pixels along a side; the picture grows with it.
        options: none; see `make_world`.

    Raises:
        ValueError: the resolution is too small.
    """
    if resolution < 8:
        raise ValueError(f"resolution must be at least 8. Received: {resolution}.")
    scale = resolution / RESOLUTION
    parameters = PendulumParameters(
        image_size=(resolution, resolution),
        arm_length=scale * PendulumParameters.arm_length,
        bob_radius=scale * PendulumParameters.bob_radius,
    )
    return Pendulum(parameters, {} if resolution == RESOLUTION else {"resolution": resolution})
