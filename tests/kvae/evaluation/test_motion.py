"""What is not seen is told, on scenes whose reconstruction is known."""

import re
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from kvae.config import Config
from kvae.config.presets import OWN_VIDEOS
from kvae.data.dataset import Dataset
from kvae.evaluation import motion
from kvae.evaluation.motion import Motion, motion_of, not_seen, sum_up, too_many
from kvae.models.kvae import KVAE
from tests.kvae.evaluation.small import tiny, videos

SIDE = 24
NUM_SEQUENCES, NUM_STEPS = 30, 20


def scene(kind, seed=0):
    """Frames of a large square and something small that move, and what is decoded if the small is missed."""
    rng = np.random.default_rng(seed)
    frames = np.zeros([NUM_SEQUENCES, NUM_STEPS, SIDE, SIDE], np.float32)
    blind = frames.copy()
    for n in range(NUM_SEQUENCES):
        place, speed = rng.uniform(0, SIDE - 6), rng.uniform(-1, 1)
        y, x = rng.uniform(8, SIDE - 2, 2)
        towards = rng.uniform(-2, 2, 2)
        for t in range(NUM_STEPS):
            place = float(np.clip(place + speed, 0, SIDE - 6))
            frames[n, t, :6, int(place) : int(place) + 6] = 1
            blind[n, t] = frames[n, t]
            if kind == "a ball of one pixel":
                y, x = ((v - 8 + d) % (SIDE - 9) + 8 for v, d in zip((y, x), towards, strict=True))
                frames[n, t, int(y), int(x)] = 0.6
            elif kind == "noise":
                frames[n, t, 8:] += 0.2 * rng.random([SIDE - 8, SIDE])
                blind[n, t, 8:] += 0.1
            elif kind == "a camera's noise":
                frames[n, t] = np.clip(frames[n, t] + 0.1 * rng.standard_normal([SIDE, SIDE]), 0, 1)
                # Of a normal variable's positive part the mean.
                blind[n, t] += 0.1 / np.sqrt(2 * np.pi) * (1 - 2 * blind[n, t])
            elif kind == "a fast ball":
                # Farther than anything is looked for in the next frame, and still nothing like noise.
                frames[n, t, rng.integers(8, SIDE), rng.integers(0, SIDE)] = 1
    return frames, blind


class Known:
    """A model whose reconstruction is known; its codes are numbered frames."""

    is_variational = True
    config = types.SimpleNamespace(batch_size=8)

    def __init__(self, frames, decoded, alive=2):
        self.frames, self.decoded, self.alive = tf.constant(frames), tf.constant(decoded), alive

    def pixels(self, images):
        return images

    def code_distribution(self, images, mask, controls):
        flat = tf.reshape(self.frames, [-1, self.frames.shape[2] * self.frames.shape[3]])
        wanted = tf.reshape(images, [-1, flat.shape[1]])
        distance = (
            tf.reduce_sum(wanted**2, 1)[:, None] + tf.reduce_sum(flat**2, 1) - 2 * wanted @ tf.transpose(flat)
        )
        number = tf.cast(tf.reshape(tf.argmin(distance, axis=1), tf.shape(images)[:2]), tf.float32)
        codes = tf.stack([number, number], axis=-1) * tf.constant([1.0, float(self.alive > 1)])
        return tfp.distributions.Normal(codes, 0.1 * tf.ones_like(codes))

    def decode(self, codes):
        flat = tf.reshape(self.decoded, [-1, SIDE, SIDE])
        return tfp.distributions.Deterministic(tf.gather(flat, tf.cast(tf.round(codes[..., 0]), tf.int32)))


def of(kind, **options):
    frames, blind = scene(kind)
    dataset = Dataset(frames, np.zeros([*frames.shape[:2], 0], np.float32), None)
    return motion_of(Known(frames, blind, **options), dataset)


def test_all_that_moves_is_seen():
    found = of("nothing else")
    assert found.explained == pytest.approx(1, abs=1e-6)
    assert (found.unseen_share, found.regions, found.alive) == (0, [], 2)


def test_a_small_thing_beside_a_large_one_is_missed():
    found = of("a ball of one pixel")
    # The whole hides the part.
    assert found.explained > 0.9
    assert found.unseen_share > 0.5
    (region,) = found.regions
    assert region.rows[0] >= 7
    assert region.size > 150


def test_what_helps_is_what_a_run_has_not_got():
    # What own videos start from; a world of ours, whose pixels are 0 and 1; and a run that has it all.
    found = of("a ball of one pixel")
    said = not_seen(found, Config(out_distr="gaussian"))
    missing = "--standardise True --warm_up 0.5 --activation leaky_relu"
    assert f"Try {missing} --learn_pixel_var True --pixel_var_from_errors True, or --scale_rec" in said
    assert f"Try {missing}, or --scale_reconstruction 3, or more codes, --dim_a 4 --dim_z 8" in not_seen(
        found, Config()
    )
    assert "More epochs may bring it; if not, try --scale_reconstruction 3" in not_seen(
        found, Config(**OWN_VIDEOS)
    )


