"""Parts of one's own: named by options, trained, found again by whoever loads the model."""

import sys

import numpy as np
import pytest

import kvae
from kvae.config import Config, ConfigError
from kvae.models import own_parts
from kvae.models.factory import make_model
from kvae.models.own_parts import OwnPartError
from kvae.runs.options import RunFolderError
from tests.kvae.training.small import TINY

PARTS = """
import keras
import tensorflow as tf
import tensorflow_probability as tfp

import kvae

tfd = tfp.distributions


@kvae.register_alpha_network("first_code")
class FirstCode(keras.layers.Layer):
    '''Alpha by the code before alone.'''

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(config.K, activation="softmax")
        self.dim_a = config.dim_a

    def build(self, input_shape=None):
        self.dense.build((None, self.dim_a))

    def call(self, codes):
        return self.dense(codes), None

    def initial_state(self, batch):
        return tf.zeros([batch, 1])

    def step(self, code, state):
        return self.dense(code), None, state


@kvae.register_likelihood("laplace")
class Laplace(keras.layers.Layer):
    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)

    def build(self, frame_shape):
        self.log_scale = self.add_weight((), initializer="zeros", name="log_scale")
        self.rank = len(frame_shape)

    def distribution(self, pixels):
        return tfd.Independent(tfd.Laplace(pixels, tf.exp(self.log_scale)), self.rank)


kvae.register_likelihood("without")(lambda config, name: keras.layers.Layer(name=name))
"""
OPTIONS = TINY | {
    "num_epochs": 1,
    "kf_update_steps": 0,
    "refine_epochs": 1,
    "num_paths": 4,
    "out_distr": "gaussian",
    "alpha_network": "my_parts:first_code",
    "likelihood": "my_parts:laplace",
}


@pytest.fixture
def my_parts(tmp_path, monkeypatch):
    """A folder where Python looks for modules, with my_parts in it, of which nothing is known yet."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "my_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(own_parts, "_makers", {option: {} for option in own_parts._makers})
    yield folder
    sys.modules.pop("my_parts", None)


def forget():
    """As in another process."""
    sys.modules.pop("my_parts")
    for makers in own_parts._makers.values():
        makers.clear()


@pytest.mark.filterwarnings("ignore:Even though the .* option is set")
def test_they_are_trained_and_found_again(my_parts, tmp_path, eagerly):
    videos = np.random.default_rng(0).random([6, 6, 8, 8], np.float32)
    model = kvae.train(Config(**OPTIONS, run_name="own"), videos, log_dir=tmp_path, quiet=True)
    assert model.alpha is model.lgssm.network
    assert type(model.alpha).__name__ == "FirstCode"
    assert float(model.likelihood.log_scale.numpy()) != 0
    # Biases begin at zero.
    assert np.abs(model.alpha.dense.bias.numpy()).max() > 0
    codes = model.encode(videos).mean()
    scale, location = np.exp(model.likelihood.log_scale.numpy()), model.decode(codes).mean().numpy()
    expected = -np.log(2 * scale) - np.abs(videos - location) / scale
    np.testing.assert_allclose(model.decode(codes).log_prob(videos), expected.sum(axis=(2, 3)), rtol=1e-4)
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 6)
    filled = model.impute(videos, mask, seed=0).images
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved" / "alone.keras")
    for file in ("own_kvae", "saved/alone.keras"):
        forget()
        again = kvae.load(tmp_path / file)
        assert type(again.likelihood).__module__ == "my_parts"
        np.testing.assert_allclose(again.impute(videos, mask, seed=0).images, filled, atol=1e-5)
    forget()
    (my_parts / "my_parts.py").unlink()
    with pytest.raises(RunFolderError, match="needs the module my_parts, which is neither"):
        kvae.load(tmp_path / "own_kvae")


def test_what_comes_with_a_model_is_not_run(my_parts, tmp_path, monkeypatch):
    """Neither as a module in the run's folder, nor as one of a package that the folder is."""
    model = make_model(Config(**OPTIONS))
    model.build((None, None, 8, 8))
    folder = tmp_path / "theirs"
    folder.mkdir()
    model.save(folder / "model.keras")
    forget()
    (my_parts / "my_parts.py").rename(folder / "my_parts.py")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(RunFolderError, match="is code in the model's own folder, which is not run"):
        kvae.load(folder / "model.keras")
    for name in ("alpha_network", "likelihood"):
        config = Config(**{name: "theirs.my_parts:laplace"}, out_distr="gaussian")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(OwnPartError, match=r"import theirs\.my_parts first"):
            own_parts.check_origin(config, folder)
    assert "my_parts" not in sys.modules
    import my_parts

    assert kvae.load(folder / "model.keras").config.alpha_network == "my_parts:first_code"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"alpha_network": "nowhere:gru"},
            "needs the module nowhere, which is neither in this folder nor",
        ),
        (
            {"alpha_network": "my_parts:gru"},
            "no alpha network 'gru'. It registers: first_code. @kvae",
        ),
        (
            {"likelihood": "my_parts:first_code"},
            "no likelihood 'first_code'. It registers: laplace, without",
        ),
        ({"likelihood": "my_parts:without"}, "without has no method distribution: it must have build, distr"),
        (
            {"likelihood": "broken:a"},
            "the module broken, which cannot be imported: ZeroDivisionError",
        ),
        ({"likelihood": "__main__:laplace"}, "The module __main__ registers no likelihood 'laplace'"),
    ],
)
def test_what_is_missing_is_said_in_words(options, message, my_parts):
    (my_parts / "broken.py").write_text("1 / 0")
    with pytest.raises(OwnPartError) as error:
        make_model(Config(**TINY | options))
    assert message in str(error.value)


def test_options_that_would_be_ignored_beside_them_are_refused():
    for name in ("gru", "my_parts:", "my parts:gru", "my_parts.py/:gru", ":gru"):
        with pytest.raises(ConfigError, match="alpha_network must be empty, or MODULE:NAME of your own"):
            Config(alpha_network=name)
    with pytest.raises(ConfigError, match="alpha_rnn=False has no effect with alpha_network=my_parts:gru"):
        Config(alpha_network="my_parts:gru", alpha_rnn=False)
    with pytest.raises(ConfigError, match="learn_pixel_var=True has no effect with likelihood=my"):
        Config(out_distr="gaussian", likelihood="my_parts:laplace", learn_pixel_var=True)
    with pytest.raises(ConfigError, match="alpha_network='my_parts:gru' has no effect with model=ae_rnn"):
        Config(model="ae_rnn", alpha_network="my_parts:gru")


def test_what_videos_start_from_gives_way_to_them():
    videos = np.zeros([4, 20, 8, 8], np.uint8)
    config = Config.for_videos(videos, likelihood="my_parts:laplace", alpha_network="my_parts:first_code")
    assert (config.out_distr, config.learn_pixel_var) == ("gaussian", False)
    assert (config.alpha_rnn, config.K) == (True, 9)


@pytest.mark.parametrize("name", ["", "a:b", "a b"])
def test_names_are_plain(name):
    for register in (kvae.register_alpha_network, kvae.register_likelihood):
        with pytest.raises(ValueError, match="must be an identifier"):
            register(name)
