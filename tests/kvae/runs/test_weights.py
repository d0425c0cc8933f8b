import numpy as np
import pytest

from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.runs.weights import WeightsError, load_weights, named_weights, save_weights

# Nothing of it is of graphs.
pytestmark = pytest.mark.usefixtures("module_eagerly")
TINY = dict(num_filters=(4,), K=2, alpha_units=4, precision="float32")


def tiny(seed=0, sides=(8, 8), **options):
    model = KVAE(Config(**{**TINY, "seed": seed, **options}))
    model.build((None, None, *sides))
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return model


def values(model):
    return {name: variable.numpy() for name, variable in named_weights(model).items()}


def test_weights_have_readable_names():
    shapes = {name: value.shape for name, value in values(tiny()).items()}
    assert shapes == {
        "encoder/conv1/kernel": (3, 3, 1, 4),
        "encoder/conv1/bias": (4,),
        "encoder/mean/kernel": (64, 2),
        "encoder/mean/bias": (2,),
        "encoder/var/kernel": (64, 2),
        "encoder/var/bias": (2,),
        "decoder/dense/kernel": (2, 64),
        "decoder/dense/bias": (64,),
        "decoder/conv1/kernel": (3, 3, 4, 16),
        "decoder/conv1/bias": (16,),
        "decoder/out/kernel": (1, 1, 4, 1),
        "decoder/out/bias": (1,),
        "alpha/lstm/kernel": (2, 16),
        "alpha/lstm/recurrent_kernel": (4, 16),
        "alpha/lstm/bias": (16,),
        "alpha/dense/kernel": (4, 2),
        "alpha/dense/bias": (2,),
        "lgssm/A": (2, 4, 4),
        "lgssm/B": (2, 4, 1),
        "lgssm/C": (2, 2, 4),
        "lgssm/a_0": (2,),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha_rnn": False, "alpha_layers": 3},
        {"learn_u": True, "K": 1},
        {"conv": False, "num_filters": (32, 32, 32), "out_distr": "gaussian", "learn_pixel_var": True},
    ],
)
def test_every_weight_comes_back(options, tmp_path):
    first, second = tiny(1, **options), tiny(2, **options)
    # No two weights under one name.
    assert len(named_weights(first)) == len(first.trainable_variables)
    # The name is taken as it is.
    path = tmp_path / "weights.of_a_run"
    save_weights(first, path)
    assert list(tmp_path.iterdir()) == [path]
    load_weights(second, path)
    for name, value in values(first).items():
        np.testing.assert_array_equal(values(second)[name], value, err_msg=name)
    frames = np.random.default_rng(0).random([2, 3, 8, 8])
    np.testing.assert_array_equal(first.smooth(frames).images, second.smooth(frames).images)


def test_the_file_holds_plain_arrays(tmp_path):
    model = tiny()
    model.compile()
    save_weights(model, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as file:
        found = dict(file)
    # Neither optimizer nor counters.
    assert set(found) == set(named_weights(model))
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("lgssm/A"), "missing lgssm/A; not in the model nothing"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "missing nothing; not in the model extra"),
        (
            lambda arrays: arrays.update({"lgssm/D": arrays.pop("lgssm/C")}),
            "missing lgssm/C; not in the model lgssm/D",
        ),
        (
            lambda arrays: arrays.update({"lgssm/a_0": np.zeros([1, 2])}),
            r"lgssm/a_0 must have shape \(2,\). Received: \(1, 2\)",
        ),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(change, message, tmp_path):
    path = tmp_path / "weights.npz"
    arrays = values(tiny(1))
    change(arrays)
    np.savez(path, **arrays)
    model = tiny(2)
    before = values(model)
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(model, path)
    assert str(path) in str(error.value)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_another_model_is_refused(tmp_path):
    path = tmp_path / "weights.npz"
    save_weights(tiny(), path)
    with pytest.raises(
        WeightsError, match=r"alpha/dense/kernel must have shape \(4, 3\). Received: \(4, 2\)"
    ):
        load_weights(tiny(K=3), path)
    with pytest.raises(WeightsError, match="missing alpha/dense1/bias"):
        load_weights(tiny(alpha_rnn=False), path)
    with pytest.raises(WeightsError, match=r"must have shape .*Received: "):
        load_weights(tiny(sides=(16, 8)), path)


def test_what_was_there_stays_where_the_disk_is_full(tmp_path, monkeypatch):
    path, model = tmp_path / "weights.npz", tiny()
    save_weights(model, path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights(model, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
