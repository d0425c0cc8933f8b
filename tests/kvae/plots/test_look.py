from matplotlib.colors import to_rgb

from kvae.models.factory import make_model
from kvae.plots import look
from tests.kvae.models.small import TINY


def test_every_method_of_every_model_has_a_look():
    from kvae.config import Config

    for model in ("kvae", "vae_rnn"):
        methods = make_model(Config(model=model, **TINY)).methods
        assert set(methods) <= set(look.METHODS)


def test_one_look_whatever_it_is_called_and_whatever_stands_beside_it():
    alone, together = (
        look.looks_of(["smoothing"]),
        look.looks_of(["AE-RNN", "generated", "smoothed", "sampling"]),
    )
    assert list(together) == ["sampling", "smoothed", "generated", "AE-RNN"]
    assert together["smoothed"] == alone["smoothing"]
    assert together["generated"] == look.METHODS["generation"]
    assert together["AE-RNN"] not in look.METHODS.values()


def test_colours_differ():
    def distances(colours):
        points = [to_rgb(colour) for colour in colours]
        return [
            sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
            for i, first in enumerate(points)
            for second in points[:i]
        ]

    # The reconstruction is the truth, encoded.
    methods = {name: of.colour for name, of in look.METHODS.items() if name != "reconstruction"}
    others = [of.colour for of in look.looks_of(["a", "b", "c"]).values()]
    assert min(distances([*methods.values(), *others])) > 0.25
    assert len(look.MIXTURE) == 9
    assert min(distances(look.MIXTURE)) > 0.2
