import subprocess
import sys

import pytest

import kvae

NAMES = (
    "Config KVAE Schedule Tracker data export kalman load load_weights masks pretrained "
    "register_alpha_network register_likelihood save_weights train"
).split()


def test_dir_shows_the_public_names_alone():
    assert dir(kvae) == sorted(NAMES) == sorted(kvae.__all__)


def test_every_public_name_is_there_in_a_fresh_interpreter():
    code = "import kvae\nfor name in dir(kvae): print(getattr(kvae, name).__name__.split('.')[-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == NAMES


def test_modules_are_those_of_their_rooms():
    import kvae.data.masks
    import kvae.inference.kalman

    assert kvae.kalman is kvae.inference.kalman
    assert kvae.masks is kvae.data.masks
    from kvae import kalman

    assert kalman is kvae.kalman


def test_another_name_is_told_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'Kvae'. Public are: Config, KVAE, "):
        kvae.Kvae  # noqa: B018