@pytest.mark.parametrize(
    ("kind", "alive", "enough", "more"),
    [
        ("nothing else", 2, "", ""),
        ("nothing else", 1, "1 code is enough, all is seen with that: --dim_a 1 --dim_z 2", ""),
        # Who has codes to spare needs no more.
        ("a ball of one pixel", 1, "", "if not, try --scale_reconstruction 3"),
        ("a ball of one pixel", 2, "", "or more codes, --dim_a 4 --dim_z 8"),
    ],
)
def test_how_many_codes_are_enough(kind, alive, enough, more):
    found, config = of(kind, alive=alive), Config(**OWN_VIDEOS)
    assert too_many(found, config) == enough
    said = not_seen(found, config)
    assert said.endswith(more)
    assert bool(said) == bool(more)


def test_a_rival_has_no_states():
    found = of("a ball of one pixel")
    assert not_seen(found, Config(model="ae_rnn")).endswith("or more codes, --dim_a 4")


@pytest.mark.parametrize("kind", ["noise", "a camera's noise"])
def test_noise_is_not_something_that_moves(kind):
    found = of(kind)
    assert found.noise.mean() > 0.6
    assert found.unseen_share < 0.02
    assert found.regions == []
    assert re.search(r"in \d\.\d % of the moving pixels \(and \d+ that show noise alone\)", sum_up(found))


def test_of_few_frames_nobody_can_tell():
    frames, blind = scene("noise")
    few = Dataset(frames[:5], np.zeros([5, NUM_STEPS, 0], np.float32), None)
    found = motion_of(Known(frames, blind), few)
    assert not found.noise.any()
    assert found.unseen_share > 0.5


def test_what_is_fast_is_not_noise():
    found = of("a fast ball")
    assert found.unseen_share > 0.5
    assert not found.noise.any()
    assert "noise" not in sum_up(found)


def test_codes_that_say_nothing_are_counted():
    assert of("nothing else", alive=1).alive == 1
    frames, _ = scene("nothing else")
    black = motion_of(
        Known(frames, np.zeros_like(frames)),
        Dataset(frames, np.zeros([*frames.shape[:2], 0], np.float32), None),
    )
    assert black.explained < 0
    assert black.unseen_share == 1
    assert black.regions


@pytest.mark.parametrize("channels", [1, 3])
def test_moments_are_those_of_all_frames_that_are_there(channels, monkeypatch):
    monkeypatch.setattr(motion, "LEAST_PAIRS", 1)
    rng = np.random.default_rng(0)
    shape = [5, 8, 8, 8] if channels == 1 else [5, 8, 8, 8, 3]
    options = dict(num_filters=(4,), K=2, alpha_units=4, precision="float32", num_paths=0)
    images = rng.integers(0, 256, shape, np.uint8)
    mask = (rng.random([5, 8]) > 0.3).astype(np.float32)
    images[mask == 0] = 0
    model = KVAE(Config(batch_size=2, out_distr="gaussian", **options))
    model.build(shape)
    found = motion_of(model, Dataset(images, np.zeros([5, 8, 0], np.float32), None, mask))
    there, q = mask > 0, model.encode(images)
    pixels = images / 255
    deviation = pixels - model.decode(q.mean()).mean().numpy()
    np.testing.assert_allclose(found.variance, pixels[there].var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.error, (deviation[there] ** 2).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.fourth, (deviation[there] ** 4).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.code_variance, q.mean().numpy()[there].var(axis=0), rtol=1e-3)
    np.testing.assert_allclose(found.noise_variance, q.variance().numpy()[there].mean(axis=0), rtol=1e-4)
    pairs = there[:, :-1] & there[:, 1:]
    # All within three pixels of the corner.
    near = deviation[:, 1:, :4, :4].sum(axis=(2, 3))
    expected = (deviation[:, :-1, 0, 0] * near)[pairs].mean(axis=0)
    np.testing.assert_allclose(found.coherence[0, 0], expected, rtol=1e-3, atol=1e-6)


def test_a_still_video_has_no_motion():
    model = tiny(batch_size=2)
    still = videos(3)
    found = motion_of(model, still._replace(images=np.zeros_like(still.images)))
    assert np.isnan(found.explained)
    assert np.isnan(found.unseen_share)
    assert found.regions == []


def test_what_is_explained_by_more_than_half_is_seen():
    variance, error = np.array([[1, 1], [1, 1e-4]]), np.array([[0.4, 0.6], [2, 1e-4]])
    found = Motion(variance, error, error, np.array([1.0, 0.01]), np.array([0.1, 0.1]), 3 * error**2)
    # The last pixel does not move.
    np.testing.assert_array_equal(found.unseen, [[False, True], [True, False]])
    assert found.unseen_share == pytest.approx(2 / 3)
    assert found.alive == 1
