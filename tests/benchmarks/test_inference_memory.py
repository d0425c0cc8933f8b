import pytest

from benchmarks import inference_memory


@pytest.mark.slow
def test_memory_is_told_of_each_method(capsys):
    assert inference_memory.main(["--num_sequences", "20", "--methods", "smooth", "sample"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, name in zip(lines[-2:], ("smooth", "sample"), strict=True):
        method, few, many, size, seconds = line.split()
        assert method == name
        # TensorFlow alone takes hundreds of megabytes; forty small videos hardly any.
        assert 100 < int(few) < 5000
        assert abs(int(many) - int(few)) < 300
        assert int(size) < 100
        assert float(seconds) > 0
