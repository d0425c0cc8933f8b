"""Filtering live: one frame after another, each in the same time and memory."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kvae import arguments
from kvae.inference import kalman
from kvae.inference import small_matrices as small
from kvae.inference.protocols import NetworkState
from kvae.models.arguments import check_built, check_sides
from kvae.models.kvae import KVAE
from kvae.models.outputs import States, TensorLike

NUM_DRAWS = 24
"""Codes that are decoded to predict a frame, half of them the others' mirror images."""


class Tracked(NamedTuple):
    """What is known after a step.

    Attributes:
        state: the `States` of this step given all frames so far: m_{t|t} [dim_z], P_{t|t} [dim_z, dim_z].
        code: [dim_a], C_t m_{t|t}.
        image: [H, W], this step's frame as the model sees it, the decoded code; [H, W, 3] of a model in
            colour, as are next_image and next_stddev.
        alpha: [K], mixture weights of the transition into this step.
        log_likelihood: log p(code of the frame | frames before), zero where it is missing. Low where the
            frame is a surprise.
        next_code: [dim_a], mean of the next step's code, if its control is zero.
        next_code_cov: [dim_a, dim_a], its covariance, C P C' + R.
        next_image: [H, W], the mean of the next frame: what codes of that distribution decode to.
        next_stddev: [H, W], standard deviation of its pixels, noise included.
    """

    state: States
    code: tf.Tensor
    image: tf.Tensor
    alpha: tf.Tensor
    log_likelihood: tf.Tensor
    next_code: tf.Tensor
    next_code_cov: tf.Tensor
    next_image: tf.Tensor
    next_stddev: tf.Tensor


class _Belief(NamedTuple):
    """What is carried from step to step; means and covariances in float64, the batch of one last.

    Attributes:
        mean: [dim_z, 1], m_{t|t}; before the first step that of the prior.
        cov: [dim_z, dim_z, 1].
        alpha: [1, K], mixture weights of the step to come.
        learned_u: [1, dim_u], its control where the network learns that; else zeros.
        network_state: the alpha network's, after all codes so far.
        is_first: whether the step to come is the first, into which nothing moves.
    """

    mean: tf.Tensor
    cov: tf.Tensor
    alpha: tf.Tensor
    learned_u: tf.Tensor
    network_state: NetworkState
    is_first: tf.Tensor


