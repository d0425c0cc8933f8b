import subprocess
import sys
from pathlib import Path

import pytest

import run_kvae
from kvae.config import Config, ConfigError, option_names
from kvae.config.command_line import given_options, parse
from kvae.config.presets import WORLD_PRESETS

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def box_starts_from_the_defaults(monkeypatch):
    """What a world starts from has tests of its own, below."""
    monkeypatch.delitem(WORLD_PRESETS, "box")
    monkeypatch.delitem(WORLD_PRESETS, "box_gravity")


def no_run(path):
    raise AssertionError(f"nobody asked for a run, but {path} was read")


def configure(*arguments):
    return parse(list(arguments), no_run)


def refuse(arguments, capsys):
    """Return what a command line that cannot work is told."""
    with pytest.raises(SystemExit) as exit:
        configure(*arguments)
    assert exit.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    # Boxes and line breaks aside.
    return " ".join(said.err.replace("│", " ").split())


def test_own_videos_start_from_options_of_their_own():
    config = configure(*"--dataset my/videos --timesteps 10 --stride=5 --frame-size 48,64".split())
    assert (config.frame_size, config.stride, config.t_steps_mask) == ((48, 64), 5, 6)
    assert (config.out_distr, config.learn_pixel_var, config.K) == ("gaussian", True, 9)
    assert (config.num_epochs, config.decay_steps, config.init_lr) == (120, 8, 0.002)
    config = configure(*"--dataset my/videos --out_distr bernoulli --K 2 --t_init_mask 3".split())
    assert (config.out_distr, config.learn_pixel_var, config.K, config.t_init_mask) == (
        "bernoulli",
        False,
        2,
        3,
    )
    config = configure(*"--dataset my/videos --t_init_mask 90 --n_steps_gen 100 --timesteps 100".split())
    assert (config.t_init_mask, config.t_steps_mask, config.n_steps_gen) == (90, 10, 100)


@pytest.mark.parametrize("dataset", ["gym:Pendulum-v1", "gym:ALE/Pong-v5", "my_worlds:circle"])
def test_environments_and_worlds_of_ones_own_start_as_own_videos(dataset):
    assert configure("--dataset", dataset).to_dict() == configure("--dataset", "my/videos").to_dict() | {
        "dataset": dataset
    }


def test_environments_take_sizes_and_lengths():
    config = configure(*"--dataset gym:ALE/Pong-v5 --frame_size 64 --timesteps 30 --channels 3".split())
    assert (config.frame_size, config.timesteps, config.channels, config.t_steps_mask) == ((64,), 30, 3, 18)


def test_nothing_given_is_the_defaults():
    assert configure() == Config()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("--alpha_rnn=False", {"alpha_rnn": False}),
        ("--alpha_rnn False", {"alpha_rnn": False}),
        ("--alpha-rnn False --fifo-size=3", {"alpha_rnn": False, "fifo_size": 3}),
        ("--use_vae True", {}),
        ("--num_filters 32,32", {"num_filters": (32, 32)}),
        ("--num-filters=8", {"num_filters": (8,)}),
        ("--K 5 --dim_z=6", {"K": 5, "dim_z": 6}),
        ("--K 5 --K 6", {"K": 6}),
        ("--init_lr 1e-3 --init_cov 5", {"init_lr": 0.001, "init_cov": 5.0}),
        ("--gpu 0,1 --out_distr gaussian", {"gpu": "0,1", "out_distr": "gaussian"}),
        ("--run_name= --gpu=", {}),
        ("--quiet", {"quiet": True}),
        ("--quiet --K 5 --learn_noise", {"quiet": True, "K": 5, "learn_noise": True}),
        ("--deterministic=True --quiet False", {"deterministic": True}),
    ],
)
def test_options_are_read(arguments, options):
    assert configure(*arguments.split()) == Config(**options)


@pytest.mark.parametrize("name", [name for name in option_names() if name != "reload_model"])
def test_every_option_can_be_given(name):
    # Its default, as a person would write it.
    value = getattr(Config(), name)
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    assert configure(f"--{name}", text) == Config()


def test_explicit_options_win_over_the_preset():
    original = dict(
        kf_elbo="sampled",
        shuffle=False,
        validation_split=0.0,
        precision="float32",
        evaluate_on_samples=True,
    )
    assert configure("--preset", "original") == Config(preset="original", **original)
    assert configure("--preset=original", "--K", "5") == Config(preset="original", K=5, **original)
    expected = Config(preset="original", **{**original, "shuffle": True, "kf_elbo": "exact"})
    # Wherever they stand.
    assert configure("--shuffle", "True", "--preset", "original", "--kf-elbo=exact") == expected


