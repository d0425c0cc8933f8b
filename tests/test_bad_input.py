"""Files that are damaged, or made up: each is read as what it says it is, or refused with a message.

The mutated files number 2,000 by default, 12,000 with the slow test; run with -s, it prints how many were
refused in each class.
"""

import collections
import io
import re
import warnings
import zipfile

import numpy as np
import pytest

import run_kvae
import simulation.generate
from kvae import data
from kvae.config import Config, option_names
from kvae.data import archives
from kvae.errors import UserError
from kvae.runs import run_folder
from kvae.runs.options import RunFolderError, read_options
from simulation import dataset, dataset_file

SHAPE = (3, 4, 16, 16)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Return the bytes of a dataset file, and those of a run's config.json."""
    folder = tmp_path_factory.mktemp("data")
    sizes = "--num_train 3 --num_test 1 --num_steps 4".split()
    assert simulation.generate.main(["--dataset", "pendulum", *sizes, "--data_dir", str(folder)]) == 0
    run = tmp_path_factory.mktemp("run")
    run_folder.RunFolder(run).write_config(Config(dataset="pendulum", out_distr="gaussian"), "float32")
    return (folder / "pendulum.npz").read_bytes(), (run / "config.json").read_bytes()


# --- ways to damage a file ---


def flip_bits(rng, content):
    found = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        found[rng.integers(len(found))] ^= 1 << rng.integers(8)
    return bytes(found)


def truncate(rng, content):
    start, end = sorted(rng.integers(0, len(content), 2))
    return [content[:end], content[start:], content[:start] + content[end:]][rng.integers(3)]


def edit_numbers(rng, content):
    """Put another number in the place of one that is written in digits; of an archive, within its members."""

    def another(match):
        digits = match[0]
        choices = [b"0", b"1", b"-1", b"9" * 20, b"1e999", b"NaN", b"2.5", digits + b"7", b'"%b"' % digits]
        return choices[rng.integers(len(choices))]

    def edit(text):
        places = list(re.finditer(rb"(?<![\w\"])\d+(?!\w)", text))
        if not places:
            return text
        place = places[rng.integers(len(places))]
        return text[: place.start()] + another(place) + text[place.end() :]

    return within(rng, content, edit)


def edit_keys(rng, content):
    """Rename, repeat or drop members of an archive, or quoted names in JSON."""

    def rename(text):
        places = list(re.finditer(rb'"(\w+)": ', text))
        if not places:
            return text
        place = places[rng.integers(len(places))]
        name = [b'"other": ', b"", b'"' + place[1][::-1] + b'": ', b'"": '][rng.integers(4)]
        return text[: place.start()] + name + text[place.end() :]

    if not content.startswith(b"PK") or rng.random() < 0.3:
        return within(rng, content, rename)
    members = members_of(content)
    names = list(members)
    chosen, other = rng.choice(names, 2)
    changed = [*members.items()]
    kind = rng.integers(4)
    if kind == 0:
        changed = [(name, text) for name, text in changed if name != chosen]
    elif kind == 1:
        changed = [("Images.npy" if name == chosen else name, text) for name, text in changed]
    elif kind == 2:
        changed = [(name, members[other] if name == chosen else text) for name, text in changed]
    else:
        changed.append((f"../../{chosen}", members[other]))
    return archive_of(changed)


def edit_headers(rng, content):
    """Change what an array says of its shape, its order and its type; of JSON, its first bytes."""
    if not content.startswith(b"PK"):
        start = int(rng.integers(1, 40))
        return bytes(rng.integers(0, 256, start, dtype=np.uint8)) + content[start:]
    words = [
        (rb"\(3, 4, 16, 16\)", [b"(3, 4, 16, 61)", b"(192, 16)     ", b"(99999999999,)", b"(3, -4, 16, 16)"]),
        (rb"'\|u1'", [b"'<f4'", b"'|O' ", b"'<c8'", b"'<M8'", b"'|b1'", b"'|S3'", b"'|V1'"]),
        (rb"'<f4'", [b"'<u4'", b"'|O' ", b"'<i4'", b"'>f4'"]),
        (rb"False", [b"True ", b"None "]),
        (rb"'descr'", [b"'decsr'", b"__file_"]),
        (rb"NUMPY\x01", [b"NUMPY\x02", b"NUMPY\x03", b"NUMPY\x09"]),
    ]

    def edit(text):
        pattern, choices = words[rng.integers(len(words))]
        return re.sub(pattern, choices[rng.integers(len(choices))].replace(b"\\", b""), text, count=1)

    return within(rng, content, edit)


