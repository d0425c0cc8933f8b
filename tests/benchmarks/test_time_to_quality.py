import pytest

from benchmarks import time_to_quality as benchmark
from benchmarks.time_to_quality import Options, Point, Stopwatch
from simulation.dataset import generate

TINY = "--num_filters 4 --K 2 --alpha_units 4 --num_epochs 2 --batch_size 4 --num_paths 0 --precision float32"


def test_measuring_does_not_count():
    now = 100.0

    def measure(model):
        nonlocal now
        now += 7
        return model

    watch = Stopwatch(measure, started=90.0, clock=lambda: now)
    watch.after_epoch(0.5, 1)
    now += 20
    watch.after_epoch(0.25, 2)
    assert watch.points == [Point(10.0, 0.5), Point(30.0, 0.25)]
    now += 1
    assert watch.seconds() == 31.0


def test_the_report_says_when_the_target_was_reached():
    runs = {
        0: ([Point(10, 0.03), Point(20, 0.0209), Point(30, 0.021)], 40.0),
        5: ([Point(11, 0.05), Point(22, 0.04), Point(33, 0.03)], 44.0),
    }
    lines = benchmark.report_of(runs, Options(), ["--seeds", "0", "5"], ["--K", "2"])
    assert lines[0] == "# python -m benchmarks.time_to_quality --seeds 0 5"
    assert "python run_kvae.py --K 2 --seed S" in lines
    assert "    2        20 s  0.0209        22 s  0.0400" in lines
    assert lines[-2:] == [
        "seed 0: 0.0209 reached after 20 s, in epoch 2; the whole command took 40 s",
        "seed 5: 0.0209 reached never; the whole command took 44 s",
    ]


@pytest.mark.slow
def test_runs_are_those_of_the_command_line(tmp_path, capsys):
    generate("box", tmp_path / "data", num_train=8, num_test=4, seed=0, report=lambda file: None)
    of_run = ["--dataset", "box", "--data_dir", str(tmp_path / "data"), *TINY.split()]
    output = tmp_path / "results" / "report.txt"
    own = ["--seeds", "0", "--target", "1", "--output", str(output)]
    assert benchmark.main([*own, "--", *of_run]) == 0
    printed = capsys.readouterr().out
    assert printed == output.read_text()
    rows = [line.split() for line in printed.splitlines() if line.strip()[:2] in ("1 ", "2 ")]
    assert len(rows) == 2
    assert 0 < float(rows[0][1]) <= float(rows[1][1])
    assert all(0 < float(row[3]) < 1 for row in rows)
    assert "1.0 reached after" in printed


def test_a_wrong_option_of_the_run_is_told(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--", "--dataset", "box", "--K", "0"])
    assert "K must be at least 1" in capsys.readouterr().err
    assert benchmark.main(["--", "--resume", "nowhere"]) == 2
    assert "--seed cannot change a run that is resumed" in capsys.readouterr().err
