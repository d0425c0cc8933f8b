import json
import os

import numpy as np
import pytest
from PIL import Image

from kvae import data
from kvae.data.archives import read_arrays
from kvae.errors import UserError
from kvae.videos import dataset as video_dataset
from kvae.videos import steps
from kvae.videos.dataset import Cut, find_test_file
from kvae.videos.frames import Look

CUT = Cut(Look(8, 8), timesteps=5, stride=5)


def video_of(number, num_frames):
    """Frames [T, 8, 8] that say of themselves which they are: the left half the video, the right the step."""
    frames = np.zeros([num_frames, 8, 8], np.uint8)
    frames[:, :, :4] = number
    frames[:, :, 4:] = np.arange(num_frames)[:, None, None]
    return frames


def write(folder, lengths):
    folder.mkdir()
    for number, length in enumerate(lengths):
        np.save(folder / f"{number}.npy", video_of(number, length))


def ensure(path, folder, cut=CUT, **options):
    said = []
    files = video_dataset.ensure(str(path), str(folder), cut, report=said.append, **options)
    return files, "\n".join(said)


def frames_of(file):
    """Return the (video, step) of every frame [N, T, 2]."""
    return data.load(file).images[:, :, 0, [0, -1]]


def metadata_of(file):
    return json.loads(str(read_arrays(file)["metadata"]))


def test_videos_are_cut_into_sequences(tmp_path, capsys):
    write(tmp_path / "clips", [10, 14, 5, 20])
    files, said = ensure(tmp_path / "clips", tmp_path / "data")
    sequences = np.concatenate([frames_of(files.train), frames_of(files.test)])
    # Of 14 frames the last four are too few for a third sequence.
    starts = {(0, 0), (0, 5), (1, 0), (1, 5), (2, 0), (3, 0), (3, 5), (3, 10), (3, 15)}
    assert {tuple(sequence[0].tolist()) for sequence in sequences} == starts
    assert len(sequences) == len(starts)
    for sequence in sequences:
        assert len(set(sequence[:, 0])) == 1
        assert np.diff(sequence[:, 1].astype(int)).tolist() == [1] * 4
    assert str(files.sheet) in said
    assert capsys.readouterr().err == ""


def test_sequences_may_overlap(tmp_path):
    write(tmp_path / "clips", [9, 9])
    files, _ = ensure(tmp_path / "clips", tmp_path / "data", CUT._replace(stride=2))
    assert frames_of(files.train)[:, 0, 1].tolist() == [0, 2, 4]


@pytest.mark.parametrize(("count", "num_test"), [(2, 1), (9, 1), (40, 5)])
def test_no_frame_of_a_test_video_is_trained_on(count, num_test, tmp_path):
    write(tmp_path / "clips", [12] * count)
    files, _ = ensure(tmp_path / "clips", tmp_path / "data", CUT._replace(stride=3))
    train, test = (set(frames_of(file)[..., 0].ravel().tolist()) for file in files[:2])
    assert len(test) == num_test
    assert train | test == set(range(count))
    assert not train & test
    assert metadata_of(files.test)["videos"] == [f"{number}.npy" for number in sorted(test)]


def test_an_array_holds_videos(tmp_path):
    np.savez(tmp_path / "many.npz", images=np.stack([video_of(number, 6) for number in range(4)]))
    files, _ = ensure(tmp_path / "many.npz", tmp_path / "data")
    assert (len(frames_of(files.train)), len(frames_of(files.test))) == (3, 1)
    assert files.train.name.startswith("many-")


@pytest.mark.parametrize("length", [10, 33, 100])
def test_one_video_is_split_in_time(length, tmp_path):
    np.savez(tmp_path / "one.npz", images=video_of(7, length)[None])
    files, _ = ensure(tmp_path / "one.npz", tmp_path / "data", CUT._replace(stride=1))
    train, test = (frames_of(file)[..., 1] for file in files[:2])
    assert train.min() == 0
    assert test.max() == length - 1
    # No frame is in both.
    assert test.min() == train.max() + 1
    assert len(np.unique(test)) == max(5, round(length / 10))


