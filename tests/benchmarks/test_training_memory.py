import pytest

from benchmarks import training_memory


@pytest.mark.slow
def test_memory_is_told_for_both_sizes(capsys):
    assert training_memory.main(["--num_train", "40", "--per_shard", "20", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].split()[-2:] == ["40", "400"]
    for line, name in zip(lines[-2:], ("in one file", "in shards of 20"), strict=True):
        assert line.startswith(name)
        # TensorFlow alone takes hundreds of megabytes; forty small videos hardly any.
        first, growth, tenfold, _ = line.removeprefix(name).split()
        assert 100 < int(first) < 5000
        assert abs(int(growth.strip("(+)"))) < 300
        assert abs(int(tenfold) - int(first)) < 300
