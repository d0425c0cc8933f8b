"""`python -m kvae.apply`, and with it the whole way from a folder of videos to a clip that goes on."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

import run_kvae
from kvae.apply import __main__ as apply
from kvae.commands import training_data
from kvae.config import Config
from kvae.models.kvae import KVAE
from kvae.models.rivals import RecurrentAutoencoder
from kvae.runs import run_folder
from kvae.runs.data_files import dataset_files
from kvae.runs.options import read_identity, read_options
from kvae.videos import frames, sources
from kvae.videos.frames import Look, read_clip

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.usefixtures("module_eagerly"),
    pytest.mark.filterwarnings("ignore:Even though the .* option is set"),
]
TINY = (
    "--timesteps 8 --frame_size 16 --num_filters 4 --alpha_units 4 --K 2 --num_epochs 1 --refine_epochs 0 "
    # What takes XLA and posterior sampling long to compile has tests of its own.
    "--kf_elbo sampled --num_paths 0 --n_steps_gen 10 --precision float32"
).split()


def write_clips(folder, count=4, num_frames=9, colour=(1, 1, 1)):
    """Write clips of a bright disc that moves over a dark ground; one is a GIF, one a folder of pictures."""
    folder.mkdir()
    rows, columns = np.mgrid[:24, :32]
    for number in range(count):
        discs = [(rows - 12) ** 2 + (columns - 4 - number - 2 * t) ** 2 < 16 for t in range(num_frames)]
        frames = [np.where(disc[..., None], 220 * np.array(colour), 30).astype(np.uint8) for disc in discs]
        if number == 0:
            (folder / "clip0").mkdir()
            for t, frame in enumerate(frames):
                Image.fromarray(frame).save(folder / "clip0" / f"{t}.png")
            continue
        path = folder / f"clip{number}{'.gif' if number == 1 else '.mp4'}"
        options = {} if number == 1 else {"fps": 10, "macro_block_size": 1, "ffmpeg_log_level": "error"}
        imageio.mimwrite(path, frames, **options)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("videos") / "my clips")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory, module_eagerly):
    places = tmp_path_factory.mktemp("places")
    words = ["--dataset", str(folder), "--data_dir", str(places / "data"), "--log_dir", str(places / "logs")]
    assert run_kvae.main([*words, *TINY, "--run_name", "mine"]) == 0
    return places / "logs" / "mine_kvae"


def test_a_run_on_a_folder_of_videos(trained, folder):
    options = json.loads((trained / "config.json").read_text())["options"]
    assert options["dataset"] == str(folder)
    assert (options["timesteps"], options["frame_size"], options["t_steps_mask"]) == (8, [16], 4)
    assert (options["out_distr"], options["learn_pixel_var"]) == ("gaussian", True)
    # One test sequence, and a batch that is larger than the data.
    assert len(imageio.mimread(trained / "films" / "final_imputation.mp4", memtest=False)) == 8
    bound = json.loads((trained / "evaluation.json").read_text())["test_bound"]["total"]
    assert np.isfinite(bound)
    data_dir = trained.parent.parent / "data"
    assert {path.suffix for path in data_dir.iterdir()} == {".npz", ".png"}
    assert all(path.name.startswith("my clips-") for path in data_dir.iterdir())


def test_a_clip_is_filled_in_and_goes_on(trained, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(trained), str(folder / "clip2.mp4"), "--hide", "3-5,7", "--continue", "6"]
    assert apply.main([*arguments, "--samples", "2"]) == 0
    output = tmp_path / "clip2_applied"
    said = capsys.readouterr().out
    assert "9 frames, 4 of them filled in, 6 imagined" in said
    assert "clip2_applied" in said
    assert {path.name for path in output.iterdir()} == {"filled.mp4", "filled.npz", "strip.png"}
    found = np.load(output / "filled.npz")
    assert set(found) == {
        *("images", "uncertainty", "samples", "codes", "code_cov", "code_stddev", "observed"),
    }
    assert found["images"].shape == (15, 16, 16)
    assert found["samples"].shape == (2, 15, 16, 16)
    assert found["observed"].tolist() == [1, 1, 0, 0, 0, 1, 0, 1, 1, *[0] * 6]
    assert all(found[name].dtype == np.float32 for name in found)
    (source,) = sources.find(folder / "clip2.mp4")
    truth = read_clip(source, Look(16, 16, False), 99) / 255
    of_filled = np.sqrt(np.mean((found["images"][:9] - truth)[[2, 3, 4, 6]] ** 2))
    of_last = np.sqrt(np.mean((truth[[1, 1, 1, 5]] - truth[[2, 3, 4, 6]]) ** 2))
    assert f"an error (RMS) of {of_filled:.3f}; the last frame seen, shown on, has {of_last:.3f}" in said
    film = imageio.mimread(output / "filled.mp4", memtest=False)
    assert len(film) == 15
    with imageio.get_reader(output / "filled.mp4") as reader:
        assert reader.get_meta_data()["fps"] == 10
    # Coloured borders at hidden steps, and at imagined ones.
    orange = [
        int((np.abs(frame.astype(int) - (240, 125, 0)).max(axis=-1) < 60).sum()) > 1000 for frame in film
    ]
    assert orange == [step == 0 for step in found["observed"]]
    # Not over what is there.
    assert apply.main(arguments) == 2
    assert "choose another --output" in capsys.readouterr().err


def test_a_long_clip_has_its_own_rate_and_two_strips(trained, tmp_path):
    frames = np.zeros([60, 24, 32, 3], np.uint8)
    for t, frame in enumerate(frames):
        frame[8:16, t % 24 : t % 24 + 8] = 220
    path, output = tmp_path / "long.mp4", tmp_path / "out"
    imageio.mimwrite(path, frames, fps=25, macro_block_size=1, ffmpeg_log_level="error")
    arguments = ["--hide", "13-15", "--continue", "6", "--samples", "0", "--output", str(output)]
    assert apply.main([str(trained), str(path), *arguments]) == 0
    with imageio.get_reader(output / "filled.mp4") as reader:
        assert reader.get_meta_data()["fps"] == 25
        width, height = reader.get_meta_data()["size"]
    # Four rows: the truth, what the model sees, what is filled in, how uncertain that is.
    assert height > 4 * 8 * 16
    assert max(width, height) < 900
    strips = {path.name: Image.open(path).width for path in output.glob("strip*.png")}
    assert {*strips} == {"strip.png", "strip_imagined.png"}
    # 40 steps, and the last four with the six that are imagined.
    assert strips["strip_imagined.png"] < strips["strip.png"]


@pytest.mark.parametrize(
    ("observed", "num_frames", "strips"),
    [
        ("1" * 20 + "0" * 20, 20, {"strip.png": 0}),
        ("1" * 50 + "0" * 30, 50, {"strip.png": 40}),
        ("1" * 5 + "0" * 50 + "1" * 5 + "0" * 9, 60, {"strip.png": 1, "strip_imagined.png": 56}),
        ("1" * 9 + "0" * 5 + "1" * 50 + "0" * 8, 64, {"strip.png": 5, "strip_imagined.png": 60}),
        ("1" * 60 + "0" * 5 + "1" * 5, 70, {"strip.png": 30}),
        ("1" * 9 + "0" * 5 + "1" * 50, 64, {"strip.png": 5}),
    ],
)
def test_strips_show_what_is_hidden_and_what_is_imagined(observed, num_frames, strips):
    found = apply._strips(np.array([float(step) for step in observed]), num_frames)
    # A strip that shows all that is imagined needs no other.
    assert found == strips


def test_the_frames_are_those_of_the_run(trained, folder, tmp_path):
    """A clip that was trained on is cut and resized as it was then."""
    places = trained.parent.parent / "data"
    images = np.concatenate([np.load(path)["images"] for path in sorted(places.glob("*.npz"))])
    output = tmp_path / "out"
    assert apply.main([str(trained), str(folder / "clip0"), "--continue", "1", "--output", str(output)]) == 0
    found = np.load(output / "filled.npz")["images"][:8]
    assert min(np.abs(found - sequence / 255).max() for sequence in images) < 1e-6


def test_a_run_finds_its_videos_again(trained, folder, monkeypatch):
    data_dir = trained.parent.parent / "data"
    before = {path: path.stat().st_mtime_ns for path in data_dir.iterdir()}
    config = Config.from_dict(read_options(trained))
    monkeypatch.setattr(frames, "clips_of", None)
    files = dataset_files(config, str(trained), read_identity(trained), training_data.simulated)
    assert set(files) < set(before)
    assert {path: path.stat().st_mtime_ns for path in data_dir.iterdir()} == before


def test_a_model_is_reloaded_on_frames_of_its_own_sides(trained, monkeypatch, capsys):
    # Where it may write.
    monkeypatch.chdir(trained.parent.parent)
    places = ["--log_dir", str(trained.parent), "--run_name", "other", "--frame_size", "32"]
    assert run_kvae.main(["--reload_model", str(trained), *places]) == 2
    assert "built for frames of 16x16. Received: frames of 32x32" in capsys.readouterr().err
    assert not (trained.parent / "other_kvae").exists()


def test_a_run_from_elsewhere_does_not_say_where_videos_are_kept(trained, tmp_path, capsys, monkeypatch):
    facts = json.loads((trained / "config.json").read_text())
    facts["options"]["data_dir"] = str(tmp_path / "elsewhere")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "config.json").write_text(json.dumps(facts))
    for name in ("model.keras", "checkpoints/last.npz"):
        (theirs / name).parent.mkdir(exist_ok=True)
        (theirs / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for flag in ("--reload_model", "--resume"):
        assert run_kvae.main([flag, str(theirs)]) == 2
        assert "does not say where to write outside the current folder" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timesteps", "50"], "No video of .* has 50 frames"),
    ],
)
def test_videos_that_do_not_fit_are_told(options, message, folder, tmp_path, capsys):
    words = ["--dataset", str(folder), "--data_dir", str(tmp_path / "data"), "--log_dir", str(tmp_path / "l")]
    assert run_kvae.main([*words, *options]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert "Traceback" not in said
    assert not (tmp_path / "l").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "There is nothing to do"),
        (["--hide", "0-3"], "frames of 1 to 9, in order. Received: '0-3'"),
        (["--hide", "5-3"], "in order. Received: '5-3'"),
        (["--hide", "8-10"], "frames of 1 to 9"),
        (["--hide", "a"], "ranges of frames such as 8-15,20. Received: 'a'"),
        (["--hide", "1-9"], "leaves none of the 9 frames to see"),
        (["--continue=-1"], "--continue must be between 0 and"),
        (["--continue", "5", "--samples", "17"], "--samples must be between 0 and 16"),
        (["--hide", "2", "--max_frames", "8"], "more than 8 frames"),
        (["--continue", "8", "--max_frames", "8"], "leaves no frame"),
    ],
)
def test_mistakes_end_in_a_message(options, message, trained, folder, tmp_path, capsys):
    output = tmp_path / "out"
    clip = str(folder / "clip2.mp4")
    assert apply.main([str(trained), clip, *options, "--output", str(output)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not output.exists()


def test_what_cannot_be_read_is_told(trained, folder, tmp_path, capsys):
    (tmp_path / "text.mp4").write_text("no video")
    for run, clip, message in [
        (trained, tmp_path / "text.mp4", "text.mp4 cannot be read as a .mp4 video"),
        (trained, tmp_path / "gone.mp4", "There is no file or folder"),
        (trained, folder, "holds 4 videos: give one of them"),
        (folder, folder / "clip2.mp4", "is not a run folder"),
    ]:
        arguments = [str(run), str(clip), "--continue", "2", "--output", str(tmp_path / "out")]
        assert apply.main(arguments) == 2
        assert message in capsys.readouterr().err


def test_memory_is_asked_first(trained, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("kvae.data.archives.free_memory", lambda: 1e6)
    arguments = [str(trained), str(folder / "clip0"), "--continue", "2", "--output", str(tmp_path / "out")]
    assert apply.main(arguments) == 2
    assert "more than the memory that is free" in capsys.readouterr().err


def test_a_rival_is_told(folder, tmp_path, capsys):
    model = RecurrentAutoencoder(Config(model="ae_rnn", num_filters=(4,), alpha_units=4))
    model.build((None, None, 16, 16))
    run = run_folder.RunFolder(tmp_path)
    run.write_config(model.config, "float32")
    run.save_model(model)
    clip = str(folder / "clip0")
    assert apply.main([str(tmp_path), clip, "--hide", "3", "--output", str(tmp_path / "out")]) == 2
    assert "ae_rnn looks back alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ranges", "hidden"),
    [("", []), ("3", [2]), ("1-3", [0, 1, 2]), ("8-9, 2", [1, 7, 8]), ("2-4,3-5", [1, 2, 3, 4])],
)
def test_ranges_are_counted_from_one(ranges, hidden):
    assert apply.hidden_frames(ranges, 10) == hidden


def test_before_the_first_frame_seen_that_one_is_shown():
    truth = np.array([0.0, 0.5, 1.0, 0.25])[:, None, None]
    errors = apply.errors_on_hidden(truth, np.full([4, 1, 1], 0.5), np.array([0, 1, 0, 1]))
    assert errors == pytest.approx((np.sqrt((0.5**2 + 0.5**2) / 2), np.sqrt((0.5**2 + 0.5**2) / 2)))
    errors = apply.errors_on_hidden(truth, truth, np.array([0, 0, 1, 0]))
    assert errors == pytest.approx((0, np.sqrt((1 + 0.5**2 + 0.75**2) / 3)))


def test_colour_is_learned_and_filled_in(trained, tmp_path, monkeypatch, capsys):
    """The whole way in colour, with frames that the convolutions cannot halve."""
    monkeypatch.chdir(tmp_path)
    folder = write_clips(tmp_path / "red", colour=(1, 0, 0))
    words = "--dataset red --frame_size 18,24 --run_name a".split()
    assert run_kvae.main([*TINY, *words, "--num_filters", "4,4,4"]) == 0
    said = capsys.readouterr().out
    assert "18x24, in colour" in said
    assert "Frames of 18x24 are padded with black to 24x24, multiples of 8, for 3 convolutions" in said
    run = Path("logs/a_kvae")
    options = json.loads((run / "config.json").read_text())["options"]
    assert (options["channels"], options["num_filters"]) == (3, [4, 4, 4])
    film = imageio.mimread(run / "films" / "final_imputation.mp4", memtest=False)[0].astype(int)
    assert ((film[..., 0] > 150) & (film[..., 1] < 90)).any()
    clip = str(folder / "clip2.mp4")
    assert apply.main([str(run), clip, "--hide", "3-5", "--output", "filled"]) == 0
    assert "turned to grey" not in capsys.readouterr().out
    with np.load("filled/filled.npz") as found:
        assert found["images"].shape == found["uncertainty"].shape == (9, 18, 24, 3)
        first = found["images"][0]
    # What was seen is red.
    assert first[..., 0].max() > 0.7
    assert first[..., 1:].max() < 0.3
    # The same frames for a grey model, and a grey clip for this one.
    assert apply.main([str(trained), clip, "--hide", "3-5", "--output", "grey"]) == 0
    assert "clip2.mp4 is in colour: its frames are turned to grey" in capsys.readouterr().out
    np.save("grey.npy", np.full([6, 18, 24], 100, np.uint8))
    assert apply.main([str(run), "grey.npy", "--hide", "3", "--output", "colour"]) == 0
    assert "grey.npy is grey: its frames are taken as colour" in capsys.readouterr().out


@pytest.mark.parametrize("is_grey", [False, True])
def test_bernoulli_pixels(is_grey, folder, tmp_path):
    """The frames have two values, in training and after it; with grey targets they stay as they are."""
    options = {"out_distr": "bernoulli", "num_filters": (4,), "alpha_units": 4, "K": 2, "num_paths": 0}
    options |= {"grey_targets": is_grey}
    places = {"dataset": str(folder), "data_dir": str(tmp_path / "data")}
    config = Config(**options, **places, frame_size=(16,), timesteps=8)
    for file in dataset_files(config, "", None, training_data.simulated):
        values = np.unique(np.load(file)["images"])
        assert len(values) > 9 if is_grey else set(values) == {0, 255}
    model = KVAE(config)
    model.build((None, None, 16, 16))
    (tmp_path / "run").mkdir()
    run = run_folder.RunFolder(tmp_path / "run")
    run.write_config(config, "float32")
    run.save_model(model)
    output = tmp_path / "out"
    arguments = [str(run.path), str(folder / "clip2.mp4"), "--hide", "4", "--output", str(output)]
    assert apply.main(arguments) == 0
    found = np.load(output / "filled.npz")
    seen = found["images"][found["observed"] > 0]
    if is_grey:
        (source,) = sources.find(folder / "clip2.mp4")
        truth = read_clip(source, Look(16, 16), 99) / 255
        np.testing.assert_allclose(seen, truth[found["observed"] > 0], atol=1e-6)
        return
    assert set(np.unique(seen)) == {0, 1}
    # The disc, and not all that is above 0.
    assert 0.02 < seen.mean() < 0.3


def test_help_needs_no_tensorflow():
    code = (
        "import sys\nfrom kvae.apply import __main__ as apply\n"
        "try:\n    apply.main(['--help'])\n"
        "except SystemExit as exit:\n"
        "    print(exit.code, sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, whoever else uses it.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
    assert done.stdout.splitlines()[-1] == "0 []"
    for option in ("--hide", "--continue", "--samples", "--output", "--max_frames", "RUN_FOLDER", "CLIP"):
        assert option in done.stdout
