"""What Keras' methods of training are given is checked, whichever of them and whatever it comes in."""

import numpy as np
import pytest
import tensorflow as tf

import kvae
from kvae.errors import UserError

FRAMES = np.random.default_rng(0).integers(0, 256, [2, 3, 8, 8]).astype(np.uint8)
HOLED = np.where(np.arange(3)[:, None, None] == 1, np.nan, FRAMES / 255)
MASK = np.array(2 * [[1, 0, 1]])


@pytest.fixture(scope="module")
def model(module_eagerly):
    built = kvae.KVAE(kvae.Config(num_filters=(4,), K=2, alpha_units=4, out_distr="gaussian"))
    built.build((None, None, 8, 8))
    built.compile()
    return built


def batches(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(2)


CALLS = {
    "fit": lambda model, x: model.fit(batches(x), verbose=0),
    "validation": lambda model, x: model.fit(FRAMES, verbose=0, validation_data=batches(x)),
    "evaluate": lambda model, x: model.evaluate(batches(x), verbose=0),
    "predict": lambda model, x: model.predict(batches(x), verbose=0),
    "train_on_batch": lambda model, x: model.train_on_batch(x),
    "test_on_batch": lambda model, x: model.test_on_batch(x),
    "predict_on_batch": lambda model, x: model.predict_on_batch(x),
}


@pytest.mark.filterwarnings("ignore:Even though the .* option is set", "ignore:.shuffle=True. was passed")
@pytest.mark.parametrize("call", CALLS)
def test_what_cannot_be_seen_is_hidden_or_refused(model, call):
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(UserError, match="images must be finite where frames are seen"):
        CALLS[call](model, {"images": HOLED})
    if call != "validation":
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    CALLS[call](model, {"images": HOLED, "mask": MASK})
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_batch_has_weights_and_no_targets(model):
    none = np.zeros(2)
    for batch in ((FRAMES, None, none), ({"images": FRAMES, "weight": none},)):
        found = model.test_on_batch(*batch, return_dict=True)
        assert (found["total"], found["log_px"]) == (0, 0)
        assert model.train_on_batch(*batch, return_dict=True)["total"] == 0
    for wrong, message in (({"y": FRAMES}, "no targets"), ({"class_weight": {0: 1.0}}, "no classes")):
        with pytest.raises(UserError, match=message):
            model.train_on_batch(FRAMES, **wrong)
    with pytest.raises(UserError, match="no targets"):
        model.test_on_batch(FRAMES, FRAMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1. Received: 0"),
        ({"batch_size": -1}, "batch_size .* Received: -1"),
        ({"batch_size": 2.0}, "batch_size .* Received: float"),
        ({"epochs": "3"}, "epochs .* Received: str"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be"),
        ({"validation_split": 1.5}, "validation_split must be a number from 0 to 1"),
        ({"x": None}, r"x must be frames \[N, T, H, W\].* Received: None"),
        ({"validation_data": (HOLED,)}, "finite where frames are seen"),
    ],
)
def test_other_arguments_are_checked_too(model, options, message):
    with pytest.raises(UserError, match=message):
        model.fit(**{"x": FRAMES, "verbose": 0, **options})
    if "batch_size" in options or "x" in options:
        for method in (model.evaluate, model.predict):
            with pytest.raises(UserError, match=message):
                method(**{"x": FRAMES, "verbose": 0, **options})


@pytest.mark.filterwarnings("ignore:Even though the .* option is set")
def test_arguments_have_the_places_that_keras_gives_them(model):
    history = model.fit(FRAMES, None, np.int64(2), 3, 0, initial_epoch=2)
    assert history.epoch == [2]
    assert history.params["steps"] == 1
    with pytest.raises(UserError, match="finite where frames are seen"):
        model.fit(FRAMES, None, 2, 1, 0, None, 0.0, (HOLED,))
    assert np.isfinite(model.evaluate(FRAMES, None, 1, 0)).all()
    assert model.predict(FRAMES, 1, 0).shape == FRAMES.shape
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        model.fit(FRAMES, epoch=1)


@pytest.mark.filterwarnings("ignore:Even though the .* option is set")
def test_one_batch_is_not_all_frames():
    model = kvae.KVAE(kvae.Config(num_filters=(4,), out_distr="gaussian", standardise=True))
    model.build((None, None, 8, 8))
    model.compile()
    for call in ("fit", "train_on_batch"):
        with pytest.raises(UserError, match=r"call model\.adapt\(images\) first"):
            CALLS[call](model, FRAMES)
