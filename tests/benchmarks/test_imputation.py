import re

from benchmarks import imputation


def test_every_number_of_paths_has_its_line(tmp_path, capsys):
    output = tmp_path / "report.txt"
    options = ["--paths", "0", "4", "--num_sequences", "32", "--output", str(output)]
    assert imputation.main(options) == 0
    report = output.read_text()
    assert "32 sequences of 20 frames, 12 hidden" in report
    rows = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+) +untrained$", report, re.MULTILINE)
    assert [row[0] for row in rows] == ["0", "4"]
    # Sampling smooths and decodes many sequences for one.
    assert float(rows[1][1]) > float(rows[0][1]) > 0
    (line,) = re.findall(
        r"^Curves: of (\d+) % .*:\n([\d.]+) of the time of decoding all 24$", report, re.MULTILINE
    )
    assert 0 <= int(line[0]) <= 100
    assert float(line[1]) > 0
    capsys.readouterr()
    assert imputation.main(["--run_folder", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
