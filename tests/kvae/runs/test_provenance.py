import subprocess
from pathlib import Path

from kvae.runs import provenance


def test_the_commit_is_written_down(monkeypatch):
    answers = {}

    def git(command, **kwargs):
        assert Path(kwargs["cwd"]) == Path(provenance.__file__).parent
        return subprocess.CompletedProcess(command, 0, stdout=answers[command[1]])

    monkeypatch.setattr(subprocess, "run", git)
    answers.update({"rev-parse": "0123abc\n", "status": ""})
    assert provenance.facts()["git_commit"] == "0123abc"
    answers["status"] = " M kvae/models/kvae.py\n"
    assert provenance.facts()["git_commit"] == "0123abc+"

    def fail(command, **kwargs):
        raise subprocess.CalledProcessError(128, command)

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.facts()["git_commit"] is None