def test_short_videos_are_counted_and_left_out(tmp_path, capsys):
    write(tmp_path / "clips", [4, 5, 1, 7])
    files, _ = ensure(tmp_path / "clips", tmp_path / "data")
    said = capsys.readouterr().err
    assert said == "Warning: 2 of 4 videos have fewer than 5 frames: 0.npy, 2.npy\n"
    found = np.concatenate([frames_of(files.train), frames_of(files.test)])
    assert set(found[..., 0].ravel().tolist()) == {1, 3}
    # What came after a short one is in its place.
    assert found[0, :, 1].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([4, 3], "No video of .* has 5 frames"),
        ([9], "one video of 9 frames, too few"),
        ([], "holds no video"),
    ],
)
def test_where_nothing_is_left_it_is_told(lengths, message, tmp_path):
    write(tmp_path / "clips", lengths)
    with pytest.raises(UserError, match=message):
        ensure(tmp_path / "clips", tmp_path / "data")
    # Nothing is left behind either.
    assert not list(tmp_path.glob("data/*"))


def no_reading(*arguments):
    raise AssertionError("a video was read")


def test_the_same_is_not_read_again(tmp_path, monkeypatch):
    write(tmp_path / "clips", [10, 10])
    files, _ = ensure(tmp_path / "clips", tmp_path / "data")
    before = {file: file.stat().st_mtime_ns for file in files}
    monkeypatch.setattr(steps, "clips_of", no_reading)
    again, said = ensure(tmp_path / "clips", tmp_path / "data")
    assert again == files
    assert str(files.sheet) in said
    assert {file: file.stat().st_mtime_ns for file in files} == before
    with pytest.raises(AssertionError, match="a video was read"):
        ensure(tmp_path / "clips", tmp_path / "data", CUT._replace(stride=4))


@pytest.mark.parametrize("change", ["content", "new video", "look", "stride", "damaged", "sheet"])
def test_what_has_changed_is_made_anew(change, tmp_path):
    write(tmp_path / "clips", [10, 10, 10])
    files, _ = ensure(tmp_path / "clips", tmp_path / "data")
    cut = CUT
    if change == "content":
        np.save(tmp_path / "clips" / "0.npy", video_of(100, 10))
        os.utime(tmp_path / "clips" / "0.npy", ns=(0, 1))
    elif change == "new video":
        np.save(tmp_path / "clips" / "9.npy", video_of(100, 10))
    elif change == "look":
        cut = CUT._replace(look=Look(16, 8))
    elif change == "stride":
        cut = CUT._replace(stride=1)
    elif change == "damaged":
        files.train.write_bytes(files.train.read_bytes()[:100])
    else:
        files.sheet.unlink()
    again, _ = ensure(tmp_path / "clips", tmp_path / "data", cut)
    found = data.load(again.train).images, data.load(again.test).images
    if change in ("damaged", "sheet"):
        assert again == files
        assert again.sheet.exists()
    else:
        assert set(again).isdisjoint(files)
        # The old ones are still there.
        assert len(data.load(files.train).images) == 4
    if change == "look":
        assert found[0].shape[2:] == (16, 8)
    elif change == "stride":
        assert sum(map(len, found)) == 3 * 6
    elif change in ("content", "new video"):
        assert 100 in np.concatenate(found)


def test_black_and_white_frames_have_two_values(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.integers(0, 256, [2, 6, 8, 8], np.uint8))
    files, _ = ensure(tmp_path / "a.npy", tmp_path / "data", CUT._replace(look=Look(8, 8, True)))
    assert set(np.unique(data.load(files.train).images)) == {0, 255}


