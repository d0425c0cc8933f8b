import json

import pytest

from kvae.evaluation import report
from kvae.runs.run_folder import RunFolder
from tests.kvae.evaluation.small import tiny, videos


@pytest.fixture
def reported(tmp_path, monkeypatch):
    """Return a function that evaluates a model of these options: its lines, and its evaluation.json.

    The curves, which take long, are left out.
    """
    monkeypatch.setattr(report, "CURVES", {})
    bound = {"total": -4.0, "state_space": 1.0, "exact": 1.25, "sampled": -90.0}

    def reported(num_steps=16, terms=tuple(bound), **options):
        found = {name: bound[name] for name in terms}
        monkeypatch.setattr(report, "test_bound", lambda model, dataset: found)
        lines = list(report.evaluate(tiny(**options), videos(2, num_steps), RunFolder(tmp_path), 0, {"a": 1}))
        return lines, json.loads((tmp_path / "evaluation.json").read_text())

    return reported


def test_both_state_space_terms_are_told(reported):
    lines, facts = reported()
    assert lines[0] == "Test bound per frame: -3.750 (exact state space term), -95.000 (sampled)"
    assert lines[1].startswith("A careless guess")
    guess = facts.pop("baseline")
    assert lines[1].endswith(f": {guess:.4f}")
    assert 0.3 < guess < 0.7
    assert facts == {
        "a": 1,
        "test_bound": {"total": -4.0, "state_space": 1.0, "exact": 1.25, "sampled": -90.0},
    }


def test_of_learned_noise_the_exact_term_is_told_alone(reported):
    lines, facts = reported(learn_noise=True)
    assert lines[0] == "Test bound per frame: -3.750 (exact state space term)"
    # It is written down all the same.
    assert facts["test_bound"]["sampled"] == -90.0


def test_a_rival_has_one_bound(reported):
    lines, _ = reported(terms=("total", "state_space"))
    assert lines[0] == "Test bound per frame: -4.000"


def test_short_sequences_have_no_guess(reported):
    lines, facts = reported(num_steps=8)
    assert len(lines) == 1
    assert facts["baseline"] is None
