import dataclasses
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulation.dataset_file import read_metadata
from simulation.generate import Options, main
from simulation.sampling import Workers

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "simulation.generate"]
SMALL = ["--num_train", "3", "--num_test", "2", "--num_steps", "4"]


def box_into(folder):
    return ["--dataset", "box", "--data_dir", str(folder), *SMALL]


def test_makes_both_files_and_says_so(tmp_path):
    command = [*COMMAND, *box_into(tmp_path)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0
    lines = finished.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{tmp_path / 'box.npz'}: 3 sequences x 4 steps, 0.0 MB, ")
    assert lines[1].startswith(f"{tmp_path / 'box_test.npz'}: 2 sequences x 4 steps, 0.0 MB, ")
    # No terminal, no progress bar.
    assert finished.stderr == ""


def test_simulation_needs_no_tensorflow():
    code = "import sys, simulation.generate; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


def test_options_reach_the_files(tmp_path, capsys):
    arguments = [
        "--dataset=box_gravity",
        f"--data-dir={tmp_path}",
        "--num-train=2",
        "--num_test=1",
        "--num-steps=3",
        "--seed=8",
    ]
    assert main(arguments) == 0
    train = read_metadata(tmp_path / "box_gravity.npz")
    test = read_metadata(tmp_path / "box_gravity_test.npz")
    assert (train["num_sequences"], test["num_sequences"]) == (2, 1)
    assert (train["num_steps"], train["seed"], test["seed"]) == (3, 8, 8)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_second_run_leaves_the_files(tmp_path, capsys):
    assert main(box_into(tmp_path)) == 0
    capsys.readouterr()
    assert main(box_into(tmp_path)) == 0
    assert capsys.readouterr().out.count("there already, left as it is") == 2


@pytest.mark.parametrize("flag", [["--regenerate", "True"], ["--regenerate=True"]])
def test_mismatch_exits_2_until_told_to_regenerate(tmp_path, capsys, flag):
    assert main(box_into(tmp_path)) == 0
    other_seed = [*box_into(tmp_path), "--seed", "5"]
    assert main(other_seed) == 2
    assert main([*other_seed, "--regenerate=False"]) == 2
    error = capsys.readouterr().err
    assert "seed is 1234, not 5" in error
    assert "--regenerate True" in error
    assert main([*other_seed, *flag]) == 0
    assert read_metadata(tmp_path / "box.npz")["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "Say which world to simulate: --dataset box | box_gravity | polygon | pong | pendulum | swi",
        ),
        (["--dataset", "bx"], "Did you mean 'box'?"),
        (["--dataset", "box", "--num_train", "0"], "num_train must be at least 1"),
        (["--dataset", "box", "--num_test", "-3"], "num_test must be at least 1"),
        (["--dataset", "box", "--num_steps", "0"], "num_steps must be an integer of at least 1"),
        (["--dataset", "box", "--seed", "-1"], "seed must not be negative"),
    ],
)
def test_bad_values_exit_2_with_one_line(tmp_path, capsys, arguments, message):
    assert main([*arguments, "--data_dir", str(tmp_path / "new")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    assert len(output.err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments",
    [["--dataset", "box", "--num_train", "many"], ["--dataset", "box", "--num_trains", "3"]],
)
def test_arguments_that_do_not_parse_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(Options):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "{box,box_gravity,polygon,pong,pendulum,swinging_line}" in text


def test_data_dir_that_is_a_file_exits_2(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(box_into(tmp_path / "file")) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_data_dir_that_is_read_only_exits_2_before_simulating(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Workers, "simulate", None)
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write anywhere")
    assert main(box_into(tmp_path)) == 2
    assert "Permission denied" in capsys.readouterr().err


def heed_interrupts():
    # A shell lets its background jobs, this test perhaps among them, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_and_leaves_no_file(tmp_path, number, code, jobs):
    options = ["--dataset", "box", "--data_dir", str(tmp_path), "--num_train", "60000", "--jobs", jobs]
    with subprocess.Popen(
        [*COMMAND, *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        started = list(tmp_path.iterdir())
        # Of a terminal, to all of them; while they are still imported.
        os.killpg(process.pid, number)
        _, error = process.communicate(timeout=60)
    assert [path.name[0] for path in started] == ["."]
    assert process.returncode == code, error
    assert error == f"\nStopped by {number.name}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_it_with_a_message_and_leaves_no_file(tmp_path):
    def little_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    options = ["--dataset", "box", "--data_dir", str(tmp_path), "--num_train", "2000"]
    finished = subprocess.run(
        [*COMMAND, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=little_space,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("Error: ")
    assert len(finished.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
