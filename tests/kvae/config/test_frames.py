import pytest

from kvae.config import Config, ModelOptions
from kvae.config.frames import for_frames, num_convolutions, padded_sides, words_of_grey, words_of_padding
from kvae.config.rules import ShapeError


@pytest.mark.parametrize(
    ("sides", "count"),
    [
        ((1, 1), 3),
        ((16, 16), 3),
        ((32, 32), 3),
        ((48, 63), 3),
        ((63, 512), 3),
        ((64, 64), 4),
        ((96, 64), 4),
        ((128, 128), 5),
        ((128, 1000), 5),
        ((256, 256), 6),
        ((4096, 4096), 10),
    ],
)
def test_larger_frames_have_more_convolutions(sides, count):
    assert num_convolutions(*sides) == count
    assert for_frames(Config(), sides).num_filters == (32,) * count


def test_what_is_left_open_becomes_numbers():
    grey, colour = for_frames(Config(), (32, 32)), for_frames(Config(), (64, 64, 3))
    assert (grey.channels, grey.num_filters) == (1, (32, 32, 32))
    assert (colour.channels, colour.num_filters) == (3, (32, 32, 32, 32))
    # And is asked no more.
    assert for_frames(colour, (64, 64, 3)) == colour
    assert Config.from_json(colour.to_json()) == colour
    assert for_frames(ModelOptions(), (8, 8)).channels == 1


def test_filters_that_are_given_stay():
    assert for_frames(Config(num_filters=(4, 8)), (128, 128, 3)).num_filters == (4, 8)
    assert for_frames(Config(conv=False), (128, 128)).num_filters == ()


def test_a_run_without_convolutions_from_before_can_be_read():
    assert Config(conv=False, num_filters=[32, 32, 32]) == Config(conv=False)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({"channels": 1}, (8, 8, 3), r"channels=1 the frames must be \(height, width\). Received: \(8, 8, 3"),
        ({"channels": 3}, (8, 8), r"channels=3 the frames must be \(height, width, 3\). Received: \(8, 8\)"),
        ({}, (8, 8, 4), r"\(height, width, 3\) in colour. Received: \(8, 8, 4\)"),
        ({}, (8, None), r"Received: \(8, None\)"),
        ({}, (0, 8), r"Received: \(0, 8\)"),
        ({}, (8,), r"Received: \(8,\)"),
    ],
)
def test_frames_that_cannot_be_are_refused(options, shape, message):
    with pytest.raises(ShapeError, match=message):
        for_frames(Config(**options), shape)


def test_shades_that_a_model_would_not_see_are_told():
    assert "--grey_targets True takes them as they are" in words_of_grey(Config(), is_two_valued=False)
    assert words_of_grey(Config(), is_two_valued=True) == ""
    for options in ({"grey_targets": True}, {"out_distr": "gaussian"}):
        assert words_of_grey(Config(**options), is_two_valued=False) == ""


def test_padding_is_to_the_next_multiple_and_told():
    assert padded_sides(30, 45, 3) == (32, 48)
    assert padded_sides(32, 64, 5) == (32, 64)
    told = words_of_padding(for_frames(Config(), (30, 45, 3)), (30, 45, 3))
    assert "30x45 are padded with black to 32x48, multiples of 8, for 3 convolutions" in told
    assert words_of_padding(for_frames(Config(), (32, 48)), (32, 48)) == ""
    assert words_of_padding(for_frames(Config(conv=False), (7, 5)), (7, 5)) == ""
