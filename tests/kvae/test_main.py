"""The program `kvae`, as `python -m kvae`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import kvae
from kvae.__main__ import main

ROOT = Path(__file__).parents[2]
COMMANDS = ["train", "apply", "explore", "generate"]


def start(*words, cwd):
    """Run the program in a process of its own, in some folder."""
    return subprocess.run(
        [sys.executable, "-m", "kvae", *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_version_is_told_before_anything_is_imported(tmp_path):
    code = "import sys; from kvae.__main__ import main; main(['--version']); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said, modules = done.stdout.splitlines()
    assert said == f"kvae {kvae.__version__}"
    assert not {"numpy", "tensorflow", "tyro", "pygame"} & {*modules.split()}


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_all_commands(flag, capsys):
    assert main([flag]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if line.startswith("  ")][:4] == COMMANDS


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "Error: Say which command."),
        (["trian"], "Error: There is no command 'trian'. Did you mean train?"),
        (["--dataset", "box"], "Error: There is no command '--dataset'."),
    ],
)
def test_what_is_no_command_is_told(words, told, capsys):
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: kvae COMMAND")
    assert said.err.endswith(f"\n{told}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_was_typed(name, tmp_path):
    done = start(name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m kvae {name} ")


def test_arguments_and_exit_codes_pass(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/kvae"])
    words = f"generate --dataset box --num_test 2 --num_steps 4 --data_dir {tmp_path} --num_train".split()
    assert main([*words, "2"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.npz", "box_test.npz"]
    assert main([*words, "3"]) == 2
    assert "Pass --regenerate True to `kvae generate` to replace it" in capsys.readouterr().err


def test_a_world_of_one_s_own_lies_in_the_folder_where_one_is(tmp_path, monkeypatch):
    """Of a script that is installed the folder is not where Python looks; nothing in it hides a package."""
    (tmp_path / "my_circle.py").write_text(
        "from kvae.simulation.worlds import register\n"
        "from kvae.simulation.worlds.pendulum import pendulum\n"
        "@register('swing')\n"
        "def swing(resolution=8): return pendulum(resolution)\n"
    )
    (tmp_path / "numpy.py").write_text("raise ValueError('hides a package')")
    code = "import sys; sys.path.remove(''); from kvae.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = "generate --dataset my_circle:swing --num_train 2 --num_test 2 --num_steps 4 --jobs 2".split()
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "data" / "my_circle-swing_test.npz").exists()
