"""Balls that bounce about between walls: what the worlds of the KVAE paper share."""

import dataclasses
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import pymunk
import shapely
from numpy.typing import ArrayLike, NDArray
from pymunk.space_debug_draw_options import SpaceDebugColor

from .base import PhysicsWorld, Quantity, Sequences
from .drawing import Canvas

WHITE = SpaceDebugColor(255, 255, 255, 255)
PALETTE = tuple(
    SpaceDebugColor(*rgb, 255)
    for rgb in ((255, 0, 0), (0, 130, 0), (182, 0, 190), (0, 109, 109), (86, 86, 0))
)
"""Red, green, magenta, cyan and yellow, all of the same luma (ITU-R 601): in grey they are one shade."""

Point = tuple[float, float]
W = TypeVar("W", bound="BallWorld")

RESOLUTION = 32
"""Pixels along a side of the worlds as they are."""

OPTIONS = ("num_balls", "resolution", "greyscale", "colours", "friction", "damping", "contacts", "substeps")
"""What can be different in every ball world."""

SUBSTEPS_OF_SEVERAL = 10
"""Steps of the physics between two frames where there are several balls, unless told otherwise."""

MAX_TRIES = 10000
"""How often a ball's start is drawn until all neither overlap nor touch a wall ..."""

NEAR_TRIES = 200
"""... and how often from the world's own distribution; then from anywhere between the walls."""


@dataclass(frozen=True)
class BallParameters:
    """A ball world in numbers; lengths in pixels, the origin at the lower left, the y axis up.

    The defaults are those of the original code's simulator (Fraccaro et al., NIPS 2017).

    Attributes:
        walls: the ends of every wall, ((x, y), (x, y)).
        room: corners of the closed path within which the balls start.
        gravity: acceleration (x, y), pixels per squared unit of time.
        start_std: standard deviation of the initial position, per coordinate.
        speed_range: the initial speed is uniform between these, pixels per unit of time; its angle
            is uniform too.
        start_mean: mean (x, y) of the normal initial position.
        start_range: what the initial position is clipped to, per coordinate.
        image_size: (H, W).
        dt: time between two frames.
        substeps: steps of the physics in that time. The original's worlds have 1, in which a ball that is
            quick enough, or pushed by another, can end up on the far side of a wall.
        num_balls: balls, all alike but for their colours, which bounce off each other.
        ball_radius: radius of a ball.
        ball_mass: mass of a ball.
        ball_elasticity: elasticity of a ball; what a bounce keeps of the speed across a wall is
            the product of the ball's and the wall's.
        wall_elasticity: elasticity of the walls.
        friction: friction of balls and walls.
        damping: share of its velocity that a ball keeps over a unit of time.
        contacts: a frame shows a line for every contact of the step before it, as pymunk's
            debug drawing has it.
        greyscale: anti-aliased frames, grey unless there are colours; else a pixel is black or white, or of
            the colour of a ball.
        colours: frames in colour, in which each ball has another one of `PALETTE`; there is nothing else to
            tell two balls from each other.
    """

    walls: tuple[tuple[Point, Point], ...]
    room: tuple[Point, ...]
    gravity: Point
    start_std: float
    speed_range: tuple[float, float]
    start_mean: Point = (16.0, 16.0)
    start_range: tuple[float, float] = (6.0, 26.0)
    image_size: tuple[int, int] = (32, 32)
    dt: float = 0.2
    substeps: int = 1
    num_balls: int = 1
    ball_radius: float = 3.0
    ball_mass: float = 1.0
    ball_elasticity: float = 1.0
    wall_elasticity: float = 1.0
    friction: float = 0.0
    damping: float = 1.0
    contacts: bool = True
    greyscale: bool = False
    colours: bool = False

    # What grows with the resolution.
    _LENGTHS: ClassVar[tuple[str, ...]] = (
        *("walls", "room", "gravity", "start_std", "speed_range", "start_mean", "start_range"),
        "ball_radius",
    )

    def scaled(self, factor):
        """Return the same world with all lengths, speeds and accelerations times `factor`."""
        lengths = {name: _times(getattr(self, name), factor) for name in self._LENGTHS}
        sides = tuple(round(factor * side) for side in self.image_size)
        return dataclasses.replace(self, **lengths, image_size=sides)

    def check(self):
        """Raise ValueError for numbers with which there is no such world."""
        height, width = self.image_size
        if not self.num_balls >= 1:
            raise ValueError(f"num_balls must be at least 1. Received: {self.num_balls}.")
        if self.colours and self.num_balls > len(PALETTE):
            raise ValueError(
                f"There are colours for {len(PALETTE)} balls. Received: num_balls={self.num_balls}."
            )
        if not self.substeps >= 1:
            raise ValueError(f"substeps must be at least 1. Received: {self.substeps}.")
        if not 0 <= self.friction < math.inf:
            raise ValueError(f"friction must be a number, not negative. Received: {self.friction}.")
        if not 0 < self.damping <= 1:
            raise ValueError(
                "damping, the share of its velocity that a ball keeps over a unit of time, must be above 0 "
                f"and at most 1. Received: {self.damping}."
            )
        room = shapely.Polygon(self.room)
        if not room.is_valid:
            raise ValueError(
                "The walls must be a path that does not cross itself: "
                f"{shapely.is_valid_reason(room)}. Received: {list(self.room)}."
            )
        if not shapely.box(0, 0, width, height).covers(room):
            raise ValueError(
                f"The walls must lie in the frame, x from 0 to {width}, y from 0 to {height}. "
                f"Received: {list(self.room)}."
            )
        # More than a share of the room and there would hardly be a start without balls that overlap.
        needed = self.num_balls * math.pi * self.ball_radius**2
        too_many = self.num_balls > 1 and needed > 0.35 * room.area
        if room.buffer(-self.ball_radius).is_empty or too_many:
            balls = "A ball" if self.num_balls == 1 else f"{self.num_balls} balls"
            raise ValueError(f"{balls} of radius {self.ball_radius:g} will not fit between the walls.")