CLASSES = {
    "bit flips": flip_bits,
    "truncation": truncate,
    "number edits": edit_numbers,
    "key edits": edit_keys,
    "header edits": edit_headers,
}


def members_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Names that are there twice.
        for name, text in members:
            archive.writestr(name, text)
    return buffer.getvalue()


def within(rng, content, edit):
    """Edit JSON, or one member of an archive, whose checksums are right again then."""
    if not content.startswith(b"PK"):
        return edit(content)
    members = members_of(content)
    chosen = rng.choice(list(members))
    return archive_of((name, edit(text) if name == chosen else text) for name, text in members.items())


# --- what must hold ---


def check_dataset(folder, content):
    """Read a file as run_kvae.py does; return whether it was refused."""
    path = folder / "pendulum.npz"
    path.write_bytes(content)
    try:
        # As the test file too, so that none is made; that it says it is another split must not end it here.
        (folder / "pendulum_test.npz").write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dataset_file, "compare", lambda *arguments: None)
            patch.setattr(dataset, "compare", lambda *arguments: None)
            dataset.ensure("pendulum", folder, report=None)
        found = data.load(path)
        assert_sound(found)
    except UserError as error:
        assert_helpful(error, path)
        return True
    except ValueError:
        # From the simulation: run_kvae.py says it with the name of the dataset.
        return True
    return False


def assert_sound(found):
    count, num_steps = found.shape[:2]
    assert found.images.dtype in (np.uint8, np.float32)
    assert found.images.ndim == 4
    assert min(found.shape) > 0
    assert np.isfinite(found.images).all()
    assert found.images.dtype == np.uint8 or (found.images.min() >= 0 and found.images.max() <= 1)
    assert found.controls.shape[:2] == (count, num_steps)
    assert found.states is None or found.states.shape[:2] == (count, num_steps)
    assert np.isfinite(found.controls).all()


def check_config(folder, content):
    """Read a config.json; return whether it was refused."""
    (folder / "config.json").write_bytes(content)
    try:
        options = read_options(folder)
    except UserError as error:
        assert_helpful(error, folder)
        return True
    config = Config.from_dict(options)
    assert set(options) <= set(option_names())
    assert config == Config(**options)
    return False


def assert_helpful(error, path):
    told = str(error)
    assert str(path) in told
    assert "Traceback" not in told
    assert len(told) < 3000


def fuzz(pristine, tmp_path, count, seed):
    """Read `count` mutated files of each kind in each class; return how many were refused."""
    refused = collections.Counter()
    kinds = (("dataset", pristine[0], check_dataset), ("config", pristine[1], check_config))
    for name, mutate in CLASSES.items():
        for kind, content, check in kinds:
            rng = np.random.default_rng([seed, len(refused)])
            for _ in range(count):
                refused[name, kind] += check(tmp_path, mutate(rng, content))
    for (name, kind), number in refused.items():
        print(f"{name} of {kind}: {number} of {count} refused")
    return refused


def test_the_files_are_good_to_begin_with(pristine, tmp_path):
    assert not check_dataset(tmp_path, pristine[0])
    assert not check_config(tmp_path, pristine[1])


def test_mutated_files_are_refused_or_sound(pristine, tmp_path):
    refused = fuzz(pristine, tmp_path, 200, seed=0)
    assert len(refused) == 10
    # The mutations reach what they should.
    assert min(refused.values()) > 20


@pytest.mark.slow
def test_thousands_of_mutated_files(pristine, tmp_path):
    refused = fuzz(pristine, tmp_path, 1200, seed=1)
    assert len(refused) * 1200 == 12_000


# --- datasets, one by one ---


