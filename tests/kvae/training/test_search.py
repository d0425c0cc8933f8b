import csv

import numpy as np
import pytest

from kvae.config import Config
from kvae.errors import TrainingError
from kvae.models.kvae import KVAE
from kvae.runs.load import load
from kvae.runs.options import read_options
from kvae.system.signals import StopSignals
from kvae.training import search
from kvae.training.loop import train
from kvae.training.refinement import EncodedSequences
from kvae.training.search import Trial
from tests.kvae.training.small import start, videos


def tiny(**options):
    model = KVAE(Config(num_filters=(4,), alpha_units=4, refine_epochs=1, **options))
    model.build((None, None, 8, 8))
    return model


def lines(count=48, num_steps=8):
    """Codes on straight lines, known to 0.1."""
    start, velocity = np.random.default_rng(0).normal(size=[2, count, 1, 2])
    mean = np.float32(start + velocity * np.arange(num_steps)[:, None])
    return EncodedSequences(mean, np.full_like(mean, 0.1), np.zeros([count, num_steps, 1], np.float32), None)


@pytest.mark.slow
def test_a_state_that_has_no_room_for_a_velocity_is_found_too_small(monkeypatch):
    monkeypatch.setattr(search, "NUM_UPDATES", 60)
    # All is compiled for every part of every trial.
    monkeypatch.setattr(search, "NUM_FOLDS", 2)
    monkeypatch.setattr(search, "_rounds", lambda config, names: [[{"dim_z": 4}]])
    model, told = tiny(K=1, dim_z=2, learn_noise=True, init_lr=0.03, search="dim_z"), []
    before = [weight.numpy() for weight in model.weights]
    trials = search.search(model, lines(), told.append)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert [trial.changes for trial in trials] == [{}, {"dim_z": 4}]
    best = trials[-1]
    assert all(trial.scores.shape == (48,) for trial in trials)
    # Nats of a code whose place is guessed from where it was, against one whose velocity is known.
    assert best.scores.mean() > trials[0].scores.mean() + 0.5
    assert len(told) == 2
    assert "better" in told[1]
    table = search.table_of(trials)
    assert len(table) == 4
    assert "chosen" in table[-1]
    assert "-" in table[2].split("|")[3]


def test_a_score_is_a_log_likelihood_per_code_that_is_seen(eagerly, monkeypatch):
    model, codes = tiny(), lines(70)
    codes = codes._replace(stddev=np.zeros_like(codes.mean))
    monkeypatch.setattr(search, "HIDDEN", 1e-12)
    expected = model.lgssm.filter(codes.mean, None, codes.controls)[0].log_likelihood.numpy().mean(axis=1)
    # Of the last batch, which is filled up, too.
    np.testing.assert_allclose(search._scores(model, codes), expected, rtol=1e-4)
    seen = np.float32(np.random.default_rng(1).random([70, 8]) < 0.5)
    masked = model.lgssm.filter(codes.mean, seen, codes.controls)[0].log_likelihood.numpy().sum(axis=1)
    found = search._scores(model, codes._replace(mask=seen))
    np.testing.assert_allclose(found, masked / np.maximum(seen.sum(axis=1), 1), rtol=1e-4)


def test_of_a_single_sequence_nothing_is_chosen():
    told = []
    (trial,) = search.search(tiny(search="all"), lines(1), told.append)
    assert trial.changes == {}
    assert told == ["search: a single sequence leaves none to judge by, so the options stay as they are"]


def trial_of(gain):
    return lambda model, codes, changes: Trial(changes, np.arange(10.0) + gain(changes), 0.0)