class Tracker:
    """Follow one video as it comes, frame by frame.

    After t frames the state is what `KVAE.filter` finds for step t of the sequence of them.
    Every update takes the same time and memory, however long the video is.

    Args:
        model: a trained `KVAE`, for example from `kvae.load`.

    Examples:
        >>> import numpy as np
        >>> import kvae
        >>> model = kvae.KVAE(kvae.Config(num_filters=(4,), K=2))
        >>> model.build((None, None, 8, 8))
        >>> tracker = kvae.Tracker(model)
        >>> for frame in np.zeros([5, 8, 8], np.uint8):
        ...     seen = tracker.update(frame)
        >>> missing = tracker.update(None)
        >>> missing.next_image.shape
        TensorShape([8, 8])
    """

    def __init__(self, model: KVAE):
        if not isinstance(model, KVAE):
            raise TypeError(
                f"A Tracker needs a KVAE, whose states it follows. Received: {type(model).__name__}"
            )
        check_built(model)
        self.model = model
        half = tf.random.stateless_normal([NUM_DRAWS // 2, model.config.dim_a], [0, 0])
        # Fixed draws: the same frames give the same prediction.
        self._noise = tf.concat([half, -half], axis=0)
        self._sides = model.frame_shape
        # One trace, as only values change.
        self._step = tf.function(self._take_step, autograph=False)
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next one is the first of another video."""
        lgssm = self.model.lgssm
        mu0, Sigma0 = kalman.precise(lgssm.mu0, lgssm.Sigma0)
        mean, cov = kalman.initial_belief(mu0, Sigma0, 1)
        alpha, learned_u, network_state = self._ahead(lgssm.a_0[None], lgssm.network.initial_state(1))
        self._belief = _Belief(mean, cov, alpha, learned_u, network_state, tf.constant(True))

    def update(self, frame: TensorLike | None, control: ArrayLike | None = None) -> Tracked:
        """Take in the next frame.

        Args:
            frame: [H, W], or [H, W, 3] in colour; 0..255 if it is of integers, else in [0, 1]. None: it is
                missing.
            control: [dim_u], the control that acted on the transition into this step; None: zeros.

        Raises:
            ArgumentError: frame or control are none; a frame that is missing is None.
            FitError: the frame's sides are not those that the model was built for.

        Example: see `Tracker`.
        """
        pixels = np.zeros(self._sides, np.float32)
        if frame is not None:
            arguments.frames(frame, name="frame", rank=2)
            check_sides(self._sides, tuple(np.shape(frame)))
            pixels = self.model.pixels(frame)
        dim_u = self.model.config.dim_u
        control = np.zeros(dim_u, np.float32) if control is None else control
        control = arguments.array_of(control, (dim_u,), "control", "[dim_u]")
        is_seen = tf.constant(frame is not None)
        tracked, self._belief = self._step(
            self._belief, tf.constant(pixels), is_seen, tf.cast(control, tf.float32)
        )
        return tracked

    def _ahead(
        self, code: tf.Tensor, network_state: NetworkState
    ) -> tuple[tf.Tensor, tf.Tensor, NetworkState]:
        """Return alpha, learned control and the network's state of the step after a code [1, dim_a]."""
        lgssm = self.model.lgssm
        alpha, learned_u, network_state = lgssm.network.step(code, network_state)
        if learned_u is None:
            learned_u = tf.zeros([1, lgssm.dim_u])
        return alpha, learned_u, network_state

    def _moved(self, belief: _Belief, control: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the belief about the next state, and C of its step, all in float64."""
        lgssm = self.model.lgssm
        A, B, C = lgssm.mix(belief.alpha)
        u = belief.learned_u if self.model.config.learn_u else control[None]
        offset = tf.linalg.matvec(B, lgssm.inputs(u))
        A, offset, C = kalman.precise(*(small.batch_last(x) for x in (A, offset, C)))
        (Q,) = kalman.precise(lgssm.Q)
        mean, cov = kalman.predict(belief.mean, belief.cov, A, offset, Q)
        return (
            tf.where(belief.is_first, belief.mean, mean),
            tf.where(belief.is_first, belief.cov, cov),
            C,
        )

    def _take_step(
        self, belief: _Belief, pixels: tf.Tensor, is_seen: tf.Tensor, control: tf.Tensor
    ) -> tuple[Tracked, _Belief]:
        model = self.model
        (R,) = kalman.precise(model.lgssm.R)
        mean, cov, C = self._moved(belief, control)
        seen_code = tf.transpose(tf.cast(model.encode(pixels[None, None]).mean()[0], tf.float64))
        mask = tf.cast(is_seen, tf.float64)[None]
        alpha = belief.alpha
        # A missing code is what was predicted, for the network as for the filter.
        fed = tf.where(is_seen, seen_code, small.matvec(C, mean))
        mean, cov, log_likelihood = kalman.update(mean, cov, fed, mask, C, R)
        code = tf.cast(small.matvec(C, mean)[:, 0], tf.float32)
        ahead = self._ahead(tf.cast(tf.transpose(fed), tf.float32), belief.network_state)
        belief = _Belief(mean, cov, *ahead, tf.constant(False))

        next_mean, next_cov, next_C = self._moved(belief, tf.zeros_like(control))
        next_code = tf.cast(small.matvec(next_C, next_mean)[:, 0], tf.float32)
        next_code_cov = tf.cast((small.congruence(next_C, next_cov) + R[..., None])[..., 0], tf.float32)
        draws = next_code + tf.matmul(self._noise, tf.linalg.cholesky(next_code_cov), transpose_b=True)
        images = model.decode(tf.concat([code[None], draws], axis=0)[:, None])
        means, variances = images.mean()[1:, 0], images.variance()[1:, 0]
        next_image = tf.reduce_mean(means, axis=0)
        # The law of total variance.
        variance = tf.reduce_mean(variances, axis=0) + tf.math.reduce_variance(means, axis=0)
        tracked = Tracked(
            state=States(tf.cast(mean[:, 0], tf.float32), tf.cast(cov[..., 0], tf.float32)),
            code=code,
            image=images.mean()[0, 0],
            alpha=alpha[0],
            log_likelihood=tf.cast(log_likelihood[0], tf.float32),
            next_code=next_code,
            next_code_cov=next_code_cov,
            next_image=next_image,
            next_stddev=tf.sqrt(variance),
        )
        return tracked, belief
