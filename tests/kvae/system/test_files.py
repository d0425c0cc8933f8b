import resource

import numpy as np
import pytest

from kvae.system.files import replacing


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "not" / "there yet" / "film.mp4"
    with replacing(path) as temporary:
        # Beside it, so that moving is one step, and with the suffix that writers go by.
        assert temporary.parent == path.parent
        assert temporary.suffix == ".mp4"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("old")
    with replacing(str(path)) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("begun", [False, True])
def test_after_an_error_the_old_file_is_left_alone(tmp_path, error, begun):
    path = tmp_path / "numbers.csv"
    path.write_text("old")

    def write():
        with replacing(path) as temporary:
            if begun:
                temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "numbers.csv"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_wrote_nothing_is_noticed(tmp_path):
    path = tmp_path / "numbers.csv"
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def little_space():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_with_the_file_s_name_and_leaves_the_old_file(tmp_path, little_space):
    path = tmp_path / "numbers.npz"
    path.write_text("old")
    with pytest.raises(OSError, match=r"too large: '.*numbers\.npz'"), replacing(path) as temporary:
        np.savez(temporary, np.zeros(1000))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
