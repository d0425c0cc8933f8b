import shutil
import subprocess

import pytest

from kvae.runs import provenance


@pytest.fixture
def git(tmp_path):
    def git(*arguments, where=tmp_path):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *names, *arguments], cwd=where, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init")
    return git


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the file, which asks about itself."""
    path = tmp_path / "venv" / "kvae" / "provenance.py"
    path.parent.mkdir(parents=True)
    shutil.copy(provenance.__file__, path)
    monkeypatch.setattr(provenance, "__file__", str(path))
    return path


def test_the_commit_is_that_of_the_package(git, copy):
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert provenance.facts()["git_commit"] == commit
    copy.write_text("changed")
    assert provenance.facts()["git_commit"] == f"{commit}+"


def test_a_repository_around_the_package_is_not_its_own(git, copy):
    (copy.parents[2] / "theirs.txt").write_text("")
    git("add", "theirs.txt")
    git("commit", "-m", "theirs")
    assert provenance.facts()["git_commit"] is None


def test_the_caller_s_git_does_not_mislead(git, copy, tmp_path, monkeypatch):
    git("add", ".")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD")
    other = tmp_path / "other"
    other.mkdir()
    git("init", where=other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert provenance.facts()["git_commit"] == commit


def test_without_git_there_is_no_commit(monkeypatch):
    def fail(command, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.facts()["git_commit"] is None
