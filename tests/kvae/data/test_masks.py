import numpy as np
import pytest

from kvae.data import masks


@pytest.mark.parametrize(
    ("num_steps", "num_given", "num_hidden", "expected"),
    [
        (8, 2, 3, "11000111"),
        (8, 2, 6, "11000000"),
        (8, 2, 60, "11000000"),
        (8, 0, 1, "01111111"),
        (8, 2, 0, "11111111"),
        (2, 4, 3, "11"),
        (1, 0, 1, "0"),
    ],
)
def test_planning_hides_the_frames_after_the_given_ones(num_steps, num_given, num_hidden, expected):
    mask = masks.planning_mask(3, num_steps, num_given, num_hidden)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, [[int(digit) for digit in expected]] * 3)


def test_random_hides_later_frames_alone():
    mask = masks.random_mask(400, 20, 4, 0.3, 0)
    assert mask.shape == (400, 20)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {0, 1}
    assert (mask[:, :4] == 1).all()
    # 6400 draws: the standard deviation of the fraction is 0.006.
    assert 1 - mask[:, 4:].mean() == pytest.approx(0.3, abs=0.03)
    # Frames are hidden one by one: sequences and steps differ.
    assert len(np.unique(mask, axis=0)) > 390
    assert np.abs(1 - mask[:, 4:].mean(axis=0) - 0.3).max() < 0.1


def test_random_at_its_ends():
    np.testing.assert_array_equal(masks.random_mask(5, 9, 4, 0.0, 0), np.ones([5, 9]))
    np.testing.assert_array_equal(masks.random_mask(5, 9, 4, 1.0, 0), [[1] * 4 + [0] * 5] * 5)
    np.testing.assert_array_equal(masks.random_mask(1, 1, 0, 1.0, 0), [[0]])


def test_random_follows_its_seed():
    first = masks.random_mask(5, 20, 4, 0.5, [0, 3])
    np.testing.assert_array_equal(first, masks.random_mask(5, 20, 4, 0.5, [0, 3]))
    assert (first != masks.random_mask(5, 20, 4, 0.5, [0, 4])).any()
    assert (first != masks.random_mask(5, 20, 4, 0.5, [1, 3])).any()


def test_hidden_steps_are_the_inverse():
    observed = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    np.testing.assert_array_equal(masks.hidden_steps(observed, 2, 3), [[0, 1, 0], [1, 1, 0]])
    # What the mask does not reach, the model has not seen; what it says of later steps is not asked.
    longer = masks.hidden_steps(observed, 2, 5)
    assert longer.dtype == bool
    np.testing.assert_array_equal(longer, [[0, 1, 0, 1, 1], [1, 1, 0, 1, 1]])
    np.testing.assert_array_equal(masks.hidden_steps(observed, 2, 2), [[0, 1], [1, 1]])
    np.testing.assert_array_equal(masks.hidden_steps(observed.tolist(), 2, 3), [[0, 1, 0], [1, 1, 0]])


def test_without_a_mask_nothing_is_hidden():
    hidden = masks.hidden_steps(None, 2, 3)
    assert hidden.dtype == bool
    np.testing.assert_array_equal(hidden, np.zeros([2, 3]))


@pytest.mark.parametrize("shape", [(3, 5), (5,), (2, 5, 1)])
def test_a_mask_of_other_sequences_is_refused(shape):
    with pytest.raises(ValueError, match="N = 2") as error:
        masks.hidden_steps(np.ones(shape), 2, 5)
    assert str(shape) in str(error.value)
