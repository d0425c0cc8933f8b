"""The learned mixture of linear-Gaussian state space models that explains how codes move."""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from kvae.inference import kalman, kalman_parallel
from kvae.inference import small_matrices as small
from kvae.system.device import has_gpu, use_full_float32

tfd = tfp.distributions

PARALLEL_FROM = 100
"""Steps from which a GPU runs filter and smoother in parallel. A guess, not measured."""


class Dynamics(NamedTuple):
    """The state space model at every step, mixed by alpha.

    Attributes:
        alpha: [B, T, K] mixture weights.
        model: the `kalman.LinearGaussian` of states [dim_z] and codes [dim_a] that they mix; with
            learn_offset its B has one column more than a control has entries, the offset.
        u: [B, T, dim_u] control inputs, with learn_offset a constant 1 after them.
    """

    alpha: tf.Tensor
    model: kalman.LinearGaussian
    u: tf.Tensor

    def map_sequences(self, function: Callable[[tf.Tensor], tf.Tensor]) -> "Dynamics":
        """Apply a function to what each sequence has of its own."""
        return Dynamics(function(self.alpha), self.model.map_sequences(function), function(self.u))


class RollOut(NamedTuple):
    """A generated sequence: states [B, T, dim_z], codes [B, T, dim_a], alpha [B, T, K]."""

    states: tf.Tensor
    codes: tf.Tensor
    alpha: tf.Tensor


