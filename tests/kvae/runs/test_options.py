import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kvae.config import Config
from kvae.runs.options import RunFolderError, check_new, check_resumable, read_options

ROOT = Path(__file__).parents[3]
RUNS = [*ROOT.glob("pretrained/*/config.json"), *ROOT.glob("results/runs/*/config.json")]


def test_the_options_of_a_run(tmp_path):
    options = Config(dataset="my/videos", timesteps=7, num_filters=(8,)).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({"options": options, "precision": "float32"}))
    assert read_options(tmp_path) == options


@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.parent.name)
def test_finished_runs_are_read(file):
    options = read_options(file.parent)
    # Of before there was a choice of channels, and sequences were held out.
    assert options == {"channels": 1, "validation_split": 0.0} | json.loads(file.read_text())["options"]
    assert Config.from_dict(options).dataset in file.parent.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a run folder: it has no config.json"),
        ("{}", "cannot be read: KeyError"),
        ('{"options": {"no_such": 1}}', "holds options of another version: Unknown option 'no_such'"),
        ('{"options": {"K": 0}}', "holds options of another version: K must be at least 1"),
    ],
)
def test_a_folder_without_options_is_told(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match=message):
        read_options(tmp_path)


def test_they_are_read_without_tensorflow():
    code = (
        "import sys\n"
        "from kvae.config.command_line import parse\n"
        "from kvae.runs.options import read_options\n"
        "print(parse(['--reload_model', 'pretrained/box'], read_options).K)\n"
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "9\nset()\n"


def test_a_model_without_a_checkpoint_is_not_resumed():
    with pytest.raises(RunFolderError, match=r"--reload_model pretrained/box .*--init_model pretrained/box"):
        check_resumable("pretrained/box", {})


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        (["config.json"], {}, False),
        (["checkpoints/last.npz", "model.keras"], {}, True),
        (["model.keras"], {"init_model": "runs/a"}, False),
        (["model.keras"], {}, "--reload_model"),
        (["metrics.csv"], {}, "start a new run"),
        (["model.keras", "metrics.csv"], {"init_model": "runs/a"}, "--init_model"),
    ],
)
def test_what_can_be_resumed(files, options, expected, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("epoch,step\n1,3\n")
    if isinstance(expected, bool):
        assert check_resumable(tmp_path, options) is expected
    else:
        with pytest.raises(RunFolderError, match=expected):
            check_resumable(tmp_path, options)


def test_a_folder_that_is_taken_is_refused_before_anything_is_done(tmp_path):
    config = Config(log_dir=str(tmp_path), run_name="a")
    check_new(config)
    (tmp_path / "a_kvae").mkdir()
    with pytest.raises(
        RunFolderError, match="choose another --run_name, or delete it, or go on with --resume"
    ):
        check_new(config)
    # Its name is the time's, or the chief has made it.
    check_new(Config(log_dir=str(tmp_path)))
    check_new(dataclasses.replace(config, strategy="multiworker"))
