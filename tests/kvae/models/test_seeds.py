import itertools

import numpy as np
import pytest
import tensorflow as tf

from kvae.models import seeds


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (3, [3, 0]),
        (np.int64(3), [3, 0]),
        ([3, 5], [3, 5]),
        (np.array([1, 2]), [1, 2]),
        (2**31 - 1, [2**31 - 1, 0]),
    ],
)
def test_a_seed_is_one_number_or_two(seed, expected):
    found = seeds.stateless_seed(seed)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


def test_a_tensor_is_taken_as_it_is_in_a_graph_too():
    seed = tf.constant([7, -8])
    np.testing.assert_array_equal(seeds.stateless_seed(seed), seed)
    np.testing.assert_array_equal(tf.function(seeds.stateless_seed)(seed), seed)


@pytest.mark.parametrize("seed", [-1, 2**31, 0.5, True, [1, 2, 3], [], "3", [[1, 2]]])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 2147483647"):
        seeds.stateless_seed(seed)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        tf.function(lambda x: seeds.stateless_seed(x))(tf.zeros([2]))


def test_a_stream_repeats_and_never_gives_a_seed_twice():
    first, again = (np.array(list(itertools.islice(seeds.stream(seed), 50))) for seed in (3, [3, 0]))
    np.testing.assert_array_equal(first, again)
    other = np.array(list(itertools.islice(seeds.stream(4), 50)))
    assert len({tuple(row) for row in [*first, *other]}) == 100
