import json

import keras
import numpy as np
import pytest

from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.runs import checkpoint

TINY = dict(num_filters=(4,), K=2, alpha_units=4, precision="float32")
FRAMES = (np.random.default_rng(0).random([3, 6, 8, 8]) > 0.5).astype(np.uint8) * 255


def start(**options):
    model = KVAE(Config(**{**TINY, **options}))
    model.build(FRAMES.shape)
    model.compile()
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def saved(tmp_path):
    model = start()
    model.phase.assign(1)
    model.train_step({"images": FRAMES})
    path = tmp_path / "checkpoints" / "last.npz"
    checkpoint.save(path, model, {"epoch": 3, "best_bound": float("-inf")})
    return path, model


def test_everything_comes_back(saved):
    path, model = saved
    other = start(seed=9)
    assert checkpoint.restore(path, other) == {"epoch": 3, "best_bound": float("-inf")}
    assert int(other.phase) == 1
    for found, wanted in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(other.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert float(other.means["total"].result()) == float(model.means["total"].result())
    # It goes on with the same draws: the seed is the configuration's, their number the checkpoint's.
    same = start()
    checkpoint.restore(path, same)
    for again in (model, same):
        again.train_step({"images": FRAMES})
    np.testing.assert_array_equal(same.lgssm.C, model.lgssm.C)


def test_a_checkpoint_of_format_3_is_read(saved):
    """As it was written when two counters of draws, training's first, were weights of the model."""
    path, model = saved
    other = start()
    with np.load(path) as file:
        facts = json.loads(str(file["facts"]))
        values = [file[name] for name in sorted(set(file.files) - {"facts"})]
    *rest, training_draws = values
    own = len(model._trainable_variables) + len(model._non_trainable_variables)
    old = [*rest[:own], training_draws, np.int64(77), *rest[own:], np.float32(0.3)]
    np.savez(path, facts=json.dumps(facts | {"format": 3}), **{f"{i:04d}": x for i, x in enumerate(old)})
    assert checkpoint.restore(path, other) == facts["progress"]
    for variable, wanted in zip(checkpoint._variables(other), values, strict=True):
        np.testing.assert_array_equal(variable, wanted)


def test_the_old_checkpoint_stays_until_the_new_one_is_whole(saved, monkeypatch):
    path, model = saved
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, model, {"epoch": 4})
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["last.npz"]


@pytest.mark.parametrize("options", [dict(K=3), dict(learn_u=True), dict(alpha_rnn=False), dict(dim_z=5)])
def test_a_checkpoint_of_another_model_is_refused(saved, options):
    with pytest.raises(checkpoint.CheckpointError, match="another configuration"):
        checkpoint.restore(saved[0], start(**options))


def test_damage_is_told(saved, tmp_path):
    path, model = saved
    whole = path.read_bytes()
    with pytest.raises(checkpoint.CheckpointError, match="There is no checkpoint"):
        checkpoint.restore(tmp_path / "other.npz", model)
    for damaged in (b"", b"no zip", whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.CheckpointError, match="is damaged"):
            checkpoint.restore(path, model)
    np.savez(path, facts=np.array(json.dumps({"format": 99, "weights": [], "progress": {}})))
    with pytest.raises(checkpoint.CheckpointError, match="another version: its format is 99"):
        checkpoint.restore(path, model)
    assert isinstance(model, keras.Model)
