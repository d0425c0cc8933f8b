"""What `benchmarks.kalman` times in this process: the filters and smoothers of kvae and TFP."""

import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from kvae.inference import kalman, kalman_parallel

tfd = tfp.distributions

TASKS = ("log-likelihood", "smoother", "gradient")


class Problem(NamedTuple):
    """The arguments of `kalman.filter`: [B, T, M] observations, all there, and controls that do nothing."""

    model: kalman.LinearGaussian
    y: tf.Tensor
    mask: tf.Tensor
    u: tf.Tensor


def random_problem(batch_size, num_steps, dim_z, dim_y, one_model=False, seed=0):
    """Draw a stable model with noise of ordinary size, and observations from it, in float64 numpy arrays.

    Args:
        batch_size: sequences.
        num_steps: steps of each.
        dim_z: dimension of the states.
        dim_y: dimension of the observations.
        one_model: the same A and C in all sequences and steps; else others in each.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    models = [1, 1] if one_model else [batch_size, num_steps]
    A = 0.95 * np.linalg.qr(rng.normal(size=[*models, dim_z, dim_z]))[0]
    C = rng.normal(size=[*models, dim_y, dim_z])
    A, C = (np.broadcast_to(M, [batch_size, num_steps, *M.shape[2:]]).copy() for M in (A, C))
    z = rng.normal(size=[batch_size, dim_z])
    y = np.empty([batch_size, num_steps, dim_y])
    for t in range(num_steps):
        if t:
            z = np.einsum("bij,bj->bi", A[:, t], z) + 0.3 * rng.normal(size=z.shape)
        y[:, t] = np.einsum("bij,bj->bi", C[:, t], z) + 0.3 * rng.normal(size=[batch_size, dim_y])
    model = kalman.LinearGaussian(
        A=A,
        B=np.zeros([batch_size, num_steps, dim_z, 1]),
        C=C,
        Q=0.09 * np.eye(dim_z),
        R=0.09 * np.eye(dim_y),
        mu0=np.zeros([dim_z]),
        Sigma0=np.eye(dim_z),
    )
    return Problem(model, y, np.ones([batch_size, num_steps]), np.zeros([batch_size, num_steps, 1]))


def tensors(problem, dtype=tf.float32):
    """Return a problem of arrays as one of tensors."""
    return tf.nest.map_structure(lambda array: tf.constant(array, dtype), problem)


# Candidates. Each is a dictionary of up to three functions from a `Problem` to a tuple of tensors:
# the log-likelihood of each sequence [B]; the smoothed means and covariances; the gradient of the summed
# log-likelihood with respect to y and A.


def with_gradient(log_likelihood, smoother):
    """Return the tasks of a candidate from its log-likelihood and its smoother."""

    def gradient(problem):
        with tf.GradientTape() as tape:
            tape.watch([problem.y, problem.model.A])
            total = tf.reduce_sum(log_likelihood(problem))
        return tuple(tape.gradient(total, [problem.y, problem.model.A]))

    return {
        "log-likelihood": lambda problem: (log_likelihood(problem),),
        "smoother": smoother,
        "gradient": gradient,
    }


def ours(module):
    """Return the tasks of `kalman` or `kalman_parallel`."""

    def log_likelihood(problem):
        return tf.reduce_sum(module.filter(*problem).log_likelihood, axis=1)

    def smoother(problem):
        smoothed = module.smooth(*problem)
        return smoothed.smoothed_mean, smoothed.smoothed_cov

    return with_gradient(log_likelihood, smoother)


def time_first(tensor):
    """Turn [B, T, ...] into [T, B, ...]."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])


def tfp_state_space_model():
    """Return the tasks of `LinearGaussianStateSpaceModel`, its time-varying matrices given as callables."""

    def model(problem):
        # A transition of TFP's leads out of the step whose number it has.
        A, C = time_first(kalman.next_step(problem.model.A)), time_first(problem.model.C)
        return tfd.LinearGaussianStateSpaceModel(
            num_timesteps=problem.y.shape[1],
            transition_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(tf.gather(A, t)),
            transition_noise=noise(problem.model.Q),
            observation_matrix=lambda t: tf.linalg.LinearOperatorFullMatrix(tf.gather(C, t)),
            observation_noise=noise(problem.model.R),
            initial_state_prior=tfd.MultivariateNormalTriL(
                problem.model.mu0, tf.linalg.cholesky(problem.model.Sigma0)
            ),
        )

    def noise(cov):
        return tfd.MultivariateNormalTriL(tf.zeros_like(cov[0]), tf.linalg.cholesky(cov))

    return with_gradient(
        lambda problem: model(problem).log_prob(problem.y),
        lambda problem: model(problem).posterior_marginals(problem.y),
    )


def tfp_parallel_filter():
    """Return the only task of TFP's parallel filter: it has no smoother, and its gradient is wrong.

    In TFP 0.25 the backward pass of `tfp.math.hpsd_quadratic_form_solve`, with which the filter makes its
    elements, takes the gradient that comes in for a symmetric matrix, and here it is none.
    """

    def log_likelihood(problem):
        num_steps = problem.y.shape[1]

        def every_step(tensor):
            return tf.broadcast_to(tensor, [num_steps, *tensor.shape])

        results = tfp.experimental.parallel_filter.kalman_filter(
            transition_matrix=time_first(kalman.next_step(problem.model.A)),
            transition_mean=every_step(tf.zeros_like(problem.model.mu0)),
            transition_cov=every_step(problem.model.Q),
            observation_matrix=time_first(problem.model.C),
            observation_mean=every_step(tf.zeros_like(problem.model.R[0])),
            observation_cov=every_step(problem.model.R),
            initial_mean=problem.model.mu0,
            initial_cov=problem.model.Sigma0,
            y=time_first(problem.y),
            mask=None,
        )
        return tf.reduce_sum(results.log_likelihoods, axis=0)

    return {"log-likelihood": lambda problem: (log_likelihood(problem),)}


TENSORFLOW = {
    "ours, sequential": lambda: ours(kalman),
    "ours, parallel": lambda: ours(kalman_parallel),
    "TFP, sequential": tfp_state_space_model,
    "TFP, parallel": tfp_parallel_filter,
}


def tensorflow_runs(problem):
    """Return {(candidate, task): run}, plain and compiled; `run()` returns seconds and arrays."""
    problem = tensors(problem)
    runs = {}
    for name, tasks in TENSORFLOW.items():
        for suffix, compiled in (("", None), (", XLA", True)):
            for task, function in tasks().items():
                # The arrays are arguments: constants would be folded, their transposes among them.
                runs[name + suffix, task] = timed(tf.function(function, jit_compile=compiled), problem)
    return runs


def timed(function, problem):
    """Return a function that calls `function(problem)` and returns the seconds it took and its arrays."""

    def run():
        start = time.perf_counter()
        results = function(problem)
        # On a GPU, calls return before they are done.
        tf.test.experimental.sync_devices()
        return time.perf_counter() - start, results

    return run
