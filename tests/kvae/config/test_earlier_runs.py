"""What an earlier run's options are laid over, and what of them a command may change: `kvae.config.start`."""

import pytest

from kvae.config import Config, ConfigError, option_names
from kvae.config.command_line import parse
from kvae.config.start import first_phases_over, trained_on
from tests.kvae.config.test_command_line import no_run

FROM_THE_COMMAND_LINE = (
    "gpu run_name log_dir n_steps_gen reload_model display_step generate_step quiet".split()
)
MAY_CHANGE = [
    *FROM_THE_COMMAND_LINE,
    *"dataset data_dir frame_size timesteps stride rate precision batch_size".split(),
    *"t_init_mask t_steps_mask num_paths evaluate_on_samples".split(),
]

# Values that no default has.
RUN = Config(
    dataset="pong",
    data_dir="far",
    num_filters=(8, 4),
    K=5,
    kf_elbo="sampled",
    alpha_rnn=False,
    fifo_size=2,
    batch_size=7,
    precision="float32",
    t_init_mask=6,
    t_steps_mask=3,
    evaluate_on_samples=True,
    seed=9,
    preset="original",
    gpu="cpu",
    strategy="mirrored",
    run_name="old",
    log_dir="old_logs",
    n_steps_gen=50,
    display_step=5,
    generate_step=6,
    quiet=True,
    profile=True,
)


def reload(*arguments):
    asked = []

    def read(path):
        asked.append(path)
        return RUN.to_dict()

    config = parse(["--reload_model", "the/run", *arguments], read)
    assert asked == ["the/run"]
    assert config.reload_model == "the/run"
    return config


def test_a_reloaded_run_keeps_its_options_but_those_of_the_command():
    config = reload()
    for name in option_names():
        if name == "reload_model":
            continue
        # One machine evaluates, whatever many trained; and there is no training to profile.
        source = Config() if name in (*FROM_THE_COMMAND_LINE, "strategy", "profile") else RUN
        assert getattr(config, name) == getattr(source, name), name


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("gpu", "0", "0"),
        ("run_name", "new", "new"),
        ("log_dir", "new_logs", "new_logs"),
        ("n_steps_gen", "33", 33),
        ("display_step", "2", 2),
        ("generate_step", "3", 3),
        ("dataset", "box", "box"),
        ("data_dir", "near", "near"),
        ("precision", "bfloat16", "bfloat16"),
        ("batch_size", "4", 4),
        ("t_init_mask", "2", 2),
        ("t_steps_mask", "1", 1),
        ("num_paths", "0", 0),
        ("evaluate_on_samples", "False", False),
        ("quiet", "True", True),
    ],
)
def test_what_does_not_change_the_model_may_change(name, text, value):
    config = reload(f"--{name}", text)
    assert getattr(config, name) == value
    assert config.K == RUN.K


@pytest.mark.parametrize("name", sorted(set(option_names()) - set(MAY_CHANGE)))
def test_what_would_change_the_model_is_refused(name):
    # Even with the value that the run has, and however it is written.
    value = getattr(RUN, name)
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    for argument in (f"--{name}={text}", f"--{name.replace('_', '-')}={text}"):
        with pytest.raises(ConfigError) as error:
            parse([argument, "--reload-model=the/run"], no_run)
        assert f"--{name} cannot change a model that is reloaded" in str(error.value)
        assert all(allowed in str(error.value) for allowed in MAY_CHANGE)


def test_an_unknown_option_is_unknown_to_a_reload_too(capsys):
    with pytest.raises(SystemExit) as exit:
        reload("--dim_zz", "3")
    assert exit.value.code == 2
    assert "--dim_zz" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_says_so():
    def read(path):
        raise ConfigError(f"{path} is not a run")

    with pytest.raises(ConfigError, match="the/run is not a run"):
        parse(["--reload_model=the/run"], read)


def train_on(*arguments, **options):
    return parse(["--init_model", "the/run", *arguments], lambda path: {**RUN.to_dict(), **options})


def test_what_trains_on_keeps_the_run_s_options_but_those_of_the_command():
    config = train_on()
    of_command = {*FROM_THE_COMMAND_LINE, "strategy", "profile"}
    for name in set(option_names()) - {"init_model"}:
        expected = first_phases_over().get(name, getattr(Config() if name in of_command else RUN, name))
        assert getattr(config, name) == expected, name
    assert config.init_model == "the/run"


def test_how_and_what_it_trains_on_may_change():
    config = train_on(
        *"--dataset box --num_epochs 0 --refine_epochs 7 --init_lr 0.1 --kf_update_steps 1".split()
    )
    assert (config.dataset, config.num_epochs, config.refine_epochs, config.kf_update_steps) == (
        "box",
        0,
        7,
        1,
    )
    assert (config.init_lr, config.K) == (0.1, RUN.K)


@pytest.mark.parametrize("name", sorted(trained_on()))
def test_what_would_change_a_model_that_is_trained_on_is_refused(name):
    with pytest.raises(ConfigError, match=f"--{name} cannot change a model that is trained on"):
        parse([f"--{name}=1", "--init-model=the/run"], no_run)


@pytest.mark.parametrize(
    ("of_run", "words", "held_out"), [(0.0, (), 0.1), (0.2, (), 0.2), (0.2, ("0",), 0.0)]
)
def test_sequences_are_held_out_unless_that_is_not_wanted(of_run, words, held_out):
    """Or what is trained on might end worse than it was, and nobody would know."""
    arguments = ["--validation_split", *words] if words else []
    assert train_on(*arguments, validation_split=of_run).validation_split == held_out


def test_it_may_begin_with_one_that_did_so_itself():
    before = {"num_epochs": 0, "refine_epochs": 5, "init_model": "logs/first"}
    assert train_on("--num_epochs", "2", **before).init_model == "the/run"


def test_it_does_not_train_on_what_it_only_evaluates():
    with pytest.raises(ConfigError, match="--init_model cannot change a model that is reloaded"):
        train_on("--reload_model", "other/run")


def resume(*arguments, **options):
    return parse(["--resume", "the/run", *arguments], lambda path: {**RUN.to_dict(), **options})


def test_a_resumed_run_keeps_its_options():
    config = resume("--gpu", "cpu", "--strategy", "multiworker", reload_model="")
    changed = {"gpu": "cpu", "strategy": "multiworker", "resume": "the/run", "reload_model": ""}
    # Of the command, not of the run.
    changed |= {"quiet": False, "profile": False}
    asked = resume("--quiet", "--profile", reload_model="")
    assert asked.quiet
    assert asked.profile
    for name in option_names():
        expected = changed.get(name, getattr(RUN, name))
        assert getattr(config, name) == expected, name


@pytest.mark.parametrize(
    "name", sorted(set(option_names()) - {"resume", "gpu", "strategy", "quiet", "profile"})
)
def test_nothing_else_changes_a_resumed_run(name):
    with pytest.raises(ConfigError, match=f"--{name} cannot change a run that is resumed"):
        parse([f"--{name}=1", "--resume=the/run"], no_run)


def test_an_evaluation_has_no_training_to_resume():
    with pytest.raises(ConfigError, match="the/run is an evaluation of another run"):
        resume(reload_model="logs/other_kvae")
