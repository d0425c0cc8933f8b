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
