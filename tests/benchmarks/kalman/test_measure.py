import numpy as np
import pytest
import tensorflow as tf

from benchmarks.kalman import measure as benchmark
from benchmarks.kalman.measure import Options

OPTIONS = Options(lengths=(3,), batch_size=2, min_runs=1, max_runs=2)


def here(function, *arguments):
    """Call a function in this process, where the tests have replaced what it uses."""
    return function(*arguments)


def always(value):
    return lambda: (1.0, [np.array([value])])


def test_a_wrong_answer_is_not_timed_and_one_left_out_is_not_run():
    runs = {
        ("right", "smoother"): always(1.0),
        ("wrong", "smoother"): always(1.1),
        ("slow", "smoother"): None,
    }
    found = benchmark.measure(runs, {"smoother": [np.array([1.0])]}, {("slow", "smoother")}, OPTIONS)
    assert found["right", "smoother"].seconds == (1.0, 1.0)
    assert found["wrong", "smoother"].seconds == ()
    assert found["wrong", "smoother"].error == pytest.approx(0.1)
    assert np.isnan(found["slow", "smoother"].first)


def test_what_does_not_come_back_is_left_out_from_then_on():
    calls = []

    def sometimes():
        calls.append(1)
        if len(calls) == 2:
            raise TimeoutError
        return 1.0, [np.ones(1)]

    def never():
        raise TimeoutError

    runs = {
        ("sometimes", "smoother"): sometimes,
        ("never", "smoother"): never,
        ("a", "smoother"): always(1.0),
    }
    found = benchmark.measure(runs, {"smoother": [np.ones(1)]}, set(), OPTIONS)
    assert len(calls) == 2
    assert found["a", "smoother"].seconds == (1.0, 1.0)
    for name in ("sometimes", "never"):
        assert found[name, "smoother"].seconds == ()
        assert np.isnan(found[name, "smoother"].first)


def test_a_result_that_is_not_a_number_is_wrong():
    found = benchmark.measure({("a", "smoother"): always(np.nan)}, {"smoother": [np.ones(1)]}, set(), OPTIONS)
    assert found["a", "smoother"].seconds == ()


@pytest.fixture
def one_candidate(monkeypatch):
    def replace(run_at_length):
        def runs(problem):
            return {("ours, sequential", "smoother"): run_at_length(problem.y.shape[1])}

        monkeypatch.setattr(benchmark, "tensorflow_runs", runs)
        monkeypatch.setattr(benchmark, "ours", lambda module: {"smoother": lambda problem: [tf.ones([1])]})

    return replace


def test_a_disagreement_at_the_shortest_length_ends_the_program(one_candidate):
    one_candidate(lambda length: always(2.0))
    with pytest.raises(RuntimeError, match="At 3 steps"):
        benchmark.benchmark(OPTIONS, lambda table: None, here)


def test_what_would_take_too_long_is_left_out(one_candidate):
    one_candidate(lambda length: lambda: (float(length), [np.ones(1)]))
    options = Options(lengths=(2, 4, 8, 16, 32), batch_size=2, max_runs=1, min_runs=1, limit=10)
    table = benchmark.benchmark(options, lambda table: None, here)
    key = ("ours, sequential", "smoother")
    # Known to take 8 seconds at length 8, it must be expected to take 16 at length 16.
    assert [len(table[length][key].seconds) for length in options.lengths] == [1, 1, 1, 0, 0]
