import re

import pytest

from benchmarks import simulation
from simulation import make_world


def test_every_part_of_the_time_is_told(capsys, tmp_path):
    output = tmp_path / "report.txt"
    options = ["--worlds", "box", "pendulum", "--num_sequences", "60", "--rounds", "1"]
    assert simulation.main([*options, "--output", str(output)]) == 0
    report = capsys.readouterr().out
    assert output.read_text() == report
    for world, num_steps in (("box", 20), ("pendulum", 15)):
        (line,) = [line for line in report.splitlines() if line.startswith(world)]
        _, frames, one, several, *_ = line.split()
        assert int(frames) == num_steps
        assert float(one.replace(",", "")) > float(several.replace(",", "")) > 0
        # Whole percents, so their sum is a little off.
        shares = [int(share) for share in re.findall(r"(-?\d+)%", line)]
        assert len(shares) == 4
        assert sum(shares) == pytest.approx(100, abs=3)


def test_the_clocks_are_taken_away_again(tmp_path):
    before = make_world("box").rollout([[16, 16, 10, 3]], 5)
    shares = simulation.shares_of_time(make_world("box"), 100, tmp_path)
    assert 0 < shares["physics"] < 1
    assert 0 < shares["drawing"] < 1
    for parts in simulation.CLOCKED.values():
        for owner, name in parts:
            assert not hasattr(getattr(owner, name), "__wrapped__")
    after = make_world("box").rollout([[16, 16, 10, 3]], 5)
    assert (before.images == after.images).all()
