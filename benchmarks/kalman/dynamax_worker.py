"""Run dynamax's Kalman filters and smoothers for `benchmarks.kalman`, in an environment of their own.

dynamax brings a nightly TensorFlow Probability that would overwrite ours. So this file runs on the
interpreter of another virtual environment, imports nothing of this project, and talks JSON: a request a
line on standard input, an answer a line on standard output, arrays as names of `.npz` files.

- `{"do": "versions"}` is answered with `{"versions": {package: version}}`;
- `{"do": "load", "problem": path, "one_model": bool}` reads the arrays y, A, C, Q, R, mu0, Sigma0, batch and
  time first; of A and C the first of the first sequence alone, if that is said to serve for all;
- `{"do": "run", "candidate": name, "task": name, "keep": path or null}` runs once, and is answered with
  `{"seconds": s}`; the arrays that came out are written to `keep`.
"""

import importlib.metadata
import json
import sys
import time

import jax
import numpy as np
from dynamax.linear_gaussian_ssm import inference, parallel_inference

MODULES = {"sequential": inference, "parallel": parallel_inference}


def functions(module, one_model):
    """Return the three tasks, compiled, as functions of the problem's arrays.

    With one model for all sequences what depends on no observation, such as a covariance, is computed once.
    """

    def parameters(A, C, Q, R, mu0, Sigma0):
        # dynamax 1.0.3 has `A[t]` lead into step t, as we do; earlier versions have it lead out of it.
        return inference.make_lgssm_params(mu0, Sigma0, A, Q, C, R)

    def over_batch(function):
        of_model = None if one_model else 0
        return jax.vmap(function, in_axes=(0, of_model, of_model, None, None, None, None), out_axes=0)

    def log_likelihood(y, *rest):
        return module.lgssm_filter(parameters(*rest), y).marginal_loglik

    def smoother(y, *rest):
        smoothed = module.lgssm_smoother(parameters(*rest), y)
        return smoothed.smoothed_means, smoothed.smoothed_covariances

    def total(*problem):
        return over_batch(log_likelihood)(*problem).sum()

    return {
        "log-likelihood": jax.jit(lambda *problem: (over_batch(log_likelihood)(*problem),)),
        "smoother": jax.jit(over_batch(smoother)),
        "gradient": jax.jit(jax.grad(total, argnums=(0, 1))),
    }


def main():
    """Answer requests until there are no more."""
    candidates = problem = None
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        if request["do"] == "versions":
            answer["versions"] = {p: importlib.metadata.version(p) for p in ("dynamax", "jax")}
        elif request["do"] == "load":
            with np.load(request["problem"]) as arrays:
                names = ("y", "A", "C", "Q", "R", "mu0", "Sigma0")
                problem = {name: arrays[name] for name in names}
            if request["one_model"]:
                problem |= {name: problem[name][0, 0] for name in ("A", "C")}
            problem = [jax.numpy.asarray(problem[name]) for name in names]
            candidates = {name: functions(module, request["one_model"]) for name, module in MODULES.items()}
            jax.clear_caches()
        else:
            function = candidates[request["candidate"]][request["task"]]
            start = time.perf_counter()
            results = jax.block_until_ready(function(*problem))
            answer["seconds"] = time.perf_counter() - start
            if request["keep"]:
                np.savez(request["keep"], *(np.asarray(result) for result in results))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
