import pytest
import tensorflow as tf

from benchmarks.kalman import candidates
from benchmarks.kalman.measure import error_of
from kvae.inference import kalman


@pytest.fixture(scope="module")
def problem():
    return candidates.random_problem(2, 3, 4, 2)


@pytest.fixture(scope="module")
def expected(problem):
    tasks = candidates.ours(kalman)
    return {task: function(candidates.tensors(problem, tf.float64)) for task, function in tasks.items()}


@pytest.mark.parametrize("name", candidates.TENSORFLOW)
def test_candidates_agree(name, problem, expected):
    tasks = candidates.TENSORFLOW[name]()
    assert "log-likelihood" in tasks
    for task, function in tasks.items():
        found = function(candidates.tensors(problem, tf.float64))
        assert error_of(found, expected[task]) < 1e-6, task


def test_one_model_serves_all_sequences_and_steps():
    problem = candidates.random_problem(3, 5, 4, 2, one_model=True)
    for matrix in (problem.model.A, problem.model.C):
        assert matrix.shape[:2] == (3, 5)
        assert (matrix == matrix[0, 0]).all()
    other = candidates.random_problem(3, 5, 4, 2)
    assert not (other.model.A[0, 0] == other.model.A).all()
