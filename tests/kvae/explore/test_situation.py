"""What the address of the page says, and what becomes of what people type."""

from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvae.explore.situation import MAX_FUTURE, Situation, clamped, in_words, middle


@given(
    sequence=st.integers(0, 99),
    hidden=st.sets(st.integers(0, 19)),
    seed=st.integers(0, 10**6),
    future=st.integers(0, MAX_FUTURE),
)
def test_an_address_brings_everything_back(sequence, hidden, seed, future):
    situation = Situation("logs/a b&c=1", sequence, tuple(sorted(hidden)), seed, future)
    query = situation.query()
    assert query.startswith("?model=logs/a+b%26c%3D1&sequence=")
    given = dict(parse_qsl(query[1:], strict_parsing=True))
    assert Situation.of(given, given["model"], 100, 20) == situation


def test_an_address_can_be_read_by_people():
    situation = Situation("pong", 2, (4, 5, 6, 9))
    assert situation.query() == "?model=pong&sequence=3&hide=5-7,10"
    assert Situation("pong").query() == "?model=pong&sequence=1&hide=none"
    assert situation._replace(seed=3, future=40).query().endswith("&seed=3&imagine=40")
    # A clip is nowhere but on this page.
    assert situation._replace(clip="/some/where/clip.mp4").query() == "?model=pong"


@given(st.dictionaries(st.sampled_from(["sequence", "hide", "seed", "imagine", "model", "more"]), st.text()))
def test_whatever_an_address_says_is_in_range(given):
    found = Situation.of(given, "box", 7, 5)
    assert 0 <= found.sequence < 7
    assert set(found.hidden) <= set(range(5))
    assert list(found.hidden) == sorted(set(found.hidden))
    assert 0 <= found.future <= MAX_FUTURE
    assert found.clip == ""


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("none", []),
        ("", []),
        ("2", [1]),
        ("3-99", [2, 3, 4, 5]),
        ("0-1", [0]),
        ("4-2", []),
        ("6,1-2,9", [0, 1, 5]),
        ("-3", [2]),
    ],
)
def test_frames_are_read_as_far_as_they_are_there(text, hidden):
    assert list(Situation.of({"hide": text}, "box", 1, 6).hidden) == hidden


def test_without_an_address_the_middle_is_hidden():
    assert Situation.of({}, "box", 3, 20) == Situation("box", hidden=tuple(range(4, 16)))


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (3, 3),
        (3.4, 3),
        (0, 1),
        (-5, 1),
        (1e12, 10),
        ("inf", 10),
        ("nan", 7),
        ("", 7),
        ("one", 7),
        (None, 7),
        ("4", 4),
        ("9" * 500, 10),
    ],
)
def test_numbers_are_clamped(number, found):
    assert clamped(number, 1, 10, 7) == found


def test_frames_in_words():
    for hidden, text in (((), "none"), ((0,), "1"), ((4, 5, 6, 8, 19), "5-7, 9, 20")):
        steps = np.zeros(20, bool)
        steps[list(hidden)] = True
        assert in_words(steps) == text


@pytest.mark.parametrize(("num_steps", "hidden"), [(1, [0]), (2, [0]), (5, [1, 2, 3]), (20, range(4, 16))])
def test_the_middle_of_short_and_long_ones(num_steps, hidden):
    assert list(middle(num_steps)) == list(hidden)


def test_random_frames_are_others_every_time_and_the_same_for_an_address():
    now = Situation("box")
    once, twice = now.hide_at_random(20), now.hide_at_random(20).hide_at_random(20)
    assert once == now.hide_at_random(20)
    assert once.hidden != twice.hidden
    # The first is always seen.
    assert 0 not in {*once.hidden, *twice.hidden}


def test_a_click_hides_and_shows():
    now = Situation("box", hidden=(3, 5))
    assert now.toggle(4).hidden == (3, 4, 5)
    assert now.toggle(3).hidden == (5,)
