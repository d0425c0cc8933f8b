"""What the functions of this room ask of a model, and that they ask no more."""

import ast
from pathlib import Path

import kvae.inference
from kvae.inference.protocols import CodeNetwork, Mixture
from tests.kvae.mixtures import state_space_model


def test_the_keras_layer_is_a_mixture():
    model = state_space_model()
    assert isinstance(model, Mixture)
    assert isinstance(model.network, CodeNetwork)
    # Not everything is.
    assert not isinstance(model.network, Mixture)


def test_no_model_and_no_layer_is_imported():
    (folder,) = kvae.inference.__path__
    files = list(Path(folder).glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.split(".")[0] != "keras", file
                assert not name.startswith("kvae.") or name.startswith(
                    ("kvae.inference", "kvae.arguments")
                ), file
