"""What a model makes of one sequence of which some frames are hidden: arrays, nothing about pages."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kvae.data.colour import per_pixel
from kvae.data.dataset import Dataset
from kvae.explore.plane import Plane
from kvae.explore.situation import MAX_FUTURE
from kvae.inference import posterior
from kvae.models import draws
from kvae.models.fit import check_fit
from kvae.models.kvae import KVAE

NUM_SAMPLES = 3
"""Whole sequences shown of those drawn, and how each of them goes on."""
_NUM_IN_PLANE = 50
"""Sequences whose codes tell where in the plane codes lie."""


class Look(NamedTuple):
    """One sequence as the model sees it.

    Frames are float32 in [0, 1], probabilities (Bernoulli) or means (Gaussian) of the pixels; [.., H, W, 3]
    of a model in colour.

    Attributes:
        truth: [T, H, W].
        hidden: [T] bool, True where the model did not see the frame.
        missing: [T] bool, True where nobody has it: the truth is blank, and its code is NaN.
        filled: [T, H, W], the mean of the posterior at hidden frames, the truth at seen ones.
        filtered: [T, H, W], each frame decoded from those seen up to it.
        samples: [NUM_SAMPLES, T, H, W], whole sequences from the posterior; the truth at seen frames.
        encoded: [T, dim_a], the codes of the true frames, hidden ones too.
        mean: [T, dim_a], posterior means of C_t z_t.
        cov: [T, dim_a, dim_a], their covariances, those of the paths included, without emission noise.
        filtered_codes: [T, dim_a].
        alpha: [T, K], posterior means of the mixture weights.
        states: [NUM_SAMPLES, T, dim_z], states drawn from the posterior.
        paths: [NUM_SAMPLES, T, dim_a], the codes that alpha was fed for them: where a frame was seen its own.
    """

    truth: np.ndarray
    hidden: np.ndarray
    missing: np.ndarray
    filled: np.ndarray
    filtered: np.ndarray
    samples: np.ndarray
    encoded: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    filtered_codes: np.ndarray
    alpha: np.ndarray
    states: np.ndarray
    paths: np.ndarray


class Future(NamedTuple):
    """How the model imagines that a sequence goes on, M times.

    Attributes:
        images: [M, N, H, W], decoded; each goes on from the sample of its number.
        codes: [M, N, dim_a], with emission noise.
    """

    images: np.ndarray
    codes: np.ndarray


class Exploration:
    """A model and the sequences to explore it with.

    Making it traces and runs everything once, so that later calls are quick.

    Args:
        model: a trained `KVAE`.
        dataset: the sequences.
        num_paths: paths of hidden codes that are followed, 0 or at least 2; by default the model's.

    Raises:
        FitError: the model cannot take these sequences.
    """

    def __init__(self, model: KVAE, dataset: Dataset, num_paths: int | None = None):
        check_fit(model, dataset)
        self.model, self.dataset = model, dataset
        self.num_paths = model.config.num_paths if num_paths is None else num_paths
        self.num_sequences, self.num_steps = dataset.shape[:2]
        # Traced once each, as their arguments always have the same shapes.
        self._infer = tf.function(self._infer_once, autograph=False)
        self._continue = tf.function(self._continue_once, autograph=False)
        # Of all codes, so that the plane stays where it is when another sequence is chosen.
        self.codes = model.encode(dataset.images[:_NUM_IN_PLANE]).mean().numpy()
        if dataset.mask is not None:
            there = dataset.mask[:_NUM_IN_PLANE, :, None] > 0
            self.codes = np.where(there, self.codes, np.nan)
        self.plane = Plane.of(self.codes)
        self.imagine(self.look(0, ()), 1)

    @property
    def num_traces(self) -> int:
        """Number of times that TensorFlow has traced something: 2, however much was looked at."""
        return sum(f.experimental_get_tracing_count() for f in (self._infer, self._continue))

    def look(self, sequence: int, hidden: tuple[int, ...], seed: int = 0) -> Look:
        """Infer one sequence from the frames that are not hidden.

        Args:
            sequence: its number, from 0.
            hidden: the numbers of the hidden frames, from 0, in any order.
            seed: of the draws; the same seed gives the same ones, whatever is hidden.

        Raises:
            IndexError: there is no such sequence or frame.
        """
        if not 0 <= sequence < self.num_sequences:
            raise IndexError(f"sequence must be in 0..{self.num_sequences - 1}. Received: {sequence}")
        if not all(0 <= step < self.num_steps for step in hidden):
            raise IndexError(f"hidden frames must be in 0..{self.num_steps - 1}. Received: {hidden}")
        is_hidden = np.zeros(self.num_steps, bool)
        is_hidden[list(hidden)] = True
        missing = self.missing(sequence)
        is_hidden |= missing
        truth = self.model.pixels(self.dataset.images[sequence : sequence + 1])
        mask = tf.constant(1 - is_hidden[None], tf.float32)
        found = self._infer(truth, mask, self._controls_of(sequence), _seed(seed, 0))
        look = Look(truth[0].numpy(), is_hidden, missing, *(tensor.numpy() for tensor in found))
        return look._replace(encoded=np.where(missing[:, None], np.nan, look.encoded))

    def missing(self, sequence: int) -> np.ndarray:
        """Return [T] bool, True where nobody has the frame of a sequence."""
        if self.dataset.mask is None:
            return np.zeros(self.num_steps, bool)
        return np.asarray(self.dataset.mask[sequence] == 0)

    def imagine(self, look: Look, num_future: int, seed: int = 0) -> Future:
        """Go on after a sequence's end, from states drawn from its posterior, with the model's own noise.

        Args:
            look: what `look` returned.
            num_future: N, steps to go on; at most MAX_FUTURE, which are computed however many are shown, so
                that nothing is traced again. Controls are zero there.
            seed: of the noise.

        Raises:
            ValueError: `num_future` is out of range.
        """
        if not 1 <= num_future <= MAX_FUTURE:
            raise ValueError(f"num_future must be in 1..{MAX_FUTURE}. Received: {num_future}")
        images, codes = self._continue(tf.constant(look.states), tf.constant(look.paths), _seed(seed, 1))
        return Future(images[:, :num_future].numpy(), codes[:, :num_future].numpy())

    def _controls_of(self, sequence: int) -> tf.Tensor:
        if not self.dataset.dim_u:
            return tf.zeros([1, self.num_steps, self.model.config.dim_u])
        return tf.constant(self.dataset.controls[sequence : sequence + 1])

    def _infer_once(
        self, truth: tf.Tensor, mask: tf.Tensor, u: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Return the fields of `Look` after the first three, for one sequence [1, T, H, W]."""
        model = self.model
        encoded = model.encode(truth).mean()
        filtered = model.infer_codes(encoded, mask, u).filtered_codes
        # A KVAE filters.
        assert filtered is not None
        found = model.sample_posterior(encoded, mask, u, self.num_paths, posterior.NUM_DRAWS, seed)
        seen = per_pixel(mask[0], truth[0]) > 0
        mean, cov = posterior.moments_over_draws(found.codes, found.code_cov)
        drawn = draws.decode_each(model, draws.spread(found.sampled_codes, NUM_SAMPLES))
        return (
            draws.fill(model, truth, mask, found.codes)[0],
            model.decoded_images(filtered)[0],
            tf.where(seen, truth, drawn[0]),
            encoded[0],
            mean[0],
            cov[0],
            filtered[0],
            tf.reduce_mean(found.alpha[0], axis=0),
            draws.spread(found.sampled_states, NUM_SAMPLES)[0],
            draws.spread(found.paths, NUM_SAMPLES)[0],
        )

    def _continue_once(
        self, states: tf.Tensor, paths: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return frames and codes of MAX_FUTURE steps after states [M, T, dim_z] with codes [M, T, dim_a]."""
        num_steps = self.num_steps + MAX_FUTURE
        found = self.model.continue_posterior(states[None], paths[None], num_steps, seed=seed)
        codes = found.paths[0, :, self.num_steps :]
        return self.model.decoded_images(codes), codes


def wrong_pixels(frames: np.ndarray, look: Look) -> float | None:
    """Return the fraction of wrong pixels of frames [T, H, W] at hidden steps, as in `kvae.evaluation`.

    In colour each of the three values of a pixel counts. Frames that nobody has do not count. None where
    nothing else is hidden.
    """
    judged = look.hidden & ~look.missing
    if not judged.any():
        return None
    return float(np.mean((frames[judged] > 0.5) != (look.truth[judged] > 0.5)))


def _seed(seed: int, use: int) -> tf.Tensor:
    """Return a stateless seed; other uses have other draws."""
    return tf.constant([seed, use], tf.int32)
