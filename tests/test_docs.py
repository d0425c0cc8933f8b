"""The examples in docs/extend.md run and are short; links in the documentation lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "extend.md").read_text(), re.M | re.S)
EXAMPLES = dict(zip(["world", "alpha", "likelihood"], BLOCKS, strict=True))
# `eagerly` leaves the functions of tf.data as they are, and that is meant.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the .* option is set")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def eagerly():
    """Nothing is traced and compiled, which takes most of the time; what is computed is the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def _run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = {"__name__": f"example_{name}"}
    exec(compile(EXAMPLES[name], f"docs/extend.md, {name}", "exec"), found)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short(name):
    assert EXAMPLES[name].count("\n") < 40


def test_a_world_is_simulated_and_learned_from(eagerly, monkeypatch, capsys):
    found = _run("world", monkeypatch)
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(found["history"].history["total"][0])
    assert np.isfinite(found["history"].history["total"]).all()
    videos = found["videos"]
    assert videos.shape == (32, 10, 16, 16)
    # There is a dot in every frame, and it moves.
    assert (videos.max(axis=(2, 3)) == 255).all()
    assert (videos[:, 0] != videos[:, 5]).any(axis=(1, 2)).mean() > 0.9


def test_another_alpha_network_is_used_and_trained(monkeypatch, capsys):
    found = _run("alpha", monkeypatch)
    assert "(16, 6, 8, 8)" in capsys.readouterr().out
    model = found["model"]
    paths = [weight.path for weight in model.trainable_variables]
    assert any("gru" in path for path in paths)
    assert not any("lstm" in path for path in paths)
    # The networks' biases start at zero.
    assert np.abs(model.alpha.dense.bias.numpy()).max() > 0
    np.testing.assert_allclose(found["at_once"].numpy().sum(axis=-1), 1, atol=1e-5)


def test_another_likelihood_is_learned(eagerly, monkeypatch, capsys):
    found = _run("likelihood", monkeypatch)
    assert "(32, 6, 8, 8)" in capsys.readouterr().out
    model, videos = found["model"], found["videos"]
    codes = model.encode(videos).mean()
    location = model.decode(codes).mean().numpy()
    # The density of a Laplace distribution, written out.
    expected = -np.log(2 * found["scale"]) - np.abs(videos - location) / found["scale"]
    np.testing.assert_allclose(model.decode(codes).log_prob(videos), expected.sum(axis=(2, 3)), rtol=1e-4)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