def test_the_files_are_dataset_files(tmp_path):
    write(tmp_path / "clips", [10, 10])
    files, _ = ensure(tmp_path / "clips", tmp_path / "data")
    found = data.load(files.train)
    assert found.images.dtype == np.uint8
    assert found.shape == (2, 5, 8, 8)
    assert found.dim_u == 0
    facts = metadata_of(files.train)
    assert (facts["num_sequences"], facts["num_steps"], facts["split"]) == (2, 5, "train")
    assert facts["source"] == str(tmp_path / "clips")
    assert facts["options"] == {
        "height": 8,
        "width": 8,
        "black_and_white": False,
        "channels": 1,
        "rate": 0.0,
        "timesteps": 5,
        "stride": 5,
        "split_by": "by name",
    }
    assert {path.name for path in (tmp_path / "data").iterdir()} == {file.name for file in files}


def test_the_sheet_shows_the_frames(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, value in enumerate((60, 200)):
        np.save(folder / f"{number}.npy", np.full([5, 8, 8], value, np.uint8))
    files, _ = ensure(folder, tmp_path / "data")
    pixels = np.asarray(Image.open(files.sheet))
    # Five frames of 8x8, seven times enlarged, for each of the two sequences.
    for value in (60, 200):
        assert (pixels == value).all(axis=-1).sum() >= 5 * 56 * 56


def test_nothing_is_written_where_that_is_not_allowed(tmp_path):
    write(tmp_path / "clips", [10, 10])
    with pytest.raises(UserError, match="Name a folder inside it with --data_dir"):
        ensure(tmp_path / "clips", tmp_path / "data", may_write=False)
    assert not (tmp_path / "data").exists()
    files, _ = ensure(tmp_path / "clips", tmp_path / "data")
    assert ensure(tmp_path / "clips", tmp_path / "data", may_write=False)[0] == files


def test_the_test_file_of_a_run_is_found(tmp_path):
    write(tmp_path / "clips", [10, 10, 10])
    cut = CUT._replace(look=Look(8, 8, black_and_white=True))
    asked = (str(tmp_path / "clips"), str(tmp_path / "data"), cut)
    assert find_test_file(*asked) is None
    files, _ = ensure(tmp_path / "clips", tmp_path / "data", cut)
    assert find_test_file(*asked) == files.test
    # Neither of a folder of the same name, nor cut otherwise, nor of other files.
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere" / "clips", [10, 10, 10])
    ensure(tmp_path / "elsewhere" / "clips", tmp_path / "data", cut)
    ensure(tmp_path / "clips", tmp_path / "data", CUT)
    (tmp_path / "data" / "clips-00000000_test.npz").write_bytes(b"damaged")
    assert find_test_file(*asked) == files.test
    # The videos have changed, and were read again.
    np.save(tmp_path / "clips" / "9.npy", video_of(9, 10))
    again, _ = ensure(tmp_path / "clips", tmp_path / "data", cut)
    later = files.test.stat().st_mtime_ns + 10**9
    os.utime(again.test, ns=(later, later))
    assert find_test_file(*asked) == again.test


def test_videos_in_which_nothing_moves_are_named(tmp_path, capsys):
    write(tmp_path / "clips", [10, 10])
    np.save(tmp_path / "clips" / "black.npy", np.zeros([10, 8, 8], np.uint8))
    ensure(tmp_path / "clips", tmp_path / "data")
    assert "in 1 of 3 videos no pixel changes by 4 of 255: black.npy." in capsys.readouterr().err


def test_one_more_video_moves_no_other(tmp_path):
    write(tmp_path / "clips", [10] * 3)
    before, _ = ensure(tmp_path / "clips", tmp_path / "data")
    of_before = [set(metadata_of(file)["videos"]) for file in before[:2]]
    for number in range(3, 30):
        np.save(tmp_path / "clips" / f"{number}.npy", video_of(number, 10))
    after, _ = ensure(tmp_path / "clips", tmp_path / "data")
    train, test = (set(metadata_of(file)["videos"]) for file in after[:2])
    assert of_before[0] <= train
    assert of_before[1] <= test
