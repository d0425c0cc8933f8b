"""Environments of Gymnasium, with classic control: .ci/run installs what it needs."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from simulation import make_world, sampling, trust
from simulation.dataset import generate
from simulation.generate import main
from simulation.inspection import verify
from simulation.worlds import registry

gymnasium = pytest.importorskip("gymnasium", reason='needs pip install -e ".[gymnasium]"')
spaces = gymnasium.spaces
SMALL = {"num_train": 3, "num_test": 2, "num_steps": 5}


def sample(world, num_steps=5, seed=0):
    return world.sample_sequence(np.random.default_rng(seed), num_steps)


class Blocks(gymnasium.Env):
    """An environment whose picture is one grey level: that of its step. It ends after some steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = spaces.Discrete(3, start=-1)
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    ends_after = 10**6

    def __init__(self, render_mode=None, **options):
        self.render_mode, self.options = render_mode, options

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.last = 0, 0
        return np.zeros(2), {}

    def step(self, action):
        self.count, self.last = self.count + 1, int(np.ravel(action)[0])
        return np.array([self.count, self.last], float), 0.0, self.count >= self.ends_after, False, {}

    def render(self):
        return np.full([8, 8, 3], self.count, np.uint8)


@pytest.fixture
def blocks():
    """Return a function that registers a kind of `Blocks` and returns the name of its world."""
    names = []

    def make(limit=None, **attributes):
        name = f"Blocks{len(names)}-v0"
        gymnasium.register(name, type("OfTest", (Blocks,), attributes), max_episode_steps=limit)
        names.append(name)
        return f"gym:{name}"

    yield make
    for name in names:
        del gymnasium.registry[name]


# --- what is recorded ---


def test_the_actions_lead_from_each_observation_to_the_next():
    found = sample(make_world("gym:Pendulum-v1", frame_skip=3), num_steps=8)
    assert found.images.shape == (1, 8, 32, 32)
    assert found.controls.shape == (1, 8, 1)
    assert found.controls[0, 0, 0] == 0
    assert len(np.unique(found.controls)) == 8
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    for t in range(1, 8):
        x, y, speed = found.states[0, t - 1]
        env.state = np.array([np.arctan2(y, x), speed])
        for _ in range(3):
            state, *_ = env.step(found.controls[0, t])
        np.testing.assert_allclose(state, found.states[0, t], atol=1e-4)


def test_a_frame_shows_the_state_beside_it(blocks):
    found = sample(make_world(blocks(), frame_skip=4, warmup_steps=3, frame_size=8))
    np.testing.assert_array_equal(found.states[0, :, 0], 3 + 4 * np.arange(5))
    np.testing.assert_array_equal(found.images[0, :, 0, 0], 3 + 4 * np.arange(5))


def test_a_discrete_action_is_one_hot(blocks):
    world = make_world(blocks())
    found = sample(world, num_steps=30)
    assert not found.controls[0, 0].any()
    np.testing.assert_array_equal(found.controls[0, 1:].argmax(axis=-1) - 1, found.states[0, 1:, 1])
    np.testing.assert_array_equal(found.controls[0, 1:].sum(axis=-1), 1)
    assert [quantity.name for quantity in world.control_quantities] == ["action_-1", "action_0", "action_1"]


def test_actions_are_held_over_the_frames_that_are_skipped(blocks):
    acted = []

    def step(self, action):
        acted.append(int(action))
        return Blocks.step(self, action)

    found = sample(make_world(blocks(step=step), frame_skip=3))
    held = np.array(acted).reshape(4, 3)
    assert (held == held[:, :1]).all()
    np.testing.assert_array_equal(held[:, 0], found.states[0, 1:, 1])


def test_pictures_are_cropped_resized_and_grey_as_those_of_videos():
    options = {"policy": "zero", "crop": [100, 50, 400, 350]}
    env = gymnasium.make("Pendulum-v1", render_mode="rgb_array")
    grey = sample(make_world("gym:Pendulum-v1", **options), num_steps=2).images
    colour = sample(make_world("gym:Pendulum-v1", channels=3, **options), num_steps=2).images
    black = sample(make_world("gym:Pendulum-v1", greyscale=False, **options), num_steps=2).images
    wide = make_world("gym:Pendulum-v1", frame_size=[24, 40])
    rng = np.random.default_rng(0)
    rng.spawn(1)
    env.reset(seed=int(rng.integers(2**31)))
    picture = Image.fromarray(env.render()).crop((50, 100, 350, 400))
    expected = picture.convert("L").resize((32, 32), Image.Resampling.HAMMING)
    np.testing.assert_array_equal(grey[0, 0], np.asarray(expected))
    np.testing.assert_array_equal(colour[0, 0], picture.resize((32, 32), Image.Resampling.HAMMING))
    np.testing.assert_array_equal(black, np.where(grey > 127, 255, 0))
    assert wide.image_shape == sample(wide).images.shape[2:] == (24, 40)


