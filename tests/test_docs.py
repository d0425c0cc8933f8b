"""The examples in the documentation run, its commands are right, and its links lead somewhere."""

import importlib.util
import re
import shlex
import subprocess
from pathlib import Path

import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
import pytest
import tyro

import kvae
from kvae.apply import __main__ as apply
from kvae.config import command_line
from kvae.config.datasets import cut_of
from kvae.explore import __main__ as explore
from kvae.runs.options import read_options
from kvae.videos import dataset as video_dataset
from kvae.videos import sources
from simulation import generate

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "extend.md").read_text(), re.M | re.S)
EXAMPLES = dict(zip(["world", "alpha", "likelihood"], BLOCKS, strict=True))
# `eagerly` leaves the functions of tf.data as they are, and that is meant.
pytestmark = pytest.mark.filterwarnings("ignore:Even though the .* option is set")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "notebooks/tour.ipynb")),
    *(path for name in ("docs", "results", "pretrained") for path in sorted((ROOT / name).rglob("*.md"))),
]
OWN_VIDEOS = (ROOT / "docs" / "own_videos.md").read_text()
OWN_FILES, UNEVEN_TIME = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("own_files", "uneven_time"))
COLOUR, PYTHON = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("colour", "python"))
COMMANDS = re.findall(r"^    ((?:python|ffmpeg) .*)$|`((?:python|ffmpeg) [^`]*)`", OWN_VIDEOS, re.M)
COMMANDS = sorted({indented or inline for indented, inline in COMMANDS})


def _run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = {"__name__": f"example_{name}"}
    exec(compile(EXAMPLES[name], f"docs/extend.md, {name}", "exec"), found)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short(name):
    assert EXAMPLES[name].count("\n") < 40


def test_a_world_is_simulated_and_learned_from(eagerly, monkeypatch, capsys):
    found = _run("world", monkeypatch)
    assert float(capsys.readouterr().out.split()[-1]) == pytest.approx(found["history"].history["total"][0])
    assert np.isfinite(found["history"].history["total"]).all()
    videos = found["videos"]
    assert videos.shape == (32, 10, 16, 16)
    # There is a dot in every frame, and it moves.
    assert (videos.max(axis=(2, 3)) == 255).all()
    assert (videos[:, 0] != videos[:, 5]).any(axis=(1, 2)).mean() > 0.9


def test_another_alpha_network_is_used_and_trained(eagerly, monkeypatch, capsys):
    found = _run("alpha", monkeypatch)
    assert "(16, 6, 8, 8)" in capsys.readouterr().out
    model = found["model"]
    paths = [weight.path for weight in model.trainable_variables]
    assert any("gru" in path for path in paths)
    assert not any("lstm" in path for path in paths)
    # The networks' biases start at zero.
    assert np.abs(model.alpha.dense.bias.numpy()).max() > 0
    np.testing.assert_allclose(found["at_once"].numpy().sum(axis=-1), 1, atol=1e-5)


def test_another_likelihood_is_learned(eagerly, monkeypatch, capsys):
    found = _run("likelihood", monkeypatch)
    assert "(32, 6, 8, 8)" in capsys.readouterr().out
    model, videos = found["model"], found["videos"]
    codes = model.encode(videos).mean()
    location = model.decode(codes).mean().numpy()
    # The density of a Laplace distribution, written out.
    expected = -np.log(2 * found["scale"]) - np.abs(videos - location) / found["scale"]
    np.testing.assert_allclose(model.decode(codes).log_prob(videos), expected.sum(axis=(2, 3)), rtol=1e-4)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python -m kvae")])
def test_commands_on_own_videos_have_these_options(command):
    module, *arguments = shlex.split(command)[2:]
    options = {"kvae.apply": apply.Options, "kvae.explore": explore.Options}[module]
    found = tyro.cli(options, args=arguments, use_underscores=True)
    assert str(found.run_folder) == "logs/<date_time>_kvae"


@pytest.mark.parametrize("command", [command for command in COMMANDS if "run_kvae" in command])
def test_trainings_on_own_videos_have_these_options(command):
    config = command_line.parse(shlex.split(command)[2:], read_run_options=None)
    assert config.dataset in ("my_videos/", "cup/", "films/box.npz")
    assert config.out_distr == "gaussian"


