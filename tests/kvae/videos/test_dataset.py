import json
import os

import numpy as np
import pytest
from PIL import Image

from kvae import data
from kvae.data import identity
from kvae.data.archives import read_arrays
from kvae.errors import UserError
from kvae.videos import dataset as video_dataset
from kvae.videos import steps
from kvae.videos.dataset import Cut, find_test_file
from kvae.videos.frames import EITHER, Look

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


# --- files of arrays ---


def arrays_of(num_videos, num_frames=10, first=0):
    """Videos [N, T, ..] whose controls and states say which they are, and when."""
    images = np.stack([video_of(first + number, num_frames) for number in range(num_videos)])
    numbers = np.arange(first, first + num_videos)[:, None]
    steps = np.arange(num_frames)[None]
    controls = np.stack(np.broadcast_arrays(numbers, steps), axis=-1).astype(np.float32)
    return {"images": images, "controls": controls, "states": -controls}


def test_controls_and_states_are_cut_as_the_frames_are(tmp_path):
    np.savez(tmp_path / "my.npz", **arrays_of(20))
    files, said = ensure(tmp_path / "my.npz", tmp_path / "data", CUT._replace(stride=2))
    for file in files[:2]:
        found = data.load(file)
        np.testing.assert_array_equal(found.controls, found.images[:, :, 0, [0, -1]])
        np.testing.assert_array_equal(found.states, -found.controls)
        assert found.mask is None
    assert ", 2 controls a step" in said


def test_the_file_beside_it_is_for_testing(tmp_path):
    np.savez(tmp_path / "my.npz", images=arrays_of(3)["images"])
    np.savez(tmp_path / "my_test.npz", images=arrays_of(2, first=50)["images"])
    files, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    train, test = (set(frames_of(file)[..., 0].ravel().tolist()) for file in files[:2])
    assert (train, test) == ({0, 1, 2}, {50, 51})
    assert metadata_of(files.test)["videos"] == ["my_test.npz[0]", "my_test.npz[1]"]
    # In a folder too, where what is beside them is split as ever.
    folder = tmp_path / "both"
    folder.mkdir()
    for name in ("my.npz", "my_test.npz"):
        (tmp_path / name).rename(folder / name)
    np.save(folder / "0.npy", video_of(100, 10))
    np.save(folder / "1.npy", video_of(101, 10))
    files, _ = ensure(folder, tmp_path / "data")
    train, test = (set(frames_of(file)[..., 0].ravel().tolist()) for file in files[:2])
    assert train >= {0, 1, 2}
    assert test >= {50, 51}
    assert (train | test) - {0, 1, 2, 50, 51} == {100, 101}


def test_another_test_file_makes_another_dataset(tmp_path):
    np.savez(tmp_path / "my.npz", **arrays_of(3))
    before, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    np.savez(tmp_path / "my_test.npz", **arrays_of(2, first=50))
    assert ensure(tmp_path / "my.npz", tmp_path / "data")[0] != before


@pytest.mark.parametrize("junk", [0.5, 1e9, np.nan, np.inf])
def test_whatever_stands_in_a_missing_frame_the_data_are_the_same(junk, tmp_path):
    arrays = arrays_of(6)
    mask = (np.arange(60).reshape(6, 10) % 3 > 0).astype(np.uint8)
    images = (arrays["images"] / 255).astype(np.float32)
    images[mask == 0] = 0.25
    found = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "my.npz", **(arrays | {"images": images, "mask": mask}))
        files, said = ensure(tmp_path / folder / "my.npz", tmp_path / folder)
        found.append(identity.identity(*files[:2]))
        images[mask == 0] = junk
    assert identity.digest(found[0]) == identity.digest(found[1])
    loaded = data.load(files.train)
    assert 0 < loaded.mask.mean() < 1
    assert not loaded.images[loaded.mask == 0].any()
    assert "of the frames are missing" in said