def test_one_generator_is_one_sequence_whatever_came_before():
    world = make_world("gym:CartPole-v1")
    first = sample(world, seed=1)
    sample(world, seed=2)
    for a, b in zip(first, sample(world, seed=1), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (sample(world, seed=3).states != first.states).any()


def test_observations_without_their_pictures(blocks, capsys, tmp_path):
    parts = {
        "camera": spaces.Box(0, 255, (8, 8, 3), np.uint8),
        "angles": spaces.Box(-4, 4, (2,), np.float32),
        "gear": spaces.Discrete(3),
    }
    seen = {"camera": np.zeros([8, 8, 3], np.uint8), "angles": np.float32([1, 2]), "gear": 1}
    name = blocks(
        observation_space=spaces.Dict(parts),
        reset=lambda self, seed=None, options=None: (Blocks.reset(self, seed), (seen, {}))[1],
        step=lambda self, action: (seen, *Blocks.step(self, action)[1:]),
    )
    world = make_world(name)
    assert [quantity.name for quantity in world.state_quantities] == [
        "angles_0",
        "angles_1",
        *("gear_0", "gear_1", "gear_2"),
    ]
    np.testing.assert_array_equal(sample(world).states[0, 0], [1, 2, 0, 1, 0])
    generate(name, tmp_path, **SMALL)
    assert "without what is a picture, or no number, in an observation: camera Box" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "size"),
    [
        (spaces.MultiDiscrete([2, 3]), 5),
        (spaces.MultiBinary(4), 4),
        (spaces.Dict({"gas": spaces.Box(0, 1, (2,)), "gear": spaces.Discrete(3)}), 5),
        (spaces.Tuple([spaces.Discrete(2), spaces.Box(2, 3, (1,))]), 3),
    ],
)
def test_other_actions_are_flattened(blocks, space, size):
    step = lambda self, action: Blocks.step(self, 0)  # noqa: E731
    for policy in ("random", "zero"):
        found = sample(make_world(blocks(action_space=space, step=step), policy=policy))
        assert found.controls.shape == (1, 5, size)
        assert not found.controls[0, 0].any()
        assert np.isfinite(found.controls).all()


def test_the_zero_of_a_box_without_zero_is_what_lies_nearest(blocks):
    name = blocks(action_space=spaces.Box(np.float32([1, -3]), np.float32([2, -2])))
    found = sample(make_world(name, policy="zero"))
    np.testing.assert_array_equal(found.controls[0, 1:], [[1, -2]] * 4)


# --- episodes that end ---


def test_a_sequence_lies_within_one_episode(blocks):
    world = make_world(blocks(ends_after=9), frame_skip=2)
    np.testing.assert_array_equal(sample(world).states[0, :, 0], [0, 2, 4, 6, 8])
    with pytest.raises(ValueError, match="end after 9 steps, 9 at most of 100, too short for 6 frames"):
        sample(world, num_steps=6)


def test_an_episode_may_end_with_the_last_frame(blocks):
    assert sample(make_world(blocks(ends_after=4))).states[0, -1, 0] == 4


def test_episodes_that_are_too_short_are_drawn_again():
    # Of episodes with random actions about every tenth is as long.
    found = sample(make_world("gym:CartPole-v1"), num_steps=40)
    position, angle = found.states[0, :, 0], found.states[0, :, 2]
    assert np.abs(np.diff(position)).max() < 0.1
    assert np.abs(angle[:-1]).max() < 0.21


def test_the_time_limit_is_named_with_what_raises_it(blocks, tmp_path, capsys):
    name = blocks(limit=12)
    arguments = ["--dataset", name, "--data_dir", str(tmp_path), *words(SMALL | {"num_steps": 20})]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "are cut after 12 steps, too short for 20 frames, which take 19 steps" in message
    assert not any(tmp_path.iterdir())
    assert main([*arguments, "--env_options", '{"max_episode_steps": 19}']) == 0


# --- files ---