def zip_of(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def ours(**changed):
    arrays = {
        "images": np.zeros(SHAPE, np.uint8),
        "controls": np.zeros([3, 4, 1], np.float32),
        "states": np.zeros([3, 4, 2], np.float32),
        "metadata": np.array("{}"),
    }
    return zip_of(**{name: array for name, array in (arrays | changed).items() if array is not None})


def claim(size):
    """Return a file whose images take 8 bytes, and say that they take `size`."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, %d), }" % size
    member = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n" + bytes(8)
    return archive_of([("images.npy", member)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no dataset file"),
        (b"", "not a readable .npz file"),
        (b"not a zip", "not a readable .npz file"),
        (ours()[:200], "not a readable .npz file"),
        (zip_of(other=np.zeros(3)), "no array named images. Received: other"),
        (ours(images=np.zeros([3, 4, 16], np.uint8)), r"must be \[N, T, H, W\].* Received: shape \(3, 4"),
        (ours(images=np.zeros([0, 4, 16, 16], np.uint8)), r"Received: shape \(0, 4, 16, 16\)"),
        (ours(images=np.full(SHAPE, np.nan, np.float32)), "between 0 and 1"),
        (ours(images=np.full(SHAPE, 1.5, np.float32)), "between 0 and 1"),
        (ours(images=np.full(SHAPE, -1, np.int8)), "between 0 and 1"),
        (ours(images=np.full(SHAPE, "x")), "images must be numbers. Received: <U1"),
        (ours(controls=np.zeros([3, 5, 1])), r"controls must be \[N, T, dim_u\] = \[3, 4, ...\]"),
        (ours(controls=np.full([3, 4, 1], np.inf)), "controls must be finite"),
        (ours(controls=np.full([3, 4, 1], 1e300)), "controls must be finite numbers that float32 can hold"),
        (ours(states=np.full([3, 4, 2], np.nan)), "states must be finite"),
        (ours(states=np.zeros([2, 4, 2])), r"states must be \[N, T, S\]"),
        (ours(metadata=np.array("{")), "metadata must be a JSON object"),
        (ours(metadata=np.array("[" * 100_000)), "metadata must be a JSON object"),
        (ours(metadata=np.array('{"num_steps": 5}')), "num_steps is 5 in its metadata, but images are"),
        (ours(images=np.array([[None]])), "images holds Python objects, which are never unpickled"),
        (claim(10**13), r"images is damaged: 8 bytes are no array \[1, 1, 1, 10000000000000\] of uint8"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_told(content, message, tmp_path):
    path = tmp_path / "box.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(data.DataError, match=message) as error:
        data.load(path)
    assert_helpful(error.value, path)


def test_a_file_that_expands_beyond_memory_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "box.npz"
    np.savez_compressed(path, images=np.zeros([50, 100, 100, 100], np.uint8))
    assert path.stat().st_size < 1e5
    monkeypatch.setattr(archives, "free_memory", lambda: 4e7)
    with pytest.raises(data.DataError, match=r"expands to 0\.1 GB, more than the memory that is free"):
        data.load(path)


def test_the_memory_that_is_free():
    assert 1e8 < archives.free_memory() < 1e14


# --- options ---


def edges():
    """Every option with values beyond its bounds, and of other kinds."""
    for name in option_names():
        default = getattr(Config(), name)
        if isinstance(default, bool):
            values = [2, "yes", None]
        elif isinstance(default, int):
            values = [-1, 2.5, "3", None, True]
        elif isinstance(default, float):
            values = [-1.0, float("nan"), float("inf"), "0.1", None]
        elif isinstance(default, tuple):
            values = [(), (0,), ("4",), 4, (4,) * 13, (100_000,)]
        else:
            values = [3, None]
        # What may be chosen beside what the type alone says.
        legal = {"channels": [3], "num_filters": [()]}.get(name, [])
        yield from ((name, value) for value in values if value not in legal)


@pytest.mark.parametrize(("name", "value"), edges())
def test_an_option_out_of_bounds_is_told(name, value):
    with pytest.raises(UserError, match=name) as error:
        Config(**{name: value})
    assert "Received" in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"K": 1001},
        {"batch_size": 10**6},
        {"num_paths": 10**7},
        {"dim_z": 900, "K": 900},
        {"alpha_units": 9000},
        {"num_filters": (5000, 5000)},
        {"conv": False, "vae_num_units": 10_001},
    ],
)
def test_options_that_would_exhaust_a_machine_are_told(options):
    with pytest.raises(UserError, match="at most"):
        Config(**options)


def test_whatever_is_wrong_the_command_says_so(tmp_path, capsys, monkeypatch):
    """What reaches run_kvae.py itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "box.npz").write_bytes(b"PK\x03\x04")
    for arguments, message in [
        (["--dataset", "box"], "box.npz is not a dataset file, or a damaged one"),
        (["--dataset", "../box"], "There is no file or folder ../box"),
        (["--resume", "nowhere"], "nowhere is not a run folder"),
        (["--reload_model", "data"], "data is not a run folder"),
    ]:
        assert run_kvae.main(arguments) == 2
        said = capsys.readouterr().err
        assert message in said
        assert "Traceback" not in said
    assert not (tmp_path / "logs").exists()


def test_what_a_run_s_file_says_of_its_options_is_checked(tmp_path):
    for text in ('{"options": {"K": 1' + "0" * 5000 + "}}", "[" * 100_000, '{"options": {"seed": NaN}}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(RunFolderError) as error:
            read_options(tmp_path)
        assert str(tmp_path) in str(error.value)