def test_what_is_chosen_is_gone_on_from(monkeypatch):
    """Of each round the best; what is tried in the next stands on it."""

    def gain(changes):
        return (changes.get("alpha_rnn") is False and changes.get("refine_miss_prob") == 0.4) + (
            changes.get("K") == 15
        )

    monkeypatch.setattr(search, "_tried", trial_of(gain))
    trials = search.search(tiny(search="all"), lines(), lambda line: None)
    mlp = {"alpha_rnn": False, "alpha_units": 50, "fifo_size": 2}
    changes = [trial.changes for trial in trials]
    assert changes[0] == {}
    assert {"refine_miss_prob": 0.4} in changes
    assert mlp in changes
    assert {**mlp, "refine_miss_prob": 0.4, "K": 5} in changes
    assert {**mlp, "refine_miss_prob": 0.4, "K": 15, "dim_z": 6} in changes
    assert changes[-1] == {**mlp, "refine_miss_prob": 0.4, "K": 15}
    assert len({str(sorted(change.items())) for change in changes}) == len(changes)


def test_from_an_mlp_the_lstm_is_tried_and_its_own_options_go(monkeypatch):
    monkeypatch.setattr(search, "_tried", trial_of(lambda changes: changes.get("alpha_rnn", 0)))
    model = tiny(search="alpha", alpha_rnn=False, fifo_size=2, alpha_layers=3)
    best = search.search(model, lines(), lambda line: None)[-1]
    assert best.changes == {"alpha_rnn": True, "alpha_units": 100, "fifo_size": 1}
    assert search.with_changes(model.config, best.changes).alpha_layers == Config.alpha_layers


def test_a_gain_within_its_error_changes_nothing(monkeypatch):
    noise = np.random.default_rng(0).normal(size=10)
    monkeypatch.setattr(
        search, "_tried", trial_of(lambda changes: 0.1 * noise.std() + noise if changes else 0)
    )
    assert search.search(tiny(search="K"), lines(), lambda line: None)[-1].changes == {}


def test_a_trial_whose_training_breaks_is_not_chosen(monkeypatch):
    def broken(model, codes, epochs, rate, validation):
        if model.config.K == 5:
            raise TrainingError("no number")

    monkeypatch.setattr(search, "refine", broken)
    monkeypatch.setattr(search, "_scores", lambda model, codes: np.zeros([len(codes.mean)]))
    trials = search.search(tiny(search="K"), lines(), lambda line: None)
    assert [np.isfinite(trial.scores).all() for trial in trials if trial.changes.get("K") == 5] == [False]
    assert trials[-1].changes == {}
    assert "-inf" in "\n".join(search.table_of(trials))


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_training_goes_on_with_what_was_found(
    is_kept, tmp_path, eagerly, without_pictures, monkeypatch, capsys
):
    def of(model, codes, say):
        assert codes.mean.shape == (10, 6, 2)
        return [Trial({}, np.zeros(10), 0.0), Trial({"K": 5}, np.ones(10), 0.0)]

    monkeypatch.setattr(search, "search", of)
    options = dict(num_epochs=1, refine_epochs=2, search="K", init_lr=0.01)
    model, folder = start(tmp_path, **options)
    folder.write_config(model.config, "float32", {"of": "these"})
    if not is_kept:
        monkeypatch.setattr("kvae.training.refinement.refine", spoil)
    data = videos(10), videos(3, seed=1), folder, StopSignals()
    best = train(model, *data, validation=videos(4, seed=2))
    folder.close()
    assert "| --K 5 | 1.000 | chosen |" in (folder.path / "search.md").read_text()
    config = read_options(folder.path)
    assert best == (3 if is_kept else 1)
    assert config["K"] == (5 if is_kept else 2)
    assert ("those before stay" in capsys.readouterr().out) is not is_kept
    kept = load(folder.path)
    assert kept.lgssm.A.shape[0] == config["K"]
    with open(folder.path / "metrics.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "3"]
    # Nothing is left to do for a training that is resumed, with the options that stand there now.
    monkeypatch.setattr(search, "search", None)
    again = KVAE(Config.from_dict(config))
    again.build((None, None, 8, 8))
    assert train(again, *data, validation=videos(4, seed=2)) == best


def spoil(model, *arguments):
    model.lgssm.C.assign(model.lgssm.C + 9)
    return 2
