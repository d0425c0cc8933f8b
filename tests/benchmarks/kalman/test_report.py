from benchmarks.kalman import report
from benchmarks.kalman.measure import Measured, Options


def test_report_says_what_was_left_out():
    table = {10: {("ours, parallel, XLA", "smoother"): Measured(2.0, 0.0, (0.1, 0.2, 0.3))}}
    text = report.report_of(table, Options(batch_size=2), "python -m this", {"tensorflow": "2"})
    assert "    python -m this\n" in text
    assert "dynamax was left out" in text
    assert "dynamax was left out" not in report.report_of(table, Options(batch_size=2), "", {"dynamax": "1"})


def test_table_and_figure():
    table = {
        10: {("ours, parallel, XLA", "smoother"): Measured(2.0, 0.0, (0.1, 0.2, 0.3))},
        100: {("ours, parallel, XLA", "smoother"): Measured()},
        1000: {("ours, parallel, XLA", "smoother"): Measured(2.0, 0.04)},
    }
    row = report.markdown(table, report.cell_text).splitlines()[4]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "ours, parallel, XLA",
        "200 (150 - 250)",
        "-",
        "wrong by 4e-02",
    ]
    assert "2" in report.markdown(table, report.first_call_text)
    assert len(report.figure_of(table).axes) == 3
