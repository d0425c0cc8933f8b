import pytest

from benchmarks import frame_sizes


@pytest.mark.slow
def test_time_and_memory_of_each_size_are_told(capsys):
    assert frame_sizes.main(["--sides", "32", "64", "--batch_size", "1", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = [(side, kind, count) for side, count in ((32, 3), (64, 4)) for kind in ("grey", "colour")]
    for line, (side, kind, count) in zip(lines[-4:], expected, strict=True):
        frames, of, convolutions, weights, *measured = line.split()
        assert (frames, of, int(convolutions)) == (f"{side}x{side}", kind, count)
        assert int(weights.replace(",", "")) > 10_000
        assert all(float(number) >= 0 for number in measured)
        assert float(measured[0]) > float(measured[2]) > 0
