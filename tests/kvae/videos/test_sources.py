import os

import pytest

from kvae.videos import sources
from kvae.videos.sources import VideoError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize("name", ["a/b", "./a", "clips/", "a.mp4", "A.GIF", "a.npz", "../box"])
def test_what_looks_like_a_path(name):
    assert sources.looks_like_path(name)


@pytest.mark.parametrize("name", ["box", "box_gravity", "mp4", "a.b", ""])
def test_what_may_be_a_name(name):
    assert not sources.looks_like_path(name)


def test_short_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sources.short_name("far/away/clips/") == "clips"
    assert sources.short_name("a.b/c.mp4") == "c"
    assert sources.short_name("v1.2") == "v1.2"
    assert sources.short_name(".") == tmp_path.name


def test_a_folder_is_sorted_by_numbers_and_holds_what_is_understood(tmp_path):
    touch(tmp_path, "b10.mp4", "b9.mp4", "B2.GIF", "notes.txt", "._b9.mp4", "arrays.npy")
    touch(
        tmp_path, "frames/f10.png", "frames/f9.png", "frames/f100.jpg", "frames/readme.md", "empty/readme.md"
    )
    found = sources.find(tmp_path)
    assert [source.name for source in found] == ["B2.GIF", "arrays.npy", "b9.mp4", "b10.mp4", "frames"]
    assert [file.name for file in found[-1].files] == ["f9.png", "f10.png", "f100.jpg"]
    assert found[0].suffix == ".gif"


def test_pictures_in_the_folder_itself_are_one_video(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    (source,) = sources.find(tmp_path)
    assert (source.name, len(source.files)) == (tmp_path.name, 2)


@pytest.mark.parametrize("name", ["nothing", "text.txt", "one.png", "empty"])
def test_what_is_no_video_is_told(name, tmp_path):
    touch(tmp_path, "text.txt", "one.png", "empty/notes.txt")
    with pytest.raises(VideoError, match=name):
        sources.find(tmp_path / name)


@pytest.mark.parametrize("kind", ["file", "folder", "picture"])
def test_links_out_of_the_folder_are_not_followed(kind, tmp_path):
    touch(tmp_path, "elsewhere/secret.mp4", "elsewhere/1.png", "clips/a.mp4", "clips/frames/0.png")
    link, target = {
        "file": ("link.mp4", "secret.mp4"),
        "folder": ("link", "."),
        "picture": ("frames/1.png", "1.png"),
    }[kind]
    (tmp_path / "clips" / link).symlink_to(tmp_path / "elsewhere" / target)
    with pytest.raises(VideoError, match="is a link that leads out of"):
        sources.find(tmp_path / "clips")


def test_links_within_the_folder_are(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    assert len(sources.find(tmp_path)) == 2


@pytest.mark.parametrize("change", ["content", "time", "new", "renamed", "gone"])
def test_any_change_gives_another_fingerprint(change, tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "frames/1.png", "frames/2.png")
    before = sources.fingerprint(sources.find(tmp_path))
    assert sources.fingerprint(sources.find(tmp_path)) == before
    file = tmp_path / "frames" / "2.png"
    if change == "content":
        times = file.stat().st_atime_ns, file.stat().st_mtime_ns
        file.write_bytes(b"xy")
        os.utime(file, ns=times)
    elif change == "time":
        os.utime(file, ns=(0, 1))
    elif change == "new":
        touch(tmp_path, "c.mp4")
    elif change == "renamed":
        file.rename(tmp_path / "frames" / "3.png")
    else:
        file.unlink()
    assert sources.fingerprint(sources.find(tmp_path)) != before


@pytest.mark.parametrize(
    ("names", "places"),
    [
        ("1 2 3 4", ()),
        ("1 2 5 6", (0, 1, 4, 5)),
        ("f008 f009 f011 f012", (0, 1, 3, 4)),
        # A numbering in steps of five has a gap where it leaves one out.
        ("5 10 15 20", ()),
        ("5 10 20 25", (0, 1, 3, 4)),
        # What varies is the number, wherever it stands.
        ("cam2_1_640x480 cam2_2_640x480 cam2_4_640x480", (0, 1, 3)),
        # A date and a time count nothing, nor do numbers at uneven steps, or one that is in no name but one.
        ("20240101_1 20240102_2 20240104_9", ()),
        ("100 103 109 131", ()),
        ("1 2 3 cover", ()),
        ("1 2 3 3000", ()),
        ("1 2 3 50 51 52", ()),
    ],
)
def test_gaps_in_numbers_are_missing_frames(names, places, tmp_path, capsys):
    touch(tmp_path, *(f"{name}.png" for name in names.split()))
    (source,) = sources.find(tmp_path)
    assert source.places == places
    said = capsys.readouterr().err
    missing = places[-1] + 1 - len(places) if places else 0
    assert (f"{missing} frame" in said and "missing there" in said) == bool(places)
    assert ("too long, or too uneven" in said) == (
        names in ("100 103 109 131", "1 2 3 3000", "1 2 3 50 51 52")
    )


def test_a_file_that_tests_is_found_beside_the_one_to_learn_from(tmp_path):
    touch(tmp_path, "my.npz", "my_test.h5", "other.npz", "other_test.npz", "other_test.npy", "my_test.mp4")
    assert [source.name for source in sources.test_of(tmp_path / "my.npz")] == ["my_test.h5"]
    assert [source.name for source in sources.test_of(tmp_path / "other.npz")] == ["other_test.npz"]
    assert sources.test_of(tmp_path / "my_test.h5") == sources.test_of(tmp_path / "none.npz") == []
    assert sources.test_of(tmp_path) == sources.test_of(tmp_path / "my_test.mp4") == []


def test_a_folder_may_hold_both(tmp_path):
    touch(tmp_path, "a.npz", "a_test.h5", "b.npz", "c_test.npz", "b_test.mp4")
    found = sources.of_test(sources.find(tmp_path))
    assert found == {"a.npz": "train", "a_test.h5": "test"}