@pytest.mark.parametrize("page", ["environments", "extend"])
def test_commands_on_worlds_and_environments_have_these_options(page):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    commands = re.findall(r"^    (python .*)$", text, re.M)
    assert len(commands) >= 2
    for command in commands:
        _, *words = shlex.split(command)
        if words[0] == "run_kvae.py":
            assert command_line.parse(words[1:], read_run_options=None).out_distr == "gaussian"
        else:
            assert words[:2] == ["-m", "simulation.generate"]
            tyro.cli(generate.Options, args=words[2:], config=(tyro.conf.FlagConversionOff,))


def test_the_policy_of_the_page_is_one(tmp_path, monkeypatch):
    pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
    text = (ROOT / "docs" / "environments.md").read_text()
    (block,) = re.findall(r"^```python\n(# my_policies.py\n.*?)^```$", text, re.M | re.S)
    (tmp_path / "my_policies.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    sizes = "--num_train 1 --num_test 1 --num_steps 3 --policy my_policies:brake".split()
    where = ["--data_dir", str(tmp_path / "data")]
    assert generate.main(["--dataset", "gym:Pendulum-v1", *where, *sizes]) == 0


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("ffmpeg")])
def test_ffmpeg_cuts_as_the_page_says(command, tmp_path):
    arguments = shlex.split(command)[1:]
    film = tmp_path / arguments[arguments.index("-i") + 1]
    (tmp_path / arguments[-1]).parent.mkdir(exist_ok=True)
    # Noise, so that no part of a picture is like another.
    shape = [5, 480, 640] if "crop" in command else [210, 16, 16]
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    imageio.mimwrite(film, list(frames), fps=20, macro_block_size=1)
    whole_command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", *arguments]
    subprocess.run(whole_command, cwd=tmp_path, check=True)
    made = sorted(path for path in tmp_path.rglob("*.mp4") if path != film)
    found = [np.stack(list(imageio.get_reader(path).iter_data())) for path in made]
    if "crop" in command:
        (part,) = found
        assert np.corrcoef(part[0, ..., 0].ravel(), frames[0, :, 80:560].ravel())[0, 1] > 0.5
    elif "segment" in command:
        seconds = int(arguments[arguments.index("-segment_time") + 1])
        whole, rest = divmod(210, 20 * seconds)
        assert [len(video) for video in found] == [20 * seconds] * whole + [rest]
    else:
        # Half as many with half of the rate, but for what is lost or doubled at the ends.
        assert [len(video) for video in found] == [pytest.approx(105, abs=3)]