class BallWorld(PhysicsWorld):
    """Balls between walls; each frame is drawn before its step.

    Not safe to share between threads: all frames are drawn on one surface.

    Args:
        name: the name by which `make_world` knows it.
        parameters: a `BallParameters`.
        options: see `World.options`.

    Raises:
        ValueError: there is no world with these parameters.
    """

    control_quantities = ()

    def __init__(self, name: str, parameters: BallParameters, options: dict[str, Any] | None = None):
        parameters.check()
        self.name = name
        self.options = options or {}
        self.image_shape = (*parameters.image_size, 3) if parameters.colours else parameters.image_size
        self.state_quantities = _state_quantities(parameters.num_balls)
        # Through JSON and back, so that it equals what a dataset file's metadata says.
        self.parameters = json.loads(json.dumps(asdict(parameters)))
        if not parameters.colours:
            # Nor do the files of before say anything of them.
            del self.parameters["colours"]
        self._parameters = parameters
        self._room = shapely.Polygon(parameters.room).buffer(-parameters.ball_radius)
        self._canvas = Canvas(parameters.image_size, parameters.greyscale, parameters.colours)
        self._walls = self._draw_walls()

    def sample_initial_state(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw x, y, vx, vy of every ball, [4 * num_balls]."""
        p = self._parameters
        balls: list[NDArray[np.float64]] = []
        for attempt in range(MAX_TRIES):
            if attempt < NEAR_TRIES:
                position = np.clip(rng.normal(p.start_mean, p.start_std), *p.start_range)
            else:
                position = rng.uniform(self._room.bounds[:2], self._room.bounds[2:])
            angle = rng.uniform(0.0, 2.0 * math.pi)
            speed = rng.uniform(*p.speed_range)
            if self._fits(position, balls):
                balls.append(np.array([*position, speed * math.cos(angle), speed * math.sin(angle)]))
                if len(balls) == p.num_balls:
                    return np.concatenate(balls)
        raise ValueError(
            f"No start was found where {p.num_balls} balls of radius {p.ball_radius:g} fit between the walls."
        )

    def rollout(self, initial_states: ArrayLike, num_steps: int = 20) -> Sequences:
        """Simulate from initial states [N, 4 * num_balls]; see `PhysicsWorld.rollout`."""
        initial_states = self._check_rollout_arguments(initial_states, num_steps)
        num_sequences = len(initial_states)
        images = np.empty((num_sequences, num_steps, *self.image_shape), dtype=np.uint8)
        states = np.empty((num_sequences, num_steps, initial_states.shape[1]))
        for n, initial_state in enumerate(initial_states):
            frames, states[n] = self._simulate(initial_state.reshape(-1, 4).tolist(), num_steps)
            images[n] = np.maximum(self._canvas.images(frames), self._walls)
        controls = np.zeros((num_sequences, num_steps, 0), dtype=np.float32)
        return Sequences(images, states, controls)

    def render(self, states: ArrayLike) -> NDArray[np.uint8]:
        """See `PhysicsWorld.render`; the balls are drawn as if they had not turned."""
        states = np.asarray(states, np.float64)
        frames = [self._render(sequence.reshape(len(sequence), -1, 4)) for sequence in states]
        return np.stack([np.maximum(self._canvas.images(of_one), self._walls) for of_one in frames])

    def _render(self, states: NDArray[np.float64]) -> list[bytes]:
        """Draw states [T, num_balls, 4], without the walls."""
        frames = []
        for balls in states:
            self._canvas.clear()
            for number, (x, y, _, _) in enumerate(balls):
                self._draw_ball(number, (x, y), 0.0)
            frames.append(self._canvas.content())
        return frames

    def _fits(self, position: NDArray[np.float64], others: list[NDArray[np.float64]]) -> bool:
        """Tell whether a ball may start here."""
        between = 2.0 * self._parameters.ball_radius
        if any(math.dist(position, other[:2]) < between for other in others):
            return False
        return self._room.covers(shapely.Point(position))

    def _simulate(
        self, initial_state: list[list[float]], num_steps: int
    ) -> tuple[list[bytes], list[list[float]]]:
        """Simulate one sequence: what the canvas holds, and x, y, vx, vy of every ball, at every frame."""
        # A space of its own: contacts that pymunk remembers must not reach the next sequence.
        space, balls = self._make_space(initial_state)
        frames, states = [], []
        for _ in range(num_steps):
            states.append(state_of(balls))
            frames.append(self._draw(space, balls))
            self._step(space)
        return frames, states

    def _step(self, space: pymunk.Space) -> None:
        """Go on to the next frame."""
        p = self._parameters
        for _ in range(p.substeps):
            space.step(p.dt / p.substeps)

    def _make_space(self, initial_state: list[list[float]]) -> tuple[pymunk.Space, list[pymunk.Body]]:
        p = self._parameters
        space = pymunk.Space()
        space.gravity = p.gravity
        space.damping = p.damping
        for start, end in p.walls:
            wall = pymunk.Segment(space.static_body, start, end, radius=0)
            wall.elasticity = p.wall_elasticity
            wall.friction = p.friction
            space.add(wall)
        balls = []
        for x, y, vx, vy in initial_state:
            ball = pymunk.Body(p.ball_mass, pymunk.moment_for_circle(p.ball_mass, 0, p.ball_radius))
            ball.position = x, y
            ball.velocity = vx, vy
            circle = pymunk.Circle(ball, p.ball_radius)
            circle.elasticity = p.ball_elasticity
            circle.friction = p.friction
            space.add(ball, circle)
            balls.append(ball)
        return space, balls

    def _draw_walls(self) -> NDArray[np.uint8]:
        """Draw the walls, [1, H, W] or [1, H, W, 3]; they are the same in every frame."""
        self._canvas.clear()
        for start, end in self._parameters.walls:
            self._canvas.draw_options.draw_fat_segment(start, end, 0, WHITE, WHITE)
        return self._canvas.images([self._canvas.content()])

    def _draw(self, space: pymunk.Space, balls: list[pymunk.Body]) -> bytes:
        """Draw a frame without its walls."""
        self._canvas.clear()
        self._draw_balls(space, balls)
        return self._canvas.content()

    def _draw_balls(self, space: pymunk.Space, balls: list[pymunk.Body]) -> None:
        for number, ball in enumerate(balls):
            self._draw_ball(number, ball.position, ball.angle)
        if self._parameters.contacts:
            space.debug_draw(self._canvas.draw_options)

    def _draw_ball(self, number: int, position: Point, angle: float) -> None:
        radius = self._parameters.ball_radius
        colour = PALETTE[number] if self._parameters.colours else WHITE
        self._canvas.draw_options.draw_circle(position, angle, radius, colour, colour)


def ball_world(name: str, parameters: BallParameters, options: dict[str, Any], world: type[W]) -> W:
    """Make a world from its parameters in frames of 32 by 32, changed by `OPTIONS`.

    Args:
        name: see `World.name`.
        parameters: a `BallParameters`.
        options: see `World.options`.
        world: the class of the world.

    Raises:
        ValueError: there is no world with these parameters.
    """
    changed = {field: options[field] for field in OPTIONS if field in options}
    if changed.get("num_balls", 1) > 1:
        changed.setdefault("substeps", SUBSTEPS_OF_SEVERAL)
    resolution = changed.pop("resolution", RESOLUTION)
    if resolution < 8:
        raise ValueError(f"resolution must be at least 8. Received: {resolution}.")
    scale = resolution / RESOLUTION
    return world(name, dataclasses.replace(parameters, **changed).scaled(scale), options)


def closed_path(corners: tuple[Point, ...]) -> tuple[tuple[Point, Point], ...]:
    """Return the walls along a closed path."""
    return tuple(zip(corners, (*corners[1:], corners[0]), strict=True))


def state_of(balls: list[pymunk.Body]) -> list[float]:
    """Return x, y, vx, vy of every ball."""
    return [number for ball in balls for number in (*ball.position, *ball.velocity)]


def _state_quantities(num_balls: int) -> tuple[Quantity, ...]:
    quantities = (
        Quantity("x", "pixel", "ball centre, from the left edge"),
        Quantity("y", "pixel", "ball centre, from the bottom edge"),
        Quantity("vx", "pixel / time unit", "ball velocity to the right"),
        Quantity("vy", "pixel / time unit", "ball velocity upwards"),
    )
    if num_balls == 1:
        return quantities
    return tuple(
        quantity._replace(name=f"{quantity.name}_{i}", description=f"ball {i}: {quantity.description}")
        for i in range(1, num_balls + 1)
        for quantity in quantities
    )


def _times(value, factor):
    if isinstance(value, tuple):
        return tuple(_times(item, factor) for item in value)
    return factor * value
