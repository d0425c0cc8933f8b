import csv
import itertools
import signal

import keras
import numpy as np
import pytest

from kvae.config import Config
from kvae.data.batches import Batches
from kvae.data.dataset import Dataset
from kvae.errors import TrainingError, UserError
from kvae.models.kvae import KVAE
from kvae.runs import checkpoint
from kvae.runs.load import load
from kvae.runs.run_folder import RunFolder
from kvae.system.signals import Stopped, StopSignals
from kvae.training import refinement
from kvae.training.loop import train
from kvae.training.recorder import Recorder
from tests.kvae.training.small import TINY, start, videos


def test_the_weight_of_the_reconstruction_is_that_of_the_objective(eagerly):
    """With the plainest optimizer a step is the gradient of the weighted sum, whatever the weight."""
    images = {"images": videos(4).images}
    steps = {}
    for weight in (0.3, 4.0):
        model = KVAE(Config(**TINY, scale_reconstruction=weight, max_grad_norm=1e9))
        model.compile(keras.optimizers.SGD(1e-3))
        model.build((None, None, 8, 8))
        # The decoder sees nothing but the reconstruction.
        bias = model.decoder.trainable_variables[-1]
        before = bias.numpy()
        model.train_step(images)
        steps[weight] = bias.numpy() - before
    np.testing.assert_allclose(steps[4.0], 4 / 0.3 * steps[0.3], rtol=1e-3)


@pytest.fixture
def learn(eagerly, monkeypatch, tmp_path):
    """Return a function that trains on 40 sequences of 6 frames, which carry their number in every pixel.

    Nothing is learned; it returns, for every epoch, a list of (sequence, mask) and the sizes of batches.
    """

    def learn(**options):
        epochs, sizes = [[]], []

        def train_step(model, batch):
            sizes.append(len(batch["weight"]))
            for i, weight in enumerate(batch["weight"]):
                if weight > 0:
                    mask = tuple(batch["mask"][i].numpy().astype(int)) if "mask" in batch else None
                    epochs[-1].append((int(batch["images"][i, 0, 0, 0]), mask))
            return {"total": 0.0, "gradient_norm": 0.0}

        monkeypatch.setattr(KVAE, "train_step", train_step)
        monkeypatch.setattr(Recorder, "end_epoch", lambda *arguments: epochs.append([]))
        images = np.broadcast_to(np.arange(40)[:, None, None, None], [40, 6, 8, 8]).astype(np.uint8)
        dataset = Dataset(images, np.zeros([40, 6, 0], np.float32), None)
        model, folder = start(tmp_path / str(len(list(tmp_path.iterdir()))), **{"num_epochs": 2, **options})
        train(model, dataset, dataset, folder, StopSignals())
        return epochs[:-1], sizes

    return learn


def test_training_hides_the_same_frames_in_every_epoch(learn):
    options = dict(train_miss_prob=0.4, t_init_train_miss=2)
    first, second = learn(**options, seed=3)[0]
    assert first != second
    assert sorted(first) == sorted(second)
    assert [number for number, _ in sorted(first)] == list(range(40))
    masks = np.array([mask for _, mask in sorted(first)])
    assert (masks[:, :2] == 1).all()
    assert 1 - masks[:, 2:].mean() == pytest.approx(0.4, abs=0.1)
    assert len(np.unique(masks, axis=0)) > 10
    # The same in another run, others with another seed.
    assert learn(**options, seed=3)[0] == [first, second]
    assert sorted(learn(**options, seed=4)[0][0]) != sorted(first)


def test_training_goes_on_as_configured(learn):
    epochs, sizes = learn(num_epochs=3, batch_size=16, seed=1)
    assert len(epochs) == 3
    assert sizes == [16] * 9
    assert epochs[0] != epochs[1]
    in_order = [(number, None) for number in range(40)]
    assert sorted(epochs[0]) == in_order != epochs[0]
    assert learn(num_epochs=3, batch_size=16, seed=2)[0] != epochs
    assert learn(shuffle=False)[0] == [in_order, in_order]