def words(options):
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def test_files_are_the_same_whatever_the_jobs_and_shards(tmp_path, monkeypatch):
    # Three chunks, which two processes share.
    monkeypatch.setattr(sampling, "CHUNK", 2)
    options = {"frame_skip": 2, "env_options": {"sutton_barto_reward": True}, "frame_size": [16, 24]}
    sizes = {"num_train": 5, "num_test": 1, "num_steps": 3}
    one = generate("gym:CartPole-v1", tmp_path / "1", **sizes, options=options)
    two = generate("gym:CartPole-v1", tmp_path / "2", **sizes, options=options, jobs=2)
    assert [path.name for path in one] == ["gym-CartPole-v1.npz", "gym-CartPole-v1_test.npz"]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert verify(a)
    parts = generate("gym:CartPole-v1", tmp_path / "3", **sizes, options=options, shards=2)
    whole = np.load(one.train)
    shards = [np.load(path) for path in sorted(parts.train.iterdir())]
    for name in ("images", "states", "controls"):
        np.testing.assert_array_equal(whole[name], np.concatenate([shard[name] for shard in shards]))


def test_a_file_says_how_it_was_made(tmp_path, capsys):
    file = tmp_path / "gym-CartPole-v1.npz"
    command = ["--dataset", "gym:CartPole-v1", "--data_dir", str(tmp_path), *words(SMALL)]
    assert main([*command, "--policy", "zero", "--frame_size", "16,24", "--crop", "0,0,400,600"]) == 0
    facts = json.loads(str(np.load(file)["metadata"]))
    assert facts["world"] == "gym:CartPole-v1"
    assert facts["options"] == {"policy": "zero", "frame_size": [16, 24], "crop": [0, 0, 400, 600]}
    assert facts["versions"]["gymnasium"] == gymnasium.__version__
    assert "pygame" in facts["versions"]
    assert [quantity["name"] for quantity in facts["controls"]] == ["action_0", "action_1"]
    capsys.readouterr()
    assert main(["--describe", str(file), "--preview", str(file), "--verify", str(file)]) == 0
    assert "policy=zero" in capsys.readouterr().out
    # Otherwise made, and so not taken for what is asked for.
    assert main([*command, "--policy", "zero"]) == 2
    assert "frame_size is [16, 24], not [32, 32]" in capsys.readouterr().err


def test_the_slash_of_an_id_is_in_no_path(blocks, tmp_path):
    gymnasium.register("of_test/Blocks-v0", Blocks)
    try:
        train, test = generate("gym:of_test/Blocks-v0", tmp_path, **SMALL)
    finally:
        del gymnasium.registry["of_test/Blocks-v0"]
    assert {train.name, test.name} == {*(path.name for path in tmp_path.iterdir())}
    assert train.name == "gym-of_test-Blocks-v0.npz"


