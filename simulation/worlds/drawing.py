"""Drawing as the original simulator did: pymunk 5's debug drawing on a pygame surface."""

import functools
import math

import numpy as np
import pygame
import pymunk
import pymunk.pygame_util
from numpy.typing import NDArray
from pymunk.space_debug_draw_options import SpaceDebugColor

SUPERSAMPLING = 4
"""Pixels along each side of a greyscale pixel, of which it is the mean."""

_as_int = functools.cache(SpaceDebugColor.as_int)


class Canvas:
    """A surface to draw frames on.

    Args:
        image_size: (H, W) of the frames.
        greyscale: anti-aliased, by drawing larger and averaging; else white where anything was drawn.
        colours: frames have three channels, and what was drawn keeps its colour.

    Attributes:
        draw_options: what draws on it, in the coordinates of the frames.
    """

    def __init__(self, image_size: tuple[int, int], greyscale: bool, colours: bool = False):
        self._greyscale, self._colours = greyscale, colours
        scale = SUPERSAMPLING if greyscale else 1
        self._height, self._width = (scale * side for side in image_size)
        self._surface = pygame.Surface((self._width, self._height), depth=24)
        self.draw_options = TruncatingDrawOptions(self._surface, scale)
        self.draw_options.flags = pymunk.SpaceDebugDrawOptions.DRAW_COLLISION_POINTS
        if greyscale or colours:
            self.draw_options.collision_point_color = SpaceDebugColor(255, 255, 255, 255)

    def clear(self) -> None:
        """Make everything black."""
        self._surface.fill(0)

    def content(self) -> bytes:
        """Return what was drawn, for `images`."""
        return pygame.image.tobytes(self._surface, "RGB")

    def images(self, contents: list[bytes]) -> NDArray[np.uint8]:
        """Return frames [T, H, W], or with colours [T, H, W, 3], from what was drawn."""
        pixels = np.frombuffer(b"".join(contents), dtype=np.uint8)
        pixels = pixels.reshape(len(contents), self._height, self._width, 3)
        if not self._colours:
            # All that is drawn is white, or pymunk's red of the contact marks: red is never the least.
            pixels = pixels[..., :1]
        if not self._greyscale:
            frames = pixels if self._colours else (pixels > 0) * np.uint8(255)
        else:
            k = SUPERSAMPLING
            blocks = pixels.reshape(len(contents), self._height // k, k, self._width // k, k, -1)
            frames = np.round(blocks.mean(axis=(2, 4))).astype(np.uint8)
        return frames if self._colours else frames[..., 0]


class TruncatingDrawOptions(pymunk.pygame_util.DrawOptions):
    """Draws a pymunk space with every coordinate truncated to a pixel and the y axis up.

    pymunk 5, with which the data of the KVAE paper (Fraccaro et al., NIPS 2017) was made, truncated
    where pymunk 7 rounds; rounding moves a ball by up to a pixel. Only what the original's worlds
    consist of differs from pymunk 7: circles, segments (contact marks) and fat segments (walls).

    Args:
        surface: what to draw on.
        scale: pixels of the surface to a unit of length.
    """

    def __init__(self, surface: pygame.Surface, scale: int = 1):
        super().__init__(surface)
        self._scale = scale
        self._height = surface.get_height()

    def draw_circle(
        self,
        pos: tuple[float, float],
        angle: float,
        radius: float,
        outline_color: SpaceDebugColor,
        fill_color: SpaceDebugColor,
    ) -> None:
        """Draw a filled circle and the line from its centre to its edge at `angle`."""
        x, y = pos
        centre = self._pixel(pos)
        edge = self._pixel((x + radius * math.cos(angle), y + radius * math.sin(angle)))
        pygame.draw.circle(self.surface, _as_int(fill_color), centre, round(self._scale * radius))
        pygame.draw.line(self.surface, _as_int(outline_color), centre, edge)

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
        """Draw a line that is `2 * radius` wide, and at least one unit of length."""
        width = int(self._scale * max(1, 2 * radius))
        pygame.draw.line(self.surface, _as_int(fill_color), self._pixel(a), self._pixel(b), width)

    def _pixel(self, point: tuple[float, float]) -> tuple[int, int]:
        return int(self._scale * point[0]), self._height - int(self._scale * point[1])