def read_metrics(folder):
    with (folder.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_training_is_recorded(tmp_path, capsys, without_xla):
    train_data, test_data = videos(10), videos(5, seed=1)
    model, folder = start(tmp_path, num_epochs=2, kf_update_steps=1)
    best = train(model, train_data, test_data, folder, StopSignals(), validation=videos(3, seed=2))
    folder.close()

    rows = read_metrics(folder)
    # Ten sequences in batches of four are three updates.
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "3"), ("2", "6")]
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())
    for row in rows:
        wrong = [
            float(row[f"test_imputation_{method}"]) for method in ("smoothing", "filtering", "generation")
        ]
        assert all(0 < value < 1 for value in wrong)
        parts = {
            name: float(row[f"test_elbo_{name}"]) for name in ("total", "log_px", "log_qa", "state_space")
        }
        total = parts["log_px"] - parts["log_qa"] + parts["state_space"]
        assert parts["total"] == pytest.approx(total, abs=1e-3)
    assert best == 1 + int(np.argmax([validation_bound(row) for row in rows]))

    # The best model is there, and the last with its optimizer; its second phase took three steps.
    saved = load(folder.path, model.config)
    bound = saved.evaluate(Batches(test_data, 4).of(), verbose=0, return_dict=True)
    assert float(bound["log_px"]) == pytest.approx(float(rows[best - 1]["test_elbo_log_px"]), rel=0.01)
    other = KVAE(model.config)
    other.build((None, None, 8, 8))
    other.compile()
    other.optimizer.build(other.trainable_variables)
    progress = checkpoint.restore(folder.checkpoint, other)
    assert (progress["epoch"], progress["batch"], progress["best_epoch"]) == (2, 0, best)
    assert int(other.optimizer.iterations) == 3
    for found, wanted in zip(other.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(found, wanted)

    # Pictures after the first epoch; those of the last are the final evaluation's.
    pictures = {path.name for kind in ("films", "plots") for path in (folder.path / kind).iterdir()}
    assert pictures == {
        "epoch_001_imputation.mp4",
        "epoch_001_imputation_strip.png",
        "epoch_001_generation.mp4",
        "epoch_001_samples.mp4",
        "epoch_001_codes.png",
        "epoch_001_alpha.png",
        "epoch_001_motion.png",
    }
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    for split in ("validation", "test"):
        assert f"{float(rows[1][f'{split}_elbo_total']):.3f}" in lines[1]


def test_the_original_s_bound_is_recorded_too(tmp_path, eagerly, without_pictures):
    model, folder = start(tmp_path, kf_elbo="sampled", num_epochs=5, display_step=2, generate_step=4)
    train(model, videos(3, num_steps=3), videos(2, seed=1, num_steps=3), folder, StopSignals())
    folder.close()
    rows = read_metrics(folder)
    # The first epoch, every second, and the last.
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "1"), ("2", "2"), ("4", "4"), ("5", "5")]
    assert [row["test_imputation_smoothing"] for row in rows] == ["0.25", "", "0.25", "0.25"]
    assert without_pictures == [(1, "epoch_001_"), (4, "epoch_004_")]
    for row in rows:
        for name in ("train_elbo_state_space", "train_elbo_exact", "test_elbo_exact", "test_elbo_sampled"):
            assert np.isfinite(float(row[name]))
        assert row["test_elbo_state_space"] == row["test_elbo_sampled"] != row["test_elbo_exact"]


def test_what_explodes_ends_training_and_is_not_saved(tmp_path, eagerly, without_pictures):
    model, folder = start(tmp_path, init_lr=1e6, num_epochs=9)
    with pytest.raises(TrainingError, match=r"epoch \d.*--init_lr") as error:
        train(model, videos(8), videos(2, seed=1), folder, StopSignals())
    assert isinstance(error.value, UserError)
    # Had an epoch gone well, its model would be there; a broken one is not.
    assert (folder.path / "model.keras").exists() == (folder.path / "metrics.csv").exists()
    assert not all(np.isfinite(weight.numpy()).all() for weight in model.trainable_variables)
    if folder.checkpoint.exists():
        other = KVAE(model.config)
        other.build((None, None, 8, 8))
        other.compile()
        other.optimizer.build(other.trainable_variables)
        checkpoint.restore(folder.checkpoint, other)
        assert all(np.isfinite(weight.numpy()).all() for weight in other.trainable_variables)


def test_the_last_good_checkpoint_stays(tmp_path, eagerly, without_pictures, monkeypatch):
    model, folder = start(tmp_path, num_epochs=3)
    update, steps_before = KVAE.train_step, itertools.count()

    def break_in_the_second_epoch(model, data):
        if next(steps_before) == 2:
            model.lgssm.C.assign(model.lgssm.C * np.nan)
        return update(model, data)

    monkeypatch.setattr(KVAE, "train_step", break_in_the_second_epoch)
    with pytest.raises(TrainingError) as error:
        train(model, videos(8), videos(2, seed=1), folder, StopSignals())
    # The frames are still reconstructed, but their codes no longer explained.
    told = str(error.value)
    assert "step 3 (batch 1 of epoch 2), as elbo/total is nan, elbo/state_space is nan" in told
    order = videos(8).order_of_epoch(model.config.seed, 1)
    assert f"the sequences {', '.join(map(str, order[:4]))}." in told
    other = KVAE(model.config)
    other.build((None, None, 8, 8))
    other.compile()
    other.optimizer.build(other.trainable_variables)
    assert checkpoint.restore(folder.checkpoint, other)["epoch"] == 1
    assert np.isfinite(other.lgssm.C.numpy()).all()


