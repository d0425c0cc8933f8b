import importlib.metadata

from benchmarks import report


def test_a_report_begins_with_the_command_but_for_where_it_goes():
    lines = report.heading("this", ["--a", "1", "--output", "/some/place", "--b", "two words"], ("numpy",))
    assert lines[0] == "# python -m benchmarks.this --a 1 --b 'two words'"
    assert lines[1] == ""
    assert lines[2].endswith(f", numpy {importlib.metadata.version('numpy')}")


def test_a_report_names_the_gpus_in_use():
    assert " cores, this, that; Python " in report.heading("this", [], (), ["this", "that"])[2]
    assert " cores; Python " in report.heading("this", [], ())[2]


def test_a_report_is_printed_and_written(tmp_path, capsys):
    output = tmp_path / "new" / "report.txt"
    report.publish(["one", "", "two"], output)
    assert output.read_text() == capsys.readouterr().out == "one\n\ntwo\n"
    report.publish(["three"])
    assert capsys.readouterr().out == "three\n"
    report.write(["four"], None)
    assert output.read_text() == "one\n\ntwo\n"
