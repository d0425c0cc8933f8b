import dataclasses

import pytest

from kvae.config import Config, ConfigError
from kvae.config.rules import idle_setting

FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def test_kinds_are_brought_into_line():
    config = Config(num_filters=[8, 4], init_cov=5, num_epochs=1)
    assert config.num_filters == (8, 4)
    assert isinstance(config.num_filters, tuple)
    assert config.init_cov == 5.0
    assert isinstance(config.init_cov, float)
    assert Config(num_filters=[]) == Config()
    assert hash(config) == hash(Config(num_filters=(8, 4), init_cov=5.0, num_epochs=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("K", "3"),
        ("K", 3.0),
        ("K", True),
        ("K", None),
        ("init_lr", "0.1"),
        ("init_lr", True),
        ("conv", 1),
        ("conv", "False"),
        ("dataset", 3),
        ("gpu", 0),
        ("run_name", None),
        ("num_filters", 32),
        ("num_filters", "32,32"),
        ("num_filters", (4.0,)),
        ("num_filters", (True,)),
        ("num_filters", ("4",)),
    ],
)
def test_wrong_types_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"^{name} must be .*Received: ") as error:
        Config(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "one_that_works"),
    [
        ("activation", "sigmoid", "elu"),
        ("alpha_activation", "Relu", "tanh"),
        ("out_distr", "normal", "gaussian"),
        ("kf_elbo", "", "sampled"),
        ("precision", "float16", "bfloat16"),
        ("preset", "orginal", "original"),
        ("activation", ["relu"], "relu"),
    ],
)
def test_a_wrong_choice_is_told_the_right_ones(name, value, one_that_works):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    for part in (name, repr(value), repr(one_that_works)):
        assert part in str(error.value)


def test_it_is_named_what_makes_an_option_idle():
    assert idle_setting(FIELDS["fifo_size"], {"alpha_rnn": True}) == "alpha_rnn=True"
    assert idle_setting(FIELDS["fifo_size"], {"alpha_rnn": False, "model": "ae_rnn"}) == "model=ae_rnn"
    assert idle_setting(FIELDS["fifo_size"], {"alpha_rnn": False, "model": "kvae"}) is None
    assert idle_setting(FIELDS["fifo_size"], {}) is None
    assert idle_setting(FIELDS["t_init_train_miss"], {"train_miss_prob": 0.0}) == "train_miss_prob=0"
    assert idle_setting(FIELDS["K"], {"conv": False}) is None