class Signals(StopSignals):
    """A signal that comes when the loop has asked `after` times whether one did."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    @property
    def came(self):
        self.left -= 1
        if self.left == 0:
            self._came = signal.SIGTERM
        return super().came


def validation_bound(row):
    return float(row["validation_elbo_total"])


def without_time(rows):
    for row in rows:
        del row["train_time_seconds"]
    return rows


def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(tmp_path, eagerly, without_pictures):
    train_data = videos(6, num_steps=3)
    test_data, validation = videos(3, seed=1, num_steps=3), videos(2, seed=2, num_steps=3)
    options = dict(num_epochs=2, kf_update_steps=1, train_miss_prob=0.3, seed=4)
    whole, whole_folder = start(tmp_path / "whole", **options)
    best = train(whole, train_data, test_data, whole_folder, StopSignals(), validation=validation)
    whole_folder.close()
    wanted_rows = without_time(read_metrics(whole_folder))

    # In the middle of an epoch, at its end, and in the next one, which is another phase.
    for after in (1, 2, 3):
        model, folder = start(tmp_path / f"cut_{after}", **options)
        with pytest.raises(Stopped, match="SIGTERM") as stopped:
            train(model, train_data, test_data, folder, Signals(after), validation=validation)
        assert stopped.value.exit_code == 143
        # A kill may have come after something was told, and before the checkpoint said so.
        folder.record(9, 99, {"total": 0.0}, {})
        folder.close()

        model = KVAE(model.config)
        model.build((None, None, 8, 8))
        folder = RunFolder(folder.path)
        found = train(model, train_data, test_data, folder, StopSignals(), validation=validation)
        assert found == best == int(max(wanted_rows, key=validation_bound)["epoch"])
        folder.close()
        for found, wanted in zip(model.weights, whole.weights, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=f"{wanted.path}, stopped after {after}")
        assert without_time(read_metrics(folder)) == wanted_rows


def test_the_dynamics_are_refined_after_the_last_epoch(tmp_path, eagerly, without_pictures, capsys):
    options = dict(num_epochs=2, kf_update_steps=1, init_lr=0.01)
    plain, plain_folder = start(tmp_path / "plain", **options)
    train(plain, videos(10), videos(10), plain_folder, StopSignals())
    model, folder = start(tmp_path / "refined", refine_epochs=10, **options)
    best = train(model, videos(10), videos(10), folder, StopSignals())
    assert "dynamics alone, 10 epochs" in capsys.readouterr().out
    for part in ("encoder", "decoder"):
        for found, wanted in zip(getattr(model, part).weights, getattr(plain, part).weights, strict=True):
            np.testing.assert_array_equal(found, wanted, err_msg=wanted.path)
    rows = read_metrics(folder)
    # Ten passes over a batch of ten.
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "3"), ("2", "6"), ("12", "16")]
    # On many draws of the codes: the recorded term has one draw, whose noise is as large as the gain.
    codes = refinement.encode(model, videos(10))
    noise = np.random.default_rng(0).standard_normal([50, *codes.mean.shape])
    drawn = np.float32(codes.mean + codes.stddev * noise).reshape(-1, *codes.mean.shape[1:])
    u = np.zeros([*drawn.shape[:2], 1], np.float32)
    after, before = (np.mean(m.lgssm.filter(drawn, None, u)[0].log_likelihood) for m in (model, plain))
    assert after > before + 0.05
    # It counts as an epoch like the others: the last is kept, as nothing was held out.
    assert best == 12
    # As after an interruption in that phase: it is done once more, with the same end.
    again = KVAE(model.config)
    again.build((None, None, 8, 8))
    assert train(again, videos(10), videos(10), folder, StopSignals()) == best
    np.testing.assert_allclose(again.lgssm.A, model.lgssm.A, rtol=1e-4, atol=1e-5)
    assert [row["epoch"] for row in read_metrics(folder)] == ["1", "2", "12"]


def test_a_training_is_profiled_where_that_was_asked_for(tmp_path, eagerly, without_pictures, capsys):
    model, folder = start(tmp_path, num_epochs=2, profile=True)
    train(model, videos(10, num_steps=3), videos(2, num_steps=3), folder, StopSignals())
    (profile,) = folder.path.glob("train/plugins/profile/*/*.xplane.pb")
    # Three steps to warm up are an epoch.
    assert "Profiled 3 training step(s)" in capsys.readouterr().out
    # Nothing is left to train, or to profile.
    again = RunFolder(folder.path)
    train(model, videos(10, num_steps=3), videos(2, num_steps=3), again, StopSignals())
    assert "too few training steps left to profile" in capsys.readouterr().out
    assert [*folder.path.glob("train/plugins/profile/*/*")] == [profile]


def test_a_finished_training_is_not_trained_again(tmp_path, eagerly, without_pictures):
    model, folder = start(tmp_path, num_epochs=1)
    best = train(model, videos(3), videos(2), folder, StopSignals())
    before = model.lgssm.C.numpy()
    assert train(model, videos(3), videos(2), folder, StopSignals()) == best
    np.testing.assert_array_equal(model.lgssm.C, before)
    assert len(read_metrics(folder)) == 1