# --- policies ---


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of somebody's own, and return its name."""
    (tmp_path / "my_policies.py").write_text(
        "import numpy as np\n"
        "def push(observation, rng):\n    return rng.uniform(-2, 2, 1)\n"
        "def brake(observation):\n    return -np.clip(observation[2], -2, 2)\n"
        "def hard(observation):\n    return [3.0]\n"
        "def broken(observation):\n    return 1 / 0\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "my_policies"


def test_a_policy_of_ones_own(module, tmp_path, capsys):
    command = ["--dataset", "gym:Pendulum-v1", "--data_dir", str(tmp_path / "data"), *words(SMALL)]
    assert main([*command, "--policy", f"{module}:brake"]) == 0
    file = tmp_path / "data" / "gym-Pendulum-v1.npz"
    with np.load(file) as arrays:
        speed, controls = arrays["states"][..., 2], arrays["controls"][..., 0]
    np.testing.assert_allclose(controls[:, 1:], -np.clip(speed[:, :-1], -2, 2), atol=1e-6)
    assert main([*command, "--policy", f"{module}:push", "--regenerate", "True", "--jobs", "2"]) == 0
    with np.load(file) as arrays:
        assert len(np.unique(arrays["controls"])) == 1 + 3 * 4
    assert main(["--verify", str(file)]) == 0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("hard", "an action must lie in Box(-2.0, 2.0, (1,), float32). Received: [3.0]"),
        ("broken", "it raised ZeroDivisionError: division by zero"),
        ("none", "my_policies has no function 'none'"),
        ("number", "my_policies has no function 'number'"),
    ],
)
def test_a_policy_that_does_not_work(module, tmp_path, capsys, function, message):
    command = ["--dataset", "gym:Pendulum-v1", "--data_dir", str(tmp_path / "data"), *words(SMALL)]
    assert main([*command, "--policy", f"{module}:{function}"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_file_runs_no_code_that_it_names(module, tmp_path, monkeypatch, capsys):
    trust(module)
    options = {"policy": f"{module}:push"}
    file = generate("gym:Pendulum-v1", tmp_path / "data", **SMALL, options=options).train
    monkeypatch.setattr(registry, "_trusted", set())
    assert main(["--verify", str(file)]) == 2
    assert "names code, the module my_policies, which is not run unless you say so" in capsys.readouterr().err
    with pytest.raises(ValueError, match="names code, the module my_policies"):
        generate("gym:Pendulum-v1", tmp_path / "new", **SMALL, options=options)
    with pytest.raises(ValueError, match="names code, the module my_envs"):
        make_world("gym:my_envs:Mine-v0")
    assert main(["--verify", str(file), "--trust", module]) == 0


# --- what cannot be ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "gym:Pendulumm-v1"], "no environment 'Pendulumm-v1'. Did you mean gym:Pendulum-v1"),
        (["--dataset", "gym:cartpole-v1"], "Did you mean gym:CartPole-v1"),
        (["--dataset", "gym:Pendulum-v77"], "Did you mean gym:Pendulum-v1"),
        (["--dataset", "gym:"], "gym: needs the ID of an environment"),
        (["--env_options", '{"gravity": 3}'], "unexpected keyword argument 'gravity'"),
        (["--env_options", "g=3"], "env_options must be a JSON object"),
        (["--env_options", "[3]"], "env_options must be a JSON object"),
        (["--env_options", '{"render_mode": "human"}'], "env_options cannot have 'render_mode'"),
        (["--policy", "best"], "policy must be random, zero or MODULE:FUNCTION. Received: 'best'"),
        (["--policy", "no_such_module:f"], "The module no_such_module cannot be imported: there is no such"),
        (["--frame_skip", "0"], "frame_skip must be a whole number, at least 1. Received: 0"),
        (["--warmup_steps", "-1"], "warmup_steps must be a whole number, at least 0. Received: -1"),
        (["--frame_size", "1,2,3"], "frame_size must be a side such as 32, or HEIGHT,WIDTH"),
        (["--frame_size", "big"], "frame_size must be whole numbers such as 48,64. Received: 'big'"),
        (["--frame_size", "32", "--resolution", "32"], "resolution and frame_size say the same"),
        (["--channels", "2"], "channels must be 1, grey, or 3, colour. Received: 2"),
        (["--crop", "0,0,600,100"], "within the pictures of gym:Pendulum-v1, 500 rows and 500 columns"),
        (["--num_balls", "2"], "World 'gym:Pendulum-v1' has no option 'num_balls'"),
    ],
)
def test_bad_values_exit_2_with_one_line(tmp_path, capsys, arguments, message):
    where = ["--dataset", "gym:Pendulum-v1", "--data_dir", str(tmp_path / "new"), *words(SMALL)]
    assert main([*where, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("modes", [[], ["human", "ansi"]])
def test_an_environment_that_cannot_be_drawn(blocks, modes):
    with pytest.raises(ValueError, match=r"cannot be drawn: it has no render mode rgb_array"):
        make_world(blocks(metadata={"render_modes": modes}))


def test_an_environment_whose_drawing_fails(blocks):
    def render(self):
        raise RuntimeError("no screen")

    with pytest.raises(ValueError, match=r"cannot be drawn here: no screen\."):
        make_world(blocks(render=render))
    with pytest.raises(ValueError, match=r"draws no pictures \[H, W, 3\] of uint8: float64 \[8, 8\]"):
        make_world(blocks(render=lambda self: np.zeros([8, 8])))


def test_actions_that_are_no_vectors(blocks):
    with pytest.raises(ValueError, match="its actions are no vectors of numbers: Sequence"):
        make_world(blocks(action_space=spaces.Sequence(spaces.Discrete(2))))


def test_observations_that_are_not_finite(blocks):
    step = lambda self, action: (np.array([np.nan, 0.0]), 0.0, False, False, {})  # noqa: E731
    with pytest.raises(ValueError, match="An observation of gym:Blocks0-v0 holds what is no finite number"):
        sample(make_world(blocks(step=step)))


def test_without_gymnasium_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ValueError, match=r'which is not installed: pip install -e "\.\[gymnasium\]"'):
        make_world("gym:Pendulum-v1")
