import pytest

from kvae.config import Config, ConfigError
from kvae.training import stages
from tests.kvae.training.small import videos


def test_the_data_say_how_many_controls_there_are():
    assert stages.with_controls(Config(), 3, False).dim_u == 3
    assert stages.with_controls(Config(dim_u=3), 3, True).dim_u == 3
    assert stages.with_controls(Config(dim_u=2), 0, True).dim_u == 2
    assert stages.with_controls(Config(learn_u=True), 3, False).dim_u == 1
    for config, is_given in ((Config(), True), (Config(dim_u=2), False)):
        with pytest.raises(ConfigError, match="contradicts the data, which have 3 controls a step"):
            stages.with_controls(config, 3, is_given)


def test_the_model_that_is_kept_is_named():
    data = stages.Data(videos(4), videos(2))
    assert stages.words_of_kept(7, data) == "the best model, that of epoch 7"
    assert stages.words_of_kept(0, data) == "the best model, the one it began with"
    assert stages.words_of_kept(7, data._replace(validation=None)) == "the last model, that of epoch 7"
