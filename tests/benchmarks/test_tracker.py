from benchmarks import tracker


def test_reports_early_and_late_frames(tmp_path, capsys):
    assert tracker.main(["--num_frames", "8", "--output", str(tmp_path / "report.txt")]) == 0
    report = (tmp_path / "report.txt").read_text()
    assert report == capsys.readouterr().out
    for quarter in ("1-2", "3-4", "5-6", "7-8"):
        (row,) = [line.split() for line in report.splitlines() if line.split()[:1] == [quarter]]
        assert 0 < float(row[1]) <= float(row[2]) + 0.1
    assert "Filtering the last 100 frames at once" in report


def test_names_what_is_missing(tmp_path, capsys):
    assert tracker.main(["--run_folder", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
