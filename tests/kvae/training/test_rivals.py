"""Models whose frames are decoded from states, in the loop that trains all."""

import numpy as np
import pytest

from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.models.factory import make_model
from kvae.runs.run_folder import RunFolder
from kvae.system.signals import Stopped, StopSignals
from kvae.training.loop import train
from tests.kvae.training.test_loop import Signals, read_metrics, without_time

OPTIONS = dict(
    num_filters=(4,),
    alpha_units=4,
    dim_a=3,
    precision="float32",
    t_init_mask=2,
    t_steps_mask=3,
    n_steps_gen=8,
    batch_size=4,
    num_epochs=2,
    warm_up=1.0,
    train_miss_prob=0.3,
    seed=4,
)


def pendulums(num_sequences, seed):
    """Return sequences with torques, of which some frames are missing."""
    rng = np.random.default_rng(seed)
    images = (rng.random([num_sequences, 6, 8, 8]) > 0.5).astype(np.uint8) * 255
    torques = rng.normal(size=[num_sequences, 6, 1]).astype(np.float32)
    mask = (rng.random([num_sequences, 6]) > 0.2).astype(np.float32)
    mask[:, 0] = 1
    return Dataset(images, torques, mask)


def start(config):
    model = make_model(config)
    model.build((None, None, 8, 8))
    return model


@pytest.mark.parametrize("kind", ["dvbf", "dmm"])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(kind, tmp_path, eagerly, without_pictures):
    train_data, test_data = pendulums(6, 0), pendulums(3, 1)

    def of(name):
        config = Config(model=kind, log_dir=str(tmp_path / name), run_name="run", **OPTIONS)
        return start(config), RunFolder.create(config)

    whole, whole_folder = of("whole")
    train(whole, train_data, test_data, whole_folder, StopSignals())
    whole_folder.close()
    rows = read_metrics(whole_folder)
    # What a KVAE alone has stays empty.
    assert {row["test_elbo_exact"] for row in rows} == {""}
    assert all(float(row["test_imputation_smoothing"]) >= 0 for row in rows)
    # In the second epoch, whose weights of the bound are others.
    model, folder = of("cut")
    with pytest.raises(Stopped):
        train(model, train_data, test_data, folder, Signals(3))
    folder.close()
    model, folder = start(model.config), RunFolder(folder.path)
    train(model, train_data, test_data, folder, StopSignals())
    folder.close()
    for found, wanted in zip(model.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=wanted.path)
    assert without_time(read_metrics(folder)) == without_time(rows)