def test_sequences_with_no_more_than_one_frame_are_left_out(tmp_path, capsys):
    arrays = arrays_of(4)
    mask = np.ones([4, 10])
    mask[:, 1:5] = 0
    mask[0] = 1
    np.savez(tmp_path / "my.npz", **arrays, mask=mask)
    files, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    assert sum(len(data.load(file).images) for file in files[:2]) == 5
    assert "3 sequences of" in (said := capsys.readouterr().err)
    assert "have fewer than 2 frames" in said
    mask[:, 1:] = 0
    np.savez(tmp_path / "my.npz", **arrays, mask=mask)
    with pytest.raises(UserError, match="so many frames are missing"):
        ensure(tmp_path / "my.npz", tmp_path / "data")


def test_classes_stay_classes(tmp_path):
    arrays = arrays_of(20) | {"controls": np.tile(np.arange(10) % 3, [20, 1])}
    np.savez(tmp_path / "my.npz", **arrays)
    files, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    train = data.load(files.train)
    assert train.classes == ((0, 1, 2),)
    np.testing.assert_array_equal(
        data.load(files.test, classes=train.classes).controls.argmax(axis=-1) % 3,
        data.load(files.test).images[:, :, 0, -1] % 3,
    )


def test_videos_whose_controls_differ_are_told(tmp_path):
    (tmp_path / "clips").mkdir()
    np.savez(tmp_path / "clips" / "a.npz", **arrays_of(2))
    np.save(tmp_path / "clips" / "b.npy", video_of(9, 10))
    with pytest.raises(UserError, match=r"b\.npy has no controls, but a\.npz\[0\] controls of 2 numbers"):
        ensure(tmp_path / "clips", tmp_path / "data")


def test_states_that_differ_are_left_out(tmp_path, capsys):
    arrays = arrays_of(2)
    np.savez(tmp_path / "my.npz", **arrays)
    np.savez(tmp_path / "my_test.npz", **{name: arrays[name] for name in ("images", "controls")})
    files, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    assert data.load(files.train).states.shape[2] == 0
    assert (
        "states are left out, as they have 0 entries in my_test.npz[0], 2 in my.npz[0]"
        in capsys.readouterr().err
    )


def test_times_make_holes(tmp_path):
    times = np.tile(np.array([0, 1, 2, 3, 5, 6, 7, 8, 9, 10.0]), [3, 1])
    np.savez(tmp_path / "my.npz", **arrays_of(3), times=times)
    files, _ = ensure(tmp_path / "my.npz", tmp_path / "data")
    found = data.load(files.train)
    assert found.mask[0].tolist() == [1, 1, 1, 1, 0]
    # What acts on the way into the next frame that is there acts on the way into a missing one.
    assert found.controls[0, :, 1].tolist() == [0, 1, 2, 3, 4]
    assert found.controls[1, :, 1].tolist() == [4, 5, 6, 7, 8]
    halves, _ = ensure(tmp_path / "my.npz", tmp_path / "data", CUT._replace(rate=0.5))
    assert halves != files
    assert frames_of(halves.train)[0, :, 1].tolist() == [0, 2, 3, 5, 7]


@pytest.mark.parametrize("coloured", [False, True])
def test_frames_are_in_colour_where_the_videos_are(coloured, tmp_path):
    (tmp_path / "clips").mkdir()
    for number in range(3):
        frames = np.repeat(video_of(100 + number, 10)[..., None], 3, axis=-1)
        if coloured and number == 2:
            frames[3, 0, 0] = [255, 0, 0]
        np.save(tmp_path / "clips" / f"{number}.npy", frames)
    either = CUT._replace(look=Look(8, 8, channels=EITHER))
    files, said = ensure(tmp_path / "clips", tmp_path / "data", either)
    found = data.load(files.train)
    assert found.channels == (3 if coloured else 1)
    assert ("in colour" in said) == coloured
    grey, _ = ensure(tmp_path / "clips", tmp_path / "data")
    # A grey film stays grey, and is not read again for who asks for that.
    assert (grey == files) == (not coloured)
    assert data.load(grey.train).channels == 1
    # The run has decided since then.
    decided = CUT._replace(look=Look(8, 8, channels=found.channels))
    assert ensure(tmp_path / "clips", tmp_path / "data", decided, may_write=False)[0] == files
    assert find_test_file(str(tmp_path / "clips"), tmp_path / "data", decided) in (files.test, grey.test)
