import pytest

from benchmarks import gpu
from kvae.system import device


@pytest.mark.slow
def test_every_size_and_every_length_is_told(tmp_path, capsys):
    words = "--batch_sizes 2 3 --sides 16 32 --lengths 4 6 --num_paths 4 --repeats 1 --gpu cpu".split()
    assert gpu.main([*words, "--output", str(tmp_path / "gpu.txt")]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "gpu.txt").read_text() == printed
    assert "There is no GPU here" in printed or device.has_gpu()
    lines = printed.splitlines()
    steps = [line.split() for line in lines if " x 20 x " in line]
    # A size that is asked for twice is measured once.
    assert [" ".join(words[:5]) for words in steps] == ["2 x 20 x 32x32", "3 x 20 x 32x32", "2 x 20 x 16x16"]
    for words in steps:
        first, step, _ = (float(word) for word in words[5:8])
        assert 1e3 * first > step > 0
    lengths = [line.split() for line in lines if line.split()[:1] in (["4"], ["6"])]
    assert [row[0] for row in lengths] == ["4", "6"]
    for _, one, other, ratio in lengths:
        assert float(ratio) == pytest.approx(float(other) / float(one), rel=0.3)
