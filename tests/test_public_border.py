"""Whatever is given to the functions of the library: a right answer, or a message in words.

Never an error of TensorFlow, never a number that is none.
"""

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as hnp

import kvae
from kvae import kalman, masks
from kvae.apply.filling import fill
from kvae.errors import UserError
from kvae.models.rivals import RecurrentAutoencoder
from kvae.videos import memory

B, T, SIDE = 2, 5, 8
EXAMPLES = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def model():
    built = kvae.KVAE(kvae.Config(num_filters=(4,), K=2, num_paths=4, out_distr="gaussian", dim_u=2))
    built.build((None, None, SIDE, SIDE))
    built.compile()
    return built


@pytest.fixture(scope="module")
def rival():
    built = RecurrentAutoencoder(kvae.Config(model="vae_rnn", num_filters=(4,), alpha_units=4, dim_u=2))
    built.build((None, None, SIDE, SIDE))
    return built


def odd_or(right):
    """What is as it should be, mostly, and now and then anything."""
    return st.one_of(right, right, right, st.one_of(*ODD))


ODD = [
    st.none(),
    st.just("frames"),
    st.just([]),
    st.just(np.array(3)),
    st.just(np.array(["a"])),
    st.just(np.array([None, 1], object)),
    st.just(np.ones([B, T], complex)),
    st.just(np.ma.masked_array(np.zeros([B, T, SIDE, SIDE]), True)),
    hnp.arrays(
        st.sampled_from([np.uint8, np.int64, np.uint16, np.float32, np.float64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=6, min_side=0, max_side=9),
    ),
]


@st.composite
def frames(draw):
    """Frames that are right, of all types and kinds of array, and some that lie outside the range."""
    shape = draw(
        st.sampled_from([(B, T, SIDE, SIDE), (1, 1, SIDE, SIDE), (B, T, SIDE, SIDE, 3), (B, T, 6, 6)])
    )
    array = np.random.default_rng(draw(st.integers(0, 3))).random(shape)
    dtype = draw(st.sampled_from(["uint8", "bool", "int32", "uint16", "float16", "float32", "float64"]))
    array = np.rint(255 * array).astype(dtype) if "int" in dtype else array.astype(dtype)
    spoilt = draw(st.sampled_from([None, None, None, np.nan, np.inf, -1, 3, 300]))
    if spoilt is not None:
        with np.errstate(all="ignore"):
            array[0, 0] = np.array(spoilt).astype(dtype)
    return as_given(draw, array)


@st.composite
def numbers(draw, shape):
    """An array of a shape, or nearly, of finite numbers, or nearly."""
    dtype = draw(st.sampled_from(["bool", "int64", "uint8", "float32", "float64"]))
    array = np.random.default_rng(draw(st.integers(0, 3))).integers(0, 2, shape).astype(dtype)
    spoilt = draw(st.sampled_from([None, None, None, np.nan, 2, 255, 0.5]))
    if spoilt is not None and array.size and dtype not in ("bool",):
        with np.errstate(all="ignore"):
            array.flat[-1] = np.array(spoilt).astype(dtype)
    bend = draw(st.sampled_from(["as it is"] * 4 + ["first", "last axis", "short"]))
    array = {
        "first": lambda: array[0],
        "last axis": lambda: array[..., None],
        "short": lambda: array[:, 1:],
    }.get(bend, lambda: array)()
    return as_given(draw, array)


def as_given(draw, array):
    kind = draw(st.sampled_from(["array", "tensor", "list", "view"]))
    if kind == "tensor":
        return tf.constant(array)
    if kind == "list":
        return array.tolist()
    return array[::-1][::-1] if kind == "view" else array


some_mask = st.one_of(st.none(), odd_or(numbers((B, T))))
some_controls = st.one_of(st.none(), odd_or(numbers((B, T, 2))))
some_count = st.one_of(
    st.integers(-1, 7),
    st.sampled_from([None, 2.0, "3", True, np.int64(4), np.uint8(3), np.float32(2), np.array(3)]),
)


def answer(function, *arguments, **options):
    """Return what a function returns, all finite; None where it says in words what is wrong."""
    try:
        found = function(*arguments, **options)
    except UserError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert len(message) > 20
        assert "tensorflow" not in message.lower()
        return None
    for tensor in tf.nest.flatten(found):
        if hasattr(tensor, "dtype") and not isinstance(tensor, str):
            assert np.isfinite(np.asarray(tensor)).all()
    return found


METHODS = ["smooth", "filter", "infer", "impute", "elbo"]


@pytest.mark.parametrize("method", METHODS)
@given(images=odd_or(frames()), mask=some_mask, controls=some_controls)
@EXAMPLES
def test_methods_of_frames_masks_and_controls(model, method, images, mask, controls):
    answer(getattr(model, method), images, mask, controls)


@pytest.mark.parametrize("method", ["filter", "impute", "elbo"])
@given(images=odd_or(frames()), mask=some_mask, controls=some_controls)
@EXAMPLES
def test_methods_of_a_rival(rival, method, images, mask, controls):
    answer(getattr(rival, method), images, mask, controls)


def as_clips(images):
    """A list of clips, each by itself, of what can be taken apart."""
    return list(images) if getattr(images, "ndim", 1) else images


@pytest.mark.parametrize("take_apart", [False, True])
@given(
    images=odd_or(frames()), mask=some_mask, controls=some_controls, timesteps=st.sampled_from([2, 3, 5, 9])
)
@settings(EXAMPLES, max_examples=200)
def test_videos_in_memory(take_apart, images, mask, controls, timesteps):
    if take_apart and images is not None:
        images = as_clips(images)
    found = answer(memory.dataset_of, images, mask, controls, timesteps)
    if found is not None:
        assert found.images.min() >= 0
        assert found.images.max() <= (255 if found.images.dtype == np.uint8 else 1)
        assert found.shape[1] <= timesteps
    answer(kvae.Config.for_videos, images, mask, K=2)


@given(images=odd_or(frames()), num_steps=some_count, num_given=some_count, controls=some_controls)
@EXAMPLES
def test_generate(model, images, num_steps, num_given, controls):
    answer(model.generate, images, num_steps, num_given, controls)


@given(images=odd_or(frames()))
@EXAMPLES
def test_encode_and_reconstruct(model, images):
    answer(lambda: model.encode(images).mean())
    answer(model.reconstruct, images)


@given(codes=odd_or(numbers((B, T, 2))))
@EXAMPLES
def test_decode(model, codes):
    answer(lambda: model.decode(codes).mean())


@given(num_sequences=some_count, num_steps=some_count, num_paths=some_count, num_samples=some_count)
@settings(EXAMPLES, max_examples=20)
def test_counts(model, eagerly, num_sequences, num_steps, num_paths, num_samples):
    answer(model.sample, num_sequences, num_steps)
    images = np.zeros([1, 4, SIDE, SIDE], np.uint8)
    if num_paths in (None, 0, 4) or not isinstance(num_paths, int):
        answer(model.impute, images, num_samples=num_samples, num_paths=num_paths)
    answer(masks.planning_mask, num_sequences, num_steps, num_paths, num_samples)
    answer(masks.random_mask, num_sequences, num_steps, num_paths, num_samples, 0)


@given(frame=odd_or(frames()), control=odd_or(numbers((1, 2))))
@EXAMPLES
def test_the_tracker(model, frame, control):
    tracker = kvae.Tracker(model)
    first = frame[0][0] if isinstance(frame, np.ndarray) and frame.ndim > 3 and len(frame) else frame
    answer(
        tracker.update,
        first,
        control[0] if isinstance(control, np.ndarray) and control.ndim == 2 else control,
    )


@given(clip=odd_or(frames()), observed=odd_or(numbers((B, T))))
@EXAMPLES
def test_fill(model, clip, observed):
    first, seen = (
        x[0] if isinstance(x, np.ndarray) and x.ndim > 1 and len(x) else x for x in (clip, observed)
    )
    answer(fill, model, first, seen, num_steps=2, num_samples=1, num_draws=4)


@pytest.mark.parametrize("function", [kalman.filter, kalman.smooth])
@given(data=st.data())
@EXAMPLES
def test_kalman(function, data):
    shapes = {"A": (B, T, 2, 2), "B": (B, T, 2, 2), "C": (B, T, 2, 2)}
    eye = {name: np.broadcast_to(np.eye(2), shape) for name, shape in shapes.items()}
    eye |= {"Q": np.eye(2), "R": np.eye(2), "mu0": np.zeros(2), "Sigma0": np.eye(2)}
    spoilt = data.draw(st.sampled_from([None, None, *eye]))
    given_ = {
        name: array.astype(data.draw(st.sampled_from(["int64", "float32", "float64"])))
        for name, array in eye.items()
    }
    if spoilt:
        given_[spoilt] = data.draw(odd_or(numbers(np.shape(eye[spoilt]))))
    y = data.draw(odd_or(numbers((B, T, 2))))
    mask = data.draw(odd_or(st.one_of(numbers((B, T)), numbers((B, T, 2)))))
    u = data.draw(odd_or(numbers((B, T, 2))))
    answer(function, kalman.LinearGaussian(**given_), y, mask, u)


def test_all_ways_to_write_the_same_have_the_same_answer(model):
    images = np.random.default_rng(0).integers(0, 256, [B, T, SIDE, SIDE])
    mask = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 0, 1]])
    expected = model.smooth(images.astype(np.uint8), mask.astype(np.float32))
    for frames_, mask_ in [
        (images, mask.astype(bool)),
        (images.astype(np.uint16), mask),
        (images / 255, mask.tolist()),
        ((images / 255).astype(np.float32), tf.constant(mask)),
        (tf.constant(images, tf.uint8), mask.astype(np.float64)),
        (np.where(mask[..., None, None] > 0, images / 255, np.nan), mask),
        (np.where(mask[..., None, None] > 0, images / 255, 1e30), mask),
    ]:
        found = model.smooth(frames_, mask_)
        np.testing.assert_allclose(found.images, expected.images, atol=1e-5)
        np.testing.assert_allclose(found.states.cov, expected.states.cov, rtol=1e-4)


