import json
import subprocess
import sys
from pathlib import Path

import pytest

from kvae.config import Config
from kvae.runs.options import RunFolderError, read_options

ROOT = Path(__file__).parents[3]
RUNS = [*ROOT.glob("pretrained/*/config.json"), *ROOT.glob("results/runs/*/config.json")]


def test_the_options_of_a_run(tmp_path):
    options = Config(dataset="my/videos", timesteps=7, num_filters=(8,)).to_dict()
    (tmp_path / "config.json").write_text(json.dumps({"options": options, "precision": "float32"}))
    assert read_options(tmp_path) == options


@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.parent.name)
def test_finished_runs_are_read(file):
    options = read_options(file.parent)
    assert options == json.loads(file.read_text())["options"]
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
