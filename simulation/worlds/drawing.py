"""Drawing as the original simulator did: pymunk 5's debug drawing on a pygame surface."""

import pygame
import pymunk
import pymunk.pygame_util
from pymunk.space_debug_draw_options import SpaceDebugColor


class TruncatingDrawOptions(pymunk.pygame_util.DrawOptions):
    """Draws a pymunk space with every coordinate truncated to a pixel and the y axis up.

    pymunk 5, with which the data of the KVAE paper (Fraccaro et al., NIPS 2017) was made, truncated
    where pymunk 7 rounds; rounding moves a ball by up to a pixel. Only what the original's worlds
    consist of differs from pymunk 7: circles, segments (contact marks) and fat segments (walls).
    """

    def draw_circle(
        self,
        pos: tuple[float, float],
        angle: float,
        radius: float,
        outline_color: SpaceDebugColor,
        fill_color: SpaceDebugColor,
    ) -> None:
        """Draw a filled circle and the line from its centre to its edge at `angle`."""
        centre = self._pixel(pos)
        edge = self._pixel(pymunk.Vec2d(*pos) + pymunk.Vec2d.from_polar(radius, angle))
        pygame.draw.circle(self.surface, fill_color.as_int(), centre, round(radius))
        pygame.draw.line(self.surface, outline_color.as_int(), centre, edge)

    def draw_segment(self, a: tuple[float, float], b: tuple[float, float], color: SpaceDebugColor) -> None:
        """Draw an anti-aliased line."""
        pygame.draw.aalines(self.surface, color.as_int(), False, [self._pixel(a), self._pixel(b)])

    def draw_fat_segment(
        self,
        a: tuple[float, float],
        b: tuple[float, float],
        radius: float,
        outline_color: SpaceDebugColor,
        fill_color: SpaceDebugColor,
    ) -> None:
        """Draw a line that is `2 * radius` wide, and at least one pixel."""
        width = int(max(1, 2 * radius))
        pygame.draw.line(self.surface, fill_color.as_int(), self._pixel(a), self._pixel(b), width)

    def _pixel(self, point: tuple[float, float]) -> tuple[int, int]:
        return int(point[0]), self.surface.get_height() - int(point[1])
