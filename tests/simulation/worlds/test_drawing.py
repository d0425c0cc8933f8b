import numpy as np
import pygame
import pytest
from pymunk.space_debug_draw_options import SpaceDebugColor

from simulation.worlds.drawing import TruncatingDrawOptions

WHITE = SpaceDebugColor(255, 255, 255, 255)


@pytest.fixture
def surface():
    return pygame.Surface((16, 16), depth=24)


def lit_pixels(surface):
    columns, rows = np.nonzero(pygame.surfarray.array3d(surface).any(axis=-1))
    return set(zip(columns.tolist(), rows.tolist(), strict=True))


def test_coordinates_are_truncated_and_the_y_axis_points_up(surface):
    TruncatingDrawOptions(surface).draw_fat_segment((3.9, 5.9), (6.9, 5.9), 0, WHITE, WHITE)
    assert lit_pixels(surface) == {(3, 11), (4, 11), (5, 11), (6, 11)}


def test_segment_of_radius_one_is_two_pixels_wide(surface):
    TruncatingDrawOptions(surface).draw_fat_segment((3.0, 4.0), (3.0, 8.0), 1, WHITE, WHITE)
    assert len({column for column, _ in lit_pixels(surface)}) == 2
    assert len(lit_pixels(surface)) == 10


def test_contact_mark_is_a_line_between_its_pixels(surface):
    TruncatingDrawOptions(surface).draw_segment((2.7, 6.2), (6.7, 6.2), WHITE)
    assert {(2, 10), (4, 10), (6, 10)} <= lit_pixels(surface)


@pytest.mark.parametrize(("angle", "edge"), [(0.0, (11, 8)), (np.pi / 2 - 0.01, (8, 5))])
def test_circle_with_its_radius_line(surface, angle, edge):
    TruncatingDrawOptions(surface).draw_circle((8.9, 8.9), angle, 3.0, WHITE, WHITE)
    lit = lit_pixels(surface)
    assert edge in lit
    assert (8, 8) in lit
    assert all(abs(column - 8) <= 3 and abs(row - 8) <= 3 for column, row in lit)
    assert 22 <= len(lit) <= 30