def test_videos_in_memory_become_a_model_as_the_page_says(eagerly, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    videos = np.random.default_rng(0).integers(0, 2, [8, 10, 8, 8], np.uint8) * 255
    np.save("my_videos.npy", videos)
    (block,) = re.findall(r"^```python\n([^`]*kvae.train\(.*?)^```$", PYTHON, re.M | re.S)
    tiny = {"num_epochs": 1, "refine_epochs": 0, "num_filters": (4,), "K": 2, "num_paths": 4}
    for_videos = kvae.Config.for_videos
    monkeypatch.setattr(
        kvae.Config, "for_videos", lambda videos, **given: for_videos(videos, **tiny, **given)
    )
    found = {}
    exec(compile(block, "docs/python.md", "exec"), found)
    assert "Keeping the best model" in capsys.readouterr().out
    seen = found["mask"] > 0
    np.testing.assert_array_equal(found["filled"].numpy()[seen], videos[seen] / 255)
    assert ((found["filled"].numpy()[~seen] > 0) & (found["filled"].numpy()[~seen] < 1)).all()
    again = kvae.load("my_model.keras")
    assert (again.config.dim_a, again.config.dataset) == (2, "videos_in_memory")


def test_a_film_is_followed_live(eagerly, monkeypatch, tmp_path, capsys):
    config = kvae.Config(dataset="clips/", frame_size=(8,), num_filters=(4,), out_distr="gaussian")
    model = kvae.KVAE(config)
    model.build((None, None, 8, 8))
    monkeypatch.setattr(kvae, "load", lambda folder: model, raising=False)
    monkeypatch.chdir(tmp_path)
    imageio.mimwrite("clip.mp4", list(np.zeros([5, 48, 64], np.uint8)), fps=10, macro_block_size=1)
    (block,) = re.findall(r"^```python\n(.*?)^```$", OWN_VIDEOS, re.M | re.S)
    exec(compile(block, "docs/own_videos.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_file_is_made_and_read_as_the_page_says(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```$", OWN_FILES, re.M | re.S)
    exec(compile(block, "docs/own_files.md", "exec"), {})
    config = command_line.parse(["--dataset", "my.npz"], read_run_options=None)
    files = video_dataset.ensure("my.npz", "data", cut_of(config), report=lambda line: None)
    found = kvae.data.load(files.train)
    assert found.shape[1:] == (20, 32, 32)
    assert found.dim_u == 3
    assert 0.05 < 1 - found.mask.mean() < 0.15
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", re.findall(r"^    python (.*)$", OWN_FILES + UNEVEN_TIME, re.M))
def test_commands_on_files_of_arrays_are_right(command):
    first, *words = shlex.split(command)
    if first == "run_kvae.py":
        config = command_line.parse(words, read_run_options=None)
        assert config.timesteps == 20
    else:
        assert words[0] == "kvae.apply"
        apply._read_options(words[1:])


def test_colour_is_used_from_python_as_the_page_says(eagerly, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", COLOUR, re.M | re.S)
    exec(compile(block, "docs/colour.md", "exec"), {})
    assert capsys.readouterr().out.strip() == "(16, 16, 3) (4, 6, 16, 16, 3)"


@pytest.mark.parametrize("command", re.findall(r"^    (python run_kvae.py .*)$", COLOUR, re.M))
def test_trainings_in_colour_have_these_options(command):
    config = command_line.parse(shlex.split(command)[2:], read_run_options=None)
    assert (config.frame_size, config.channels) in (((64,), "auto"), ((32,), 1))


def _commands_of(page):
    """The commands of a page's blocks, over several lines too, without what is said beside them."""
    text = page.read_text().replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (python .*)$", text, re.M)]


def _options_of_run(folder):
    """Of a trained model those it has; of a run that a page only speaks of, the defaults."""
    if folder in kvae.pretrained():
        return read_options(folder)
    return read_options(ROOT / folder) if folder.startswith("pretrained") else kvae.Config().to_dict()


PARSERS = {
    "kvae.apply": apply._read_options,
    "kvae.explore": explore._read_options,
    "simulation.generate": generate._read_options,
}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "ablation.md" and page.suffix == ".md" and _commands_of(page)],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_commands_of_all_pages_are_right(page):
    """But those of results/ablation.md, some of whose options are gone, as it says."""
    for _, *words in _commands_of(page):
        if words[0] == "run_kvae.py":
            command_line.parse(words[1:], read_run_options=_options_of_run)
        elif words[0] == "-m" and words[1] in PARSERS:
            PARSERS[words[1]](words[2:])
        else:
            assert words[0] == "-m"
            assert importlib.util.find_spec(words[1]), words


@pytest.mark.parametrize("suffix", [*sources.VIDEO_SUFFIXES, *sources.ARRAY_SUFFIXES])
def test_every_kind_of_file_is_named(suffix):
    assert f"`{suffix[1:]}`" in OWN_VIDEOS


def _leads_nowhere(page, target, anchor):
    """Whether a link leads to no file, or to no title of it, by the names that GitHub gives titles."""
    path = page.parent / target if target else page
    # What GitHub has beside the files; `absolute-links` is tested with it.
    if target.startswith("../../actions/"):
        return False
    if not path.exists():
        return True
    # The reference is made of docstrings when the site is built, which looks at its titles.
    if not anchor or path.suffix != ".md" or path.parent.name == "api":
        return False
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return anchor not in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text())
    local = [link for link in links if "://" not in link[0]]
    assert [link for link in local if _leads_nowhere(page, *link)] == []