@pytest.mark.parametrize(
    ("mask", "received"),
    [
        (np.ones(T), r"shape \(5,\)"),
        (np.ones([1, T]), r"shape \(1, 5\)"),
        (np.ones([B, T, 1]), r"shape \(2, 5, 1\)"),
        (np.ones([B, T - 1]), r"shape \(2, 4\)"),
        (255 * np.ones([B, T], np.uint8), "255"),
        (np.full([B, T], 0.5), "0.5"),
        (np.full([B, T], np.nan), "nan"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_a_mask_says_1_or_0_of_every_frame(model, method, mask, received):
    with pytest.raises(ValueError, match=f"mask must .*Received: {received}"):
        getattr(model, method)(np.zeros([B, T, SIDE, SIDE], np.uint8), mask)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros([B, T, SIDE, SIDE, 3], np.uint8), r"Received: frames in colour of 8x8: .*to_grey"),
        (
            np.full([B, T, SIDE, SIDE], 300, np.uint16),
            r"integers in 0..255. Received: values from 300 to 300",
        ),
        (np.full([B, T, SIDE, SIDE], 255.0), r"floats in \[0, 1\]. Received: values from 255.0 to 255.0"),
        (np.full([B, T, SIDE, SIDE], np.nan), "must be finite where frames are seen"),
        (np.zeros([0, T, SIDE, SIDE]), r"hold a frame. Received: shape \(0, \d, 8, 8\)"),
        (np.zeros([T, SIDE, SIDE]), r"one sequence is images\[None\]"),
        (np.ma.masked_array(np.zeros([B, T, SIDE, SIDE]), True), "masked array"),
    ],
)
@pytest.mark.parametrize("method", [*METHODS, "encode", "reconstruct", "generate"])
def test_frames_are_said_to_be_none(model, method, images, message):
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(images)


def test_integers_are_no_type_to_compute_in():
    y = np.random.default_rng(0).normal(size=[B, T, 1])
    one = np.ones([B, T, 1, 1], int)
    walk = kalman.LinearGaussian(
        one, one, one, np.eye(1, dtype=int), np.eye(1, dtype=int), np.zeros(1, int), np.eye(1, dtype=int)
    )
    same = kalman.LinearGaussian(*(np.asarray(x, np.float64) for x in walk))
    arguments = y, np.ones([B, T], int), np.zeros([B, T, 1], int)
    found, expected = kalman.smooth(walk, *arguments), kalman.smooth(same, *arguments)
    assert found.smoothed_mean.dtype == tf.float64
    np.testing.assert_array_equal(found.smoothed_mean, expected.smoothed_mean)


def test_what_takes_frames_has_weights_first():
    bare = kvae.KVAE(kvae.Config(num_filters=(4,)))
    for call in (
        lambda: bare.sample(1, 2),
        lambda: bare.decode(np.zeros([1, 1, 2])),
        lambda: kvae.Tracker(bare),
    ):
        with pytest.raises(UserError, match="no weights yet"):
            call()
