import pytest

from kvae.config import Config
from kvae.runs.run_folder import RunFolder
from tests.kvae.runs.small import TINY


@pytest.fixture
def config(tmp_path):
    return Config(log_dir=str(tmp_path / "logs"), run_name="first", **TINY)


@pytest.fixture
def folder(config):
    folder = RunFolder.create(config)
    yield folder
    folder.close()