def test_a_world_may_have_options_to_start_from():
    options = WORLD_PRESETS["pendulum"]
    assert configure("--dataset", "pendulum") == Config(dataset="pendulum", **options)
    explicit = configure("--dataset=pendulum", "--t_steps_mask=5")
    assert explicit == Config(dataset="pendulum", **(options | {"t_steps_mask": 5}))
    assert configure("--dataset", "pendulum", "--preset", "none") == Config(dataset="pendulum", preset="none")


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ("--dataset pong --timesteps 100", "timesteps=100 has no effect with dataset=pong"),
        ("--frame-size=16 --dataset pong", "frame_size=(16,) has no effect with dataset=pong"),
        ("--stride 4", "stride=4 has no effect with dataset=box"),
        ("--dataset gym:Pendulum-v1 --stride 4", "stride=4 has no effect with dataset=gym:Pendulum-v1"),
        (
            "--dataset my_worlds:circle --timesteps 9",
            "timesteps=9 has no effect with dataset=my_worlds:circle",
        ),
        # Not of own videos either: a dataset file of somebody's.
        ("--dataset theirs --stride 4", "stride=4 has no effect with dataset=theirs"),
    ],
)
def test_options_of_own_videos_mean_nothing_to_another_dataset(arguments, refused, capsys):
    assert run_kvae.main(arguments.split()) == 2
    assert capsys.readouterr().err.startswith(f"Error: {refused}: leave ")


def test_what_a_world_ignores_may_be_given_as_it_is_by_default():
    assert configure(*"--timesteps 20 --frame_size 32".split()) == Config()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("--dim_zz 3", ["--dim_zz", "--help"]),
        ("--datset box", ["--datset", "--dataset"]),
        ("--K three", ["--K", "three"]),
        ("--K 2.5", ["--K", "2.5"]),
        ("--K", ["--K", "Missing value"]),
        ("--dataset my/videos --timesteps x", ["--timesteps", "x"]),
        ("--K 0", ["K must be at least 1. Received: 0"]),
        ("--num_filters 4,x", ["--num_filters", "whole numbers such as 32,32"]),
        ("--num_filters 4 4", ["4"]),
        ("--alpha_rnn maybe", ["--alpha_rnn", "'maybe'", "True or False, or yes or no, 1 or 0"]),
        ("--alpha_rnn True False", ["--alpha_rnn", "True or False", "'True False'"]),
        ("--quiet box", ["--quiet", "'box'"]),
        ("--kf_elbo best", ["--kf_elbo", "'best'", "'exact'", "'sampled'"]),
        ("--preset mine", ["--preset", "'mine'", "'original'"]),
        ("--fifo_size 3", ["fifo_size=3 has no effect with alpha_rnn=True"]),
        ("--gpu ²", ["gpu must be empty, cpu, or numbers"]),
        ("--n_steps_gen 3", ["at least t_init_mask (4)", "n_steps_gen=3"]),
    ],
)
def test_mistakes_end_with_code_2_and_a_message(arguments, parts, capsys):
    said = refuse(arguments.split(), capsys)
    for part in parts:
        assert part in said


def test_help_knows_every_option(capsys):
    with pytest.raises(SystemExit) as exit:
        configure("--help")
    assert exit.value.code == 0
    said = capsys.readouterr().out
    words = said.split()
    for name in option_names():
        assert f"--{name}" in words
    assert "--alpha-rnn" not in said
    assert "32,32,32" in said


@pytest.mark.parametrize(("word", "meant"), [("box", "box"), ("my clips/", "'my clips/'")])
def test_a_dataset_without_its_option_is_told(word, meant):
    with pytest.raises(ConfigError, match=f"no option. Meant was perhaps:  --dataset {meant}$"):
        configure(word, "--K", "3")


def test_help_has_groups(capsys):
    with pytest.raises(SystemExit):
        configure("--help")
    said = capsys.readouterr().out
    headings = ["data options", "model options", "training options", "evaluation options", "run options"]
    places = [said.index(heading) for heading in headings]
    assert places == sorted(places)
    for option, group in (("dataset", 0), ("dim_a", 1), ("num_epochs", 2), ("num_paths", 3), ("log_dir", 4)):
        at = said.index(f"--{option} ")
        assert places[group] < at < [*places, len(said)][group + 1]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("True", True),
        ("true", True),
        ("YES", True),
        ("1", True),
        ("False", False),
        ("no", False),
        ("0", False),
    ],
)
def test_switches_are_read_as_people_write_them(word, value):
    assert configure("--learn_noise", word, "--dataset", "pendulum").learn_noise is value
    assert configure(f"--learn_noise={word}", "--dataset", "pendulum").learn_noise is value
    assert given_options(["--learn_noise", word]) == {"learn_noise": value}


def test_help_needs_no_tensorflow():
    # Its import takes seconds.
    code = (
        "import sys, run_kvae\n"
        "try:\n"
        "    run_kvae.main(['--help'])\n"
        "except SystemExit as exit:\n"
        "    assert exit.code == 0\n"
        "    heavy = {'tensorflow', 'keras', 'pymunk', 'matplotlib'}\n"
        "    print(sorted((heavy | {'kvae.config'}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['kvae.config']"
