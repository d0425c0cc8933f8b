import time

import pytest
import tyro

from benchmarks import first_minutes as benchmark
from benchmarks.first_minutes import Command, CommandError
from kvae.apply import __main__ as apply
from kvae.config import command_line
from kvae.runs.options import read_options

SLOW = "import time; print('begun', flush=True); time.sleep(0.3); print('ready now', flush=True)"


def test_milestones_are_timed_by_what_the_command_says(tmp_path):
    command = Command(["-c", SLOW], {"begin": "begun", "page": "ready", "all": ""})
    found = benchmark.measure(command, tmp_path)
    assert 0 < found["begin"] < found["page"] - 0.25
    assert found["page"] <= found["all"]


def test_what_would_not_end_is_stopped(tmp_path):
    start = time.monotonic()
    command = Command(["-c", f"{SLOW}; time.sleep(60)"], {"page": "ready"}, is_endless=True)
    found = benchmark.measure(command, tmp_path)
    assert found["page"] <= time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("code", "message"), [("exit(3)", "ended with exit code 3"), ("print(1)", "never said 'ready'")]
)
def test_a_command_that_fails_is_told(code, message, tmp_path):
    with pytest.raises(CommandError, match=message):
        benchmark.measure(Command(["-c", code], {"page": "ready"}), tmp_path)


def test_the_commands_are_what_their_parsers_take(tmp_path):
    commands = benchmark.commands_for(benchmark.ROOT / "pretrained" / "box", tmp_path)
    config = command_line.parse(commands["run_kvae.py --reload_model"].words[1:], read_options)
    assert config.reload_model == str(benchmark.ROOT / "pretrained" / "box")
    words = commands["kvae.apply"].words[2:]
    options = tyro.cli(apply.Options, args=words, use_underscores=True)
    assert options.run_folder.is_dir()
    assert (tmp_path / options.clip).exists()


def test_the_report_is_of_what_was_measured(tmp_path, capsys, monkeypatch):
    quick = {
        name: Command(["-c", SLOW], {"begin": "begun", "all": ""}) for name in ("import tensorflow", "second")
    }
    monkeypatch.setattr(benchmark, "commands_for", lambda *places: quick)
    assert benchmark.main(["--output", str(tmp_path / "report.txt")]) == 0
    report = (tmp_path / "report.txt").read_text()
    assert report == capsys.readouterr().out
    rows = [line.split() for line in report.splitlines()]
    begin, end = (row for row in rows if row[:1] == ["second"])
    assert [begin[1], end[1]] == ["begin", "all"]
    assert float(end[2]) >= float(begin[2]) + 0.2
    assert "Without kvae.explore" in report
