import json

import numpy as np
import pytest

from kvae.evaluation import report
from kvae.evaluation.imputation import CurvePoint, ImputationError
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
    assert lines[-1].startswith("A careless guess")
    guess = facts.pop("baseline")
    assert lines[-1].endswith(f": {guess:.4f}")
    motion = facts.pop("motion")
    assert lines[1].startswith(f"Motion explained: {motion['explained']:.3f}; ")
    assert lines[1].endswith(f"{motion['alive']:.0f} of 2 codes alive")
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
    assert not any("careless" in line for line in lines)
    assert facts["baseline"] is None


def test_what_is_not_seen_is_told(reported, monkeypatch):
    motion = report.motion_of(tiny(), videos(2))
    # All that moves is in one corner, and no reconstruction follows it.
    corner = np.zeros([8, 8])
    corner[:3, 4:] = 1
    broken = motion._replace(
        variance=corner, error=corner, coherence=corner, noise_variance=0 * motion.noise_variance
    )
    monkeypatch.setattr(report, "motion_of", lambda model, dataset: broken)
    lines, _ = reported()
    (warning,) = (line for line in lines if line.startswith("Warning"))
    assert "rows 0 to 2, columns 4 to 7 (12 pixels;" in warning
    assert "--dim_a" in warning
    dead = broken._replace(code_variance=0 * broken.code_variance)
    monkeypatch.setattr(report, "motion_of", lambda model, dataset: dead)
    lines, facts = reported()
    (warning,) = (line for line in lines if line.startswith("Warning"))
    assert "All codes are given up" in warning
    assert "--scale_reconstruction" in warning
    assert facts["motion"] == {"explained": 0, "unseen": 1, "alive": 0}


def test_of_dim_videos_no_fraction_is_made_much_of(tmp_path, monkeypatch):
    data = videos(2, 16)
    dim = data._replace(images=(data.images // 4).astype(data.images.dtype))
    monkeypatch.setattr(report, "CURVES", {})
    model = tiny(out_distr="gaussian")
    lines = list(report.evaluate(model, dim, RunFolder(tmp_path), 0, {}))
    assert lines[-2].endswith("another time: 0.0000")
    assert "says nothing of these videos" in lines[-1]
    assert not any("no better" in line for line in lines)


@pytest.mark.parametrize(("shift", "warned"), [(-0.2, False), (0.0, True)])
def test_a_model_that_is_no_better_than_a_careless_guess_says_so(tmp_path, monkeypatch, shift, warned):
    data = videos(2, 16)
    model = tiny()
    guess = report.careless_guess(data.images, is_binary=model.config.is_binary)

    def curve(model, dataset, methods):
        errors = dict.fromkeys(methods, guess - 0.2) | {"smoothing": guess + shift}
        points = [
            (x, name, errors[name] + 0.01 * x - 0.01) for name in methods if name in errors for x in (1, 3)
        ]
        return [CurvePoint(x, name, ImputationError(wrong, 1.0)) for x, name, wrong in points]

    monkeypatch.setattr(report, "CURVES", {"imputation_planning": ("hidden frames", curve)})
    lines = list(report.evaluate(model, data, RunFolder(tmp_path), 0, {}))
    warnings = [line for line in lines if "no better than that guess" in line]
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith(f"Warning: smoothing ({guess:.4f}): no better")