class MixtureStateSpaceModel(keras.layers.Layer):
    """A linear-Gaussian state space model whose matrices are mixed anew at every step.

    ::

        A_t = sum_k alpha_t[k] A[k]      (B_t, C_t alike)
        z_1 ~ N(mu0, Sigma0);   z_t = A_t z_{t-1} + B_t u_t + N(0, Q)
        a_t = C_t z_t + N(0, R)

    where alpha_t comes from a network that sees the codes before t. The base matrices A, B, C and the
    code a_0 that precedes the first are learned; mu0 = 0, and Sigma0, Q and R are multiples of the
    identity. Source: Fraccaro et al., NIPS 2017, section 3. Beyond it, Sigma0, Q and R may be learned, as
    diagonal matrices; and the transitions may have an offset each, sum_k alpha_t[k] b[k]. No linear map turns
    a velocity around at a wall that is not at the origin; an affine one does.

    Args:
        network: a `DynamicsParameterNetwork`.
        dim_a: dimension of a code.
        dim_z: dimension of the state.
        dim_u: dimension of the control input.
        K: number of components.
        transition_variance: Q's diagonal.
        emission_variance: R's diagonal.
        initial_variance: Sigma0's diagonal.
        matrix_stddev: standard deviation of the initial B and C; A starts at the identity.
        seed: a `keras.random.SeedGenerator` for the initial weights.
        learn_noise: learn the three variances, one for each dimension, from those values on.
        learn_offset: give each transition an offset, the last column of B.
    """

    def __init__(
        self,
        network,
        dim_a,
        dim_z,
        dim_u,
        K,
        transition_variance,
        emission_variance,
        initial_variance,
        matrix_stddev,
        seed,
        learn_noise=False,
        learn_offset=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        use_full_float32()
        self.network = network
        self.dim_a, self.dim_z, self.dim_u, self.K = dim_a, dim_z, dim_u, K
        self.learn_noise, self.learn_offset = learn_noise, learn_offset
        self.mu0 = tf.zeros([dim_z])
        self.initial_variances = {
            "Sigma0": (initial_variance, dim_z),
            "Q": (transition_variance, dim_z),
            "R": (emission_variance, dim_a),
        }
        self.log_variances = {}
        self.matrix_initializer = keras.initializers.RandomNormal(stddev=matrix_stddev, seed=seed)

    def build(self, input_shape=None):
        """Create the learned matrices; the shapes follow from the arguments of the constructor."""
        z, u, a, K = self.dim_z, self.dim_u + int(self.learn_offset), self.dim_a, self.K
        self.A = self.add_weight((K, z, z), initializer=_identity, name="A")
        self.B = self.add_weight((K, z, u), initializer=self.matrix_initializer, name="B")
        self.C = self.add_weight((K, a, z), initializer=self.matrix_initializer, name="C")
        self.a_0 = self.add_weight((a,), initializer="zeros", name="a_0")
        if self.learn_noise:
            for name, (variance, size) in self.initial_variances.items():
                start = keras.initializers.Constant(math.log(variance))
                self.log_variances[name] = self.add_weight((size,), initializer=start, name=f"log_{name}")

    @property
    def Sigma0(self):
        """Covariance of the first state [dim_z, dim_z]."""
        return self._covariance("Sigma0")

    @property
    def Q(self):
        """Covariance of the transition noise [dim_z, dim_z]."""
        return self._covariance("Q")

    @property
    def R(self):
        """Covariance of the emission noise [dim_a, dim_a]."""
        return self._covariance("R")

    def _covariance(self, name):
        if self.learn_noise:
            return tf.linalg.diag(tf.exp(self.log_variances[name]))
        variance, size = self.initial_variances[name]
        return variance * tf.eye(size)

    def inputs(self, u, learned_u=None):
        """Return what B is multiplied with: controls [..., dim_u], learned ones if given, and maybe a 1."""
        u = u if learned_u is None else learned_u
        if not self.learn_offset:
            return u
        return tf.concat([u, tf.ones_like(u[..., :1])], axis=-1)

    def prior(self):
        """Return p(z_1), a distribution over [dim_z]."""
        return tfd.MultivariateNormalTriL(self.mu0, tf.linalg.cholesky(self.Sigma0))

    def transition(self, z, A, B, u):
        """Return p(z_t | z_{t-1}, u_t) for z_{t-1} [..., dim_z] and the matrices of step t."""
        mean = tf.linalg.matvec(A, z) + tf.linalg.matvec(B, u)
        return tfd.MultivariateNormalTriL(mean, tf.linalg.cholesky(self.Q))

    def emission(self, z, C):
        """Return p(a_t | z_t) for z_t [..., dim_z] and the matrix of step t."""
        return tfd.MultivariateNormalTriL(tf.linalg.matvec(C, z), tf.linalg.cholesky(self.R))

    def posterior(self, smoothed):
        """Return the smoothed marginals p(z_t | a_1..a_T), a distribution over [dim_z] per step."""
        return tfd.MultivariateNormalTriL(smoothed.smoothed_mean, tf.linalg.cholesky(smoothed.smoothed_cov))

    def mix(self, alpha):
        """Mix the base matrices by weights [..., K], all of them in one product.

        Returns:
            A [..., dim_z, dim_z], B [..., dim_z, dim_u], C [..., dim_a, dim_z].
        """
        with tf.name_scope("mix"):
            base = [self.A, self.B, self.C]
            flat = tf.concat([tf.reshape(matrix, [self.K, -1]) for matrix in base], axis=1)
            sizes = [matrix.shape[1] * matrix.shape[2] for matrix in base]
            parts = tf.split(tf.tensordot(alpha, flat, axes=1), sizes, axis=-1)
            batch = tf.shape(alpha)[:-1]
            static = alpha.shape[:-1]
            mixed = []
            for part, matrix in zip(parts, base, strict=True):
                mixed.append(tf.reshape(part, tf.concat([batch, matrix.shape[1:]], axis=0)))
                mixed[-1].set_shape([*static, *matrix.shape[1:]])
            return mixed

    def filter(self, codes, mask, u):
        """Find alpha and run the Kalman filter.

        With every code there (mask None) the network runs once over the sequence and all matrices are
        mixed in one product. Where codes are missing the network is fed the filter's prediction
        C_t m_{t|t-1} in their place, so network and filter run step by step together.

        Args:
            codes: [B, T, dim_a]; where the mask is 0 any value is ignored.
            mask: [B, T], 1 = observed, or None: every code is there.
            u: [B, T, dim_u] control inputs, replaced where the network learns its own.

        Returns:
            A `kalman.Filtered`, in float64 as there, and the `Dynamics`.
        """
        if mask is None:
            dynamics = self._dynamics_of_sequence(codes, u)
            observed = tf.ones_like(codes[..., 0])
            run = inference_for(codes.shape[1]).filter
            with tf.name_scope("kalman_filter"):
                filtered = run(dynamics.model, codes, observed, dynamics.u)
            return filtered, dynamics
        with tf.name_scope("alpha_and_kalman_filter"):
            return self._filter_in_step(codes, tf.cast(mask, codes.dtype), u)

    def compiled_log_likelihood(self, codes, mask, u, weight):
        """Return the weighted sum of `filter`'s log-likelihood, with its gradient, from one compiled call.

        XLA: on a CPU it makes the many small steps of filter and network faster, and convolutions slower; so
        this part is compiled on its own. What its gradient needs cannot cross the border of a compiled
        call, hence the gradient is taken inside, and once for every call: use it where one is wanted.

        Args:
            codes: as in `filter`.
            mask: as in `filter`.
            u: as in `filter`.
            weight: [B], of each sequence in the sum.

        Returns:
            A scalar.
        """
        if tf.executing_eagerly():
            # Nothing is compiled then, and TensorFlow's gradients of the call below would be wrong.
            filtered, _ = self.filter(codes, mask, u)
            return total_of(weight, filtered)

        @tf.custom_gradient
        def log_likelihood(codes, u, *weights):
            value, gradients = self._value_and_gradients(codes, mask, u, weight)

            def backward(upstream, variables=()):
                # The weights are arguments, so nothing is left for the variables that they were read from.
                return [upstream * gradient for gradient in gradients], [None] * len(variables)

            return value, backward

        return log_likelihood(
            codes, u, *(tf.convert_to_tensor(weight) for weight in self.trainable_variables)
        )

    @tf.function(jit_compile=True, autograph=False)
    def _value_and_gradients(self, codes, mask, u, weight):
        weights = [weight.value for weight in self.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch([codes, u])
            filtered, _ = self.filter(codes, mask, u)
            value = total_of(weight, filtered)
        return value, tape.gradient(value, [codes, u, *weights], unconnected_gradients="zero")

    def smooth(self, filtered, dynamics):
        """Run the smoother over what `filter` returned; return a `kalman.Smoothed`."""
        with tf.name_scope("kalman_smoother"):
            return inference_for(dynamics.u.shape[1]).smooth_filtered(dynamics.model, filtered)

    def sampled_term(self, codes, mask, dynamics, smoothed, noise):
        """Estimate the state space term of the bound as the original code does.

        States are drawn from each smoothed marginal, independently for each step:
        log p(z_1) + sum log p(z_t | z_{t-1}) + sum mask_t log p(a_t | z_t) - sum log N(z_t; m_t|T, P_t|T).
        Its expectation is at most the exact term, the filter's log-likelihood.

        Args:
            codes: [B, T, dim_a], finite.
            mask: [B, T], 1 = observed.
            dynamics: the `Dynamics`.
            smoothed: the `kalman.Smoothed`.
            noise: [B, T, dim_z], draws from N(0, I).

        Returns:
            [B], one value a sequence.
        """
        with tf.name_scope("sampled_term"):
            posterior = self.posterior(smoothed)
            z = posterior.mean() + posterior.scale.matvec(noise)
            A, B, C, *_ = dynamics.model
            transition = self.transition(z[:, :-1], A[:, 1:], B[:, 1:], dynamics.u[:, 1:])
            return (
                self.prior().log_prob(z[:, 0])
                + tf.reduce_sum(transition.log_prob(z[:, 1:]), axis=1)
                + tf.reduce_sum(mask * self.emission(z, C).log_prob(codes), axis=1)
                - tf.reduce_sum(posterior.log_prob(z), axis=1)
            )

    def roll_out(self, given_states, u, noise_seed=None, given_codes=None):
        """Go on from given states: a_t = C_t z_t is fed to alpha, z_{t+1} = A_{t+1} z_t + B_{t+1} u_{t+1}.

        Args:
            given_states: [B, S, dim_z], the states of the first steps; S >= 1.
            u: [B, T, dim_u], whose T >= S is the length of the result.
            noise_seed: [2] integers, a stateless seed: add emission noise to every code, and transition
                noise to every state after the given ones. None: deterministic.
            given_codes: [B, S, dim_a], the codes of the first steps, fed to alpha in place of C_t z_t.

        Returns:
            A `RollOut` of T steps, the given ones included.
        """
        batch, num_steps = kalman.batch_size(u), tf.shape(u)[1]
        num_given = tf.shape(given_states)[1]
        padding = [[0, 0], [0, num_steps - num_given], [0, 0]]
        # [T, B] at once: of a transposed bool TensorFlow says that it is slow without AVX-512.
        is_given = tf.broadcast_to(tf.range(num_steps)[:, None] < num_given, [num_steps, batch])
        code_noise = tf.zeros([batch, num_steps, self.dim_a])
        state_noise = tf.zeros([batch, num_steps, self.dim_z])
        if noise_seed is not None:
            code_seed, state_seed = tf.unstack(tf.random.split(noise_seed, 2))
            code_noise = _noise(self.R).sample([batch, num_steps], seed=code_seed)
            state_noise = _noise(self.Q).sample([batch, num_steps], seed=state_seed)

        has_code = is_given if given_codes is not None else tf.zeros_like(is_given)
        if given_codes is None:
            given_codes = tf.zeros([batch, num_given, self.dim_a])

        def step(carry, inputs):
            z, code, _, network_state = carry
            is_given_t, has_code_t, given_t, given_code_t, u_t, code_noise_t, state_noise_t = inputs
            alpha, learned_u, network_state = self.network.step(code, network_state)
            A, B, C = self.mix(alpha)
            u_t = self.inputs(u_t, learned_u)
            moved = tf.linalg.matvec(A, z) + tf.linalg.matvec(B, u_t) + state_noise_t
            z = tf.where(is_given_t[:, None], given_t, moved)
            code = tf.where(has_code_t[:, None], given_code_t, tf.linalg.matvec(C, z) + code_noise_t)
            return z, code, alpha, network_state

        given_states, given_codes = (tf.pad(given, padding) for given in (given_states, given_codes))
        others = (given_states, given_codes, u, code_noise, state_noise)
        inputs = (is_given, has_code, *map(_swap_batch_and_time, others))
        start = (
            tf.zeros([batch, self.dim_z]),
            tf.broadcast_to(self.a_0, [batch, self.dim_a]),
            tf.zeros([batch, self.K]),
            self.network.initial_state(batch),
        )
        *rolled, _ = tf.scan(step, inputs, start)
        return RollOut(*(_swap_batch_and_time(x) for x in rolled))

    def _dynamics_of_sequence(self, codes, u):
        first = tf.broadcast_to(self.a_0, [kalman.batch_size(codes), 1, self.dim_a])
        alpha, learned_u = self.network(tf.concat([first, codes[:, :-1]], axis=1))
        return Dynamics(alpha, self._mixed(alpha), self.inputs(u, learned_u))

    def _mixed(self, alpha):
        """Return the `kalman.LinearGaussian` that weights [B, T, K] mix."""
        return kalman.LinearGaussian(*self.mix(alpha), self.Q, self.R, self.mu0, self.Sigma0)

    def _filter_in_step(self, codes, mask, u):
        codes = kalman.hide(codes, mask)
        batch = kalman.batch_size(codes)

        def step_dynamics(code, network_state, u_t):
            alpha, learned_u, network_state = self.network.step(code, network_state)
            return alpha, self.inputs(u_t, learned_u), network_state

        mu0, Sigma0, Q, R = kalman.precise(self.mu0, self.Sigma0, self.Q, self.R)

        def step(carry, inputs):
            *_, mean, cov, alpha, u_t, network_state = carry
            code, mask_t, u_next = inputs
            C, code_last, mask_t = kalman.precise(
                small.batch_last(self.mix(alpha)[2]), small.batch_last(code), mask_t
            )
            filtered = kalman.update(mean, cov, code_last, mask_t, C, R)
            fed = small.batch_first(tf.where(mask_t > 0, code_last, small.matvec(C, mean)))
            fed = tf.cast(fed, code.dtype)
            next_alpha, next_u, network_state = step_dynamics(fed, network_state, u_next)
            A, B, _ = self.mix(next_alpha)
            A, offset = kalman.precise(small.batch_last(A), small.batch_last(tf.linalg.matvec(B, next_u)))
            predicted = kalman.predict(*filtered[:2], A, offset, Q)
            return *filtered, alpha, u_t, *predicted, next_alpha, next_u, network_state

        mean, cov = kalman.initial_belief(mu0, Sigma0, batch)
        first = tf.broadcast_to(self.a_0, [batch, self.dim_a])
        alpha, u_first, network_state = step_dynamics(first, self.network.initial_state(batch), u[:, 0])
        inputs = [_swap_batch_and_time(x) for x in (codes, mask, kalman.next_step(u))]
        start = (mean, cov, mean[0], alpha, u_first, mean, cov, alpha, u_first, network_state)
        # Not `scans.scan`: the gradient must reach the network's variables.
        *filtered, all_alpha, all_u, next_mean, next_cov, _, _, _ = tf.scan(step, inputs, start)
        filtered = kalman.filtered_of_scan(mean, cov, *filtered, next_mean, next_cov)
        all_alpha, all_u = _swap_batch_and_time(all_alpha), _swap_batch_and_time(all_u)
        return filtered, Dynamics(all_alpha, self._mixed(all_alpha), all_u)


def total_of(weight, filtered):
    """Return the weighted sum of a filter's log-likelihood, a scalar, for weights [B] of the sequences."""
    return tf.reduce_sum(weight[:, None] * tf.cast(filtered.log_likelihood, weight.dtype))


def inference_for(num_steps):
    """Return `kalman` or `kalman_parallel`, whichever is the faster for sequences so long.

    On a CPU that is `kalman` at every length, by `python -m benchmarks.kalman`. A GPU waits longer for the
    start of an operation than for its end, so there the fewer steps one after another win.

    Args:
        num_steps: steps in a sequence; None if that is not known yet.
    """
    if num_steps is not None and num_steps >= PARALLEL_FROM and has_gpu():
        return kalman_parallel
    return kalman


def _identity(shape, dtype=None):
    """Initialise every base matrix to the identity."""
    return tf.eye(shape[1], batch_shape=shape[:1], dtype=dtype)


def _noise(cov):
    """Return N(0, cov)."""
    return tfd.MultivariateNormalTriL(tf.zeros(cov.shape[0]), tf.linalg.cholesky(cov))


def _swap_batch_and_time(tensor):
    """Turn [B, T, ...] into [T, B, ...] and back."""
    return tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
