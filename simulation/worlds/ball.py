"""A ball that bounces about between walls: what the worlds of the KVAE paper share."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import pygame
import pymunk
from numpy.typing import ArrayLike, NDArray
from pymunk.space_debug_draw_options import SpaceDebugColor

from simulation.worlds.base import Quantity, Sequences, World
from simulation.worlds.drawing import TruncatingDrawOptions

_WHITE = SpaceDebugColor(255, 255, 255, 255)


@dataclass(frozen=True)
class BallParameters:
    """A ball world in numbers; lengths in pixels, the origin at the lower left, the y axis up.

    The defaults are those of the original code's simulator (Fraccaro et al., NIPS 2017).

    Attributes:
        wall_corners: corners (x, y) of the closed path that the walls follow.
        gravity: acceleration (x, y), pixels per squared unit of time.
        start_std: standard deviation of the initial position, per coordinate.
        speed_range: the initial speed is uniform between these, pixels per unit of time; its angle
            is uniform too.
        start_mean: mean of the normal initial position, per coordinate.
        start_range: what the initial position is clipped to, per coordinate.
        image_size: (H, W).
        dt: time between two frames, and the step of the physics.
        ball_radius: radius of the ball.
        ball_mass: mass of the ball.
        ball_elasticity: elasticity of the ball; what a bounce keeps of the speed across a wall is
            the product of the ball's and the wall's.
        wall_elasticity: elasticity of the walls.
        friction: friction of ball and walls.
        contact_marks: a frame shows a line for every contact of the step before it, as pymunk's
            debug drawing has it.
    """

    wall_corners: tuple[tuple[float, float], ...]
    gravity: tuple[float, float]
    start_std: float
    speed_range: tuple[float, float]
    start_mean: float = 16.0
    start_range: tuple[float, float] = (6.0, 26.0)
    image_size: tuple[int, int] = (32, 32)
    dt: float = 0.2
    ball_radius: float = 3.0
    ball_mass: float = 1.0
    ball_elasticity: float = 1.0
    wall_elasticity: float = 1.0
    friction: float = 0.0
    contact_marks: bool = True


class BallWorld(World):
    """A ball between walls on a closed path; binary frames, each drawn before its step.

    Not safe to share between threads: all frames are drawn on one surface.
    """

    state_quantities = (
        Quantity("x", "pixel", "ball centre, from the left edge"),
        Quantity("y", "pixel", "ball centre, from the bottom edge"),
        Quantity("vx", "pixel / time unit", "ball velocity to the right"),
        Quantity("vy", "pixel / time unit", "ball velocity upwards"),
    )
    control_quantities = ()

    def __init__(self, name: str, parameters: BallParameters):
        self.name = name
        self.image_shape = parameters.image_size
        # Through JSON and back, so that it equals what a dataset file's metadata says.
        self.parameters = json.loads(json.dumps(asdict(parameters)))
        self._parameters = parameters
        height, width = parameters.image_size
        self._surface = pygame.Surface((width, height), depth=24)
        self._draw_options = TruncatingDrawOptions(self._surface)
        self._draw_options.flags = pymunk.SpaceDebugDrawOptions.DRAW_COLLISION_POINTS
        self._walls = self._draw_walls()

    def sample_initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw x, y, vx, vy of one sequence, [4]."""
        p = self._parameters
        position = np.clip(rng.normal(p.start_mean, p.start_std, size=2), *p.start_range)
        angle = rng.uniform(0.0, 2.0 * math.pi)
        speed = rng.uniform(*p.speed_range)
        return np.array([*position, speed * math.cos(angle), speed * math.sin(angle)])

    def rollout(self, initial_states: ArrayLike, num_steps: int = 20) -> Sequences:
        """Simulate from initial states [N, 4] (x, y, vx, vy); see `World.rollout`."""
        initial_states = self._check_rollout_arguments(initial_states, num_steps)
        num_sequences = len(initial_states)
        images = np.empty((num_sequences, num_steps, *self.image_shape), dtype=np.uint8)
        states = np.empty((num_sequences, num_steps, 4))
        for n, initial_state in enumerate(initial_states):
            images[n], states[n] = self._simulate(initial_state.tolist(), num_steps)
        controls = np.zeros((num_sequences, num_steps, 0), dtype=np.float32)
        return Sequences(images, states, controls)

    def _simulate(
        self, initial_state: list[float], num_steps: int
    ) -> tuple[NDArray[np.uint8], list[tuple[float, ...]]]:
        """Simulate one sequence: images [T, H, W], and x, y, vx, vy of every frame."""
        # A space of its own: contacts that pymunk remembers must not reach the next sequence.
        space, ball = self._make_space(initial_state)
        frames = []
        states = []
        for _ in range(num_steps):
            states.append((*ball.position, *ball.velocity))
            frames.append(self._draw(space, ball))
            space.step(self._parameters.dt)
        return (self._binarise(frames) | self._walls) * np.uint8(255), states

    def _make_space(self, initial_state: list[float]) -> tuple[pymunk.Space, pymunk.Body]:
        p = self._parameters
        space = pymunk.Space()
        space.gravity = p.gravity
        for start, end in self._wall_ends():
            wall = pymunk.Segment(space.static_body, start, end, radius=0)
            wall.elasticity = p.wall_elasticity
            wall.friction = p.friction
            space.add(wall)
        ball = pymunk.Body(p.ball_mass, pymunk.moment_for_circle(p.ball_mass, 0, p.ball_radius))
        ball.position = initial_state[0], initial_state[1]
        ball.velocity = initial_state[2], initial_state[3]
        circle = pymunk.Circle(ball, p.ball_radius)
        circle.elasticity = p.ball_elasticity
        circle.friction = p.friction
        space.add(ball, circle)
        return space, ball

    def _wall_ends(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        corners = self._parameters.wall_corners
        return list(zip(corners, (*corners[1:], corners[0]), strict=True))

    def _draw_walls(self) -> NDArray[np.bool_]:
        """Draw the walls, [1, H, W]; they are the same in every frame."""
        self._surface.fill(0)
        for start, end in self._wall_ends():
            self._draw_options.draw_fat_segment(start, end, 0, _WHITE, _WHITE)
        return self._binarise([pygame.image.tobytes(self._surface, "RGB")])

    def _draw(self, space: pymunk.Space, ball: pymunk.Body) -> bytes:
        """Draw a frame without its walls; H * W * 3 bytes, row by row from the top."""
        self._surface.fill(0)
        self._draw_options.draw_circle(
            ball.position, ball.angle, self._parameters.ball_radius, _WHITE, _WHITE
        )
        if self._parameters.contact_marks:
            space.debug_draw(self._draw_options)
        return pygame.image.tobytes(self._surface, "RGB")

    def _binarise(self, frames: list[bytes]) -> NDArray[np.bool_]:
        """Where T drawn frames are not black, [T, H, W]."""
        pixels = np.frombuffer(b"".join(frames), dtype=np.uint8)
        pixels = pixels.reshape(len(frames), *self.image_shape, 3)
        return (pixels[..., 0] | pixels[..., 1] | pixels[..., 2]) > 0
