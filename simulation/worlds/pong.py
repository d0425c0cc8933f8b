"""Pong: balls between two paddles that follow them."""

from dataclasses import dataclass
from typing import Any

import pymunk

from simulation.worlds.ball import WHITE, BallParameters, BallWorld, ball_world, state_of


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

    _LENGTHS = (
        *BallParameters._LENGTHS,
        *("paddle_x", "paddle_half_length", "paddle_radius", "paddle_reach", "paddle_step"),
    )


class PongWorld(BallWorld):
    """Balls between floor, roof and two paddles; a frame shows what is there after its step."""

    def _simulate(self, initial_state, num_steps):
        p = self._parameters
        space, balls = self._make_space(initial_state)
        middles = [self.image_shape[0] / 2 for _ in p.paddle_x]
        paddles = [self._paddle(space) for _ in p.paddle_x]
        frames, states = [], []
        for _ in range(num_steps):
            for i, x in enumerate(p.paddle_x):
                middles[i] = self._follow(middles[i], x, balls)
                ends = (x, middles[i] - p.paddle_half_length), (x, middles[i] + p.paddle_half_length)
                paddles[i].unsafe_set_endpoints(*ends)
            # Out after every step and in again: so pymunk forgets what it knew of their contacts with the
            # ball, as it did in the original simulator.
            space.add(*paddles)
            self._step(space)
            states.append(state_of(balls))
            frames.append(self._draw(space, balls, paddles))
            space.remove(*paddles)
        return frames, states

    def _draw(self, space, balls, paddles):
        self._canvas.clear()
        for paddle in paddles:
            self._canvas.draw_options.draw_fat_segment(paddle.a, paddle.b, paddle.radius, WHITE, WHITE)
        self._draw_balls(space, balls)
        return self._canvas.content()

    def _follow(self, middle, x, balls):
        """Return where the middle of the paddle at x is in the next step: it follows the nearest ball."""
        p = self._parameters
        _, y = min((ball.position for ball in balls), key=lambda position: abs(position.x - x))
        if y < middle - p.paddle_reach:
            return middle - min(middle - p.paddle_half_length, p.paddle_step)
        if y > middle + p.paddle_reach:
            return middle + min(self.image_shape[0] - (middle + p.paddle_half_length), p.paddle_step)
        return middle

    def _paddle(self, space):
        p = self._parameters
        paddle = pymunk.Segment(space.static_body, (0, 0), (0, 0), radius=p.paddle_radius)
        paddle.elasticity = p.paddle_elasticity
        paddle.friction = p.friction
        return paddle


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
