"""Pong: balls between two paddles that follow them."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pymunk

from .ball import OPTIONS, WHITE, BallParameters, BallWorld, ball_world, state_of
from .registry import register


@dataclass(frozen=True)
class PongParameters(BallParameters):
    """Pong in numbers, beside those of every ball world.

    Attributes:
        paddle_x: where the paddles stand.
        paddle_half_length: half their length, between the centres of their round ends.
        paddle_radius: half their width.
        paddle_elasticity: their elasticity.
        paddle_reach: how far from a paddle's middle the ball may be, up or down, before it follows.
        paddle_step: how far a paddle moves between two frames.
    """

    paddle_x: tuple[float, float] = (0.0, 30.0)
    paddle_half_length: float = 3.0
    paddle_radius: float = 1.0
    paddle_elasticity: float = 0.99
    paddle_reach: float = 1.0
    paddle_step: float = 2.0

    _LENGTHS: ClassVar[tuple[str, ...]] = (
        *BallParameters._LENGTHS,
        *("paddle_x", "paddle_half_length", "paddle_radius", "paddle_reach", "paddle_step"),
    )


class PongWorld(BallWorld):
    """Balls between floor, roof and two paddles; a frame shows what is there after its step."""

    def _simulate(self, initial_state, num_steps):
        p = self._parameters
        space, balls = self._make_space(initial_state)
        # No ball can ever be quicker than if it had the energy of all.
        speed = math.sqrt(sum(ball.velocity.length_squared for ball in balls))
        reach = p.ball_radius + p.paddle_radius + p.dt * speed
        paddle_x = p.paddle_x
        paddles = [self._make_paddle(space) for _ in paddle_x]
        middles = self._first_middles()
        frames, states = [], []
        for _ in range(num_steps):
            positions = [ball.position for ball in balls]
            middles = self._follow(middles, positions)
            ends = self._ends(middles)
            # Out after every step and in again: so pymunk forgets what it knew of their contacts with the
            # ball, as it did in the original simulator. One that no ball can touch now is not needed.
            present = []
            for i, x in enumerate(paddle_x):
                if any(abs(position[0] - x) <= reach for position in positions):
                    paddles[i].unsafe_set_endpoints(*ends[i])
                    present.append(paddles[i])
            space.add(*present)
            self._step(space)
            states.append(state_of(balls))
            self._canvas.clear()
            self._draw_paddles(ends)
            self._draw_balls(space, balls)
            frames.append(self._canvas.content())
            space.remove(*present)
        return frames, states

    def _render(self, states):
        """Draw states [T, num_balls, 4], the paddles where they are if the balls move so."""
        frames = []
        middles = self._first_middles()
        # The paddles follow what is there before the step.
        before = states[0, :, :2] - self._parameters.dt * states[0, :, 2:]
        for balls in states:
            middles = self._follow(middles, before)
            before = balls[:, :2]
            self._canvas.clear()
            self._draw_paddles(self._ends(middles))
            for number, (x, y, _, _) in enumerate(balls):
                self._draw_ball(number, (x, y), 0.0)
            frames.append(self._canvas.content())
        return frames

    def _draw_paddles(self, ends):
        for a, b in ends:
            self._canvas.draw_options.draw_fat_segment(a, b, self._parameters.paddle_radius, WHITE, WHITE)

    def _first_middles(self):
        return [self.image_shape[0] / 2 for _ in self._parameters.paddle_x]

    def _ends(self, middles):
        p = self._parameters
        half = p.paddle_half_length
        return [((x, y - half), (x, y + half)) for x, y in zip(p.paddle_x, middles, strict=True)]

    def _follow(self, middles, positions):
        """Return where the paddles' middles are in the next step: each follows the ball nearest to it."""
        p = self._parameters
        found = []
        for middle, paddle_x in zip(middles, p.paddle_x, strict=True):
            y = min((abs(x - paddle_x), y) for x, y in positions)[1]
            if y < middle - p.paddle_reach:
                middle -= min(middle - p.paddle_half_length, p.paddle_step)
            elif y > middle + p.paddle_reach:
                middle += min(self.image_shape[0] - (middle + p.paddle_half_length), p.paddle_step)
            found.append(middle)
        return found

    def _make_paddle(self, space):
        p = self._parameters
        paddle = pymunk.Segment(space.static_body, (0, 0), (0, 0), radius=p.paddle_radius)
        paddle.elasticity = p.paddle_elasticity
        paddle.friction = p.friction
        return paddle


@register("pong", OPTIONS)
def pong(**options: Any) -> PongWorld:
    """Make pong, where the paddles are quick enough to miss no ball."""
    parameters = PongParameters(
        walls=(((0.0, 1.0), (32.0, 1.0)), ((0.0, 32.0), (32.0, 32.0))),
        room=((0.0, 1.0), (0.0, 32.0), (30.0, 32.0), (30.0, 1.0)),
        gravity=(0.0, 0.0),
        start_std=3.0,
        speed_range=(10.0, 10.0),
        ball_elasticity=0.9,
        wall_elasticity=0.99,
    )
    return ball_world("pong", parameters, options, PongWorld)
