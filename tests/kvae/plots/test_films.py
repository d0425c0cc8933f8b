"""Films and strips: sizes, what stands where, and files that are whole or not there."""

import io
import warnings

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from kvae.plots import films


def moving_dot(num_sequences=2, num_steps=6, height=8, width=8):
    """Frames with one white pixel, at step t in column t of row n."""
    frames = np.zeros((num_sequences, num_steps, height, width), np.float32)
    for n in range(num_sequences):
        for t in range(num_steps):
            frames[n, t, n % height, t % width] = 1
    return frames


def count(image, colour):
    return int((image == np.array(colour, np.uint8)).all(-1).sum())


def border_cells(image, cell):
    """How many cells of side `cell` have a border, going by the area of a border's colour."""
    side = cell + 2 * films._BORDER
    legend = 121 - 25  # a square of 11 pixels, its inside of 5
    area = count(image, films.HIDDEN_COLOUR)
    cells, rest = divmod(max(area - legend, 0), side**2 - cell**2)
    assert rest == 0
    return cells


@pytest.mark.parametrize("num_sequences", [1, 3])
@pytest.mark.parametrize("sides", [(4, 4), (1, 1), (8, 24), (33, 7)])
@pytest.mark.parametrize("scale", [None, 1, 3])
def test_film_has_even_sides(num_sequences, sides, scale):
    rows = {
        "truth": np.ones((num_sequences, 1, *sides)),
        "smoothing": np.zeros((num_sequences, 1, *sides)),
    }
    film = films.film(rows, scale=scale)
    assert film.dtype == np.uint8
    assert film.shape[0] == 1
    assert film.shape[3] == 3
    assert film.shape[1] % 2 == 0
    assert film.shape[2] % 2 == 0
    # The black cells are there in full, beside whatever black the text has.
    size = scale or max(1, round(96 / max(sides)))
    assert count(film[0], (0, 0, 0)) >= num_sequences * sides[0] * sides[1] * size**2


def test_film_shows_every_pixel_of_every_cell_in_its_place():
    rng = np.random.default_rng(0)
    rows = {"truth": rng.random((2, 3, 5, 4)), "generation": rng.random((2, 3, 5, 4))}
    scale = 4
    film = films.film(rows, scale=scale)
    layout = films._lay_out(["truth", "generation", "t = 3"], 2, 2, (20, 16), None)
    assert film.shape[1:] == layout.canvas.shape
    for row, frames in enumerate(rows.values()):
        for column in range(2):
            top, left = layout.tops[row], layout.lefts[column]
            cell = film[:, top : top + 20, left : left + 16]
            # Nearest neighbour: each pixel is a block of one grey.
            expected = np.kron(np.rint(255 * frames[column]), np.ones((1, scale, scale)))
            np.testing.assert_array_equal(cell, np.repeat(expected[..., None], 3, -1))


def test_rows_in_colour_stand_beside_grey_ones():
    rng = np.random.default_rng(0)
    colour, grey = rng.random((2, 3, 5, 4, 3)), rng.random((2, 3, 5, 4))
    mixed = films.film({"truth": colour, "grey": grey}, scale=4)
    alike = films.film({"truth": colour, "grey": np.repeat(grey[..., None], 3, axis=-1)}, scale=4)
    np.testing.assert_array_equal(mixed, alike)
    expected = np.rint(255 * colour[0, 1]).astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    strip = films.strip({"truth": colour[0], "grey": grey[0]}, scale=4)
    for picture in (mixed[1], strip):
        views = np.lib.stride_tricks.sliding_window_view(picture, expected.shape)
        assert (views == expected).all(axis=(-3, -2, -1)).any()


def test_film_counts_steps_and_else_stands_still():
    film = films.film({"truth": np.zeros((1, 12, 4, 4))})
    changed = (film != film[:1]).any(axis=(1, 2, 3))
    assert changed[1:].all()
    # Only the counter, in the lower left corner, may differ.
    moving = (film != film[:1]).any(axis=(0, 3))
    rows, columns = np.nonzero(moving)
    assert rows.min() > film.shape[1] - 30
    assert columns.max() < film.shape[2] - 96


def test_film_clips_and_marks_what_is_not_a_number():
    frames = np.array([[-3.0, 7.0], [np.nan, 0.5]])[None, None]
    film = films.film({"generation": frames}, scale=30)
    assert count(film[0], films.NAN_COLOUR) == 900
    assert count(film[0], (0, 0, 0)) >= 900
    assert count(film[0], (128, 128, 128)) >= 900


def test_hidden_steps_have_a_border_in_all_rows_but_the_first():
    frames = moving_dot()
    observed = np.ones((2, 6))
    observed[0, 2:4] = 0
    observed[1, 3] = 0
    rows = {"truth": frames, "smoothing": frames, "filtering": frames}
    film = films.film(rows, observed, scale=4)
    cells = [border_cells(image, 32) for image in film]
    assert cells == [0, 0, 2, 4, 0, 0]
    # The first row stands above the borders of the second.
    first_row = film[:, : films._MARGIN + 32]
    assert count(first_row, films.HIDDEN_COLOUR) == 0


def test_nothing_is_bordered_when_all_is_observed():
    frames = moving_dot()
    rows = {"truth": frames, "smoothing": frames}
    for observed in (None, np.ones((2, 6)), np.ones((2, 6), bool), np.ones((2, 9))):
        assert count(films.film(rows, observed), films.HIDDEN_COLOUR) == 0
        mask = None if observed is None else observed[0]
        strip = films.strip({label: row[0] for label, row in rows.items()}, mask)
        assert count(strip, films.HIDDEN_COLOUR) == 0


def test_rows_that_have_ended_are_blank_and_steps_after_the_mask_are_hidden():
    rows = {"truth": moving_dot(num_steps=3), "generation": moving_dot(num_steps=5)}
    film = films.film(rows, np.ones((2, 3)), scale=4)
    assert len(film) == 5
    assert [border_cells(image, 32) for image in film] == [0, 0, 0, 2, 2]
    # Antialiased text may have a few pixels of that very grey.
    blank = [count(image, films.BLANK_COLOUR) // 32**2 for image in film]
    assert blank == [0, 0, 0, 2, 2]


@pytest.mark.parametrize("sides", [(4, 4), (8, 24)])
def test_strip_has_a_column_per_step(sides):
    height, width = sides
    frames = np.zeros((5, *sides))
    observed = np.array([1, 0, 0, 1])
    rows = {"truth": frames[:3], "smoothing": frames}
    strip = films.strip(rows, observed, scale=3)
    assert strip.dtype == np.uint8
    assert strip.shape[0] % 2 == 0
    assert strip.shape[1] % 2 == 0
    cell = (3 * height, 3 * width)
    layout = films._lay_out(["truth", "smoothing", "t"], 2, 5, cell, 1)
    assert strip.shape == layout.canvas.shape
    for row, steps in enumerate((3, 5)):
        for step in range(5):
            top, left = layout.tops[row], layout.lefts[step]
            inside = strip[top : top + cell[0], left : left + cell[1]]
            assert (inside == (0 if step < steps else films.BLANK_COLOUR)).all()
            beside = strip[top : top + cell[0], left - films._BORDER : left]
            bordered = row == 1 and step in (1, 2, 4)
            assert (beside == films.HIDDEN_COLOUR).all() == bordered


def test_strip_of_a_single_small_frame():
    strip = films.strip({"truth": np.ones((1, 1, 1))})
    assert strip.shape[2] == 3
    assert strip.size


@pytest.mark.parametrize("num_steps", [1, 7])
def test_mp4_can_be_read_back(tmp_path, num_steps):
    frames = np.zeros((2, num_steps, 4, 6))
    frames[1] = 1
    film = films.film({"truth": frames, "smoothing": frames}, np.zeros((2, num_steps)))
    path = tmp_path / "films" / "epoch 3.mp4"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        films.write_mp4(path, film, fps=5)
    assert [file.name for file in path.parent.iterdir()] == ["epoch 3.mp4"]

    with imageio.get_reader(path) as reader:
        metadata = reader.get_meta_data()
    images = np.stack(imageio.mimread(path))
    assert metadata["codec"] == "h264"
    assert metadata["pix_fmt"].startswith("yuv420p")
    assert metadata["fps"] == 5
    assert images.shape == film.shape
    # White, black and orange stay what they were; text and edges lose a little.
    error = np.abs(images.astype(int) - film)
    assert error.mean() < 3
    white = (film == 255).all(-1)
    assert images[white].mean() > 250
    black = (film == 0).all(-1)
    assert images[black].mean() < 5


def test_mp4_replaces_an_older_film(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    films.write_mp4(str(path), np.zeros((2, 16, 18, 3), np.uint8))
    assert len(imageio.mimread(path)) == 2


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(films.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        films.write_mp4(path, np.zeros((2, 16, 16, 3), np.uint8))
    with pytest.raises(OSError, match="disk full"):
        films.write_png(tmp_path / "a.png", np.zeros((16, 16, 3), np.uint8))
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


def test_gif_plays_every_frame_for_ever_in_true_colours():
    frames = moving_dot()
    # A ramp of greys: more colours than a palette has room for beside the border's.
    frames[0] = np.linspace(0, 1, 64).reshape(8, 8)
    film = films.film({"truth": frames, "smoothing": frames}, np.zeros((2, 6)))
    data = films.encode_gif(film, fps=5)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 6
        assert image.info["loop"] == 0
        assert image.info["duration"] == 200
        decoded = []
        for t in range(6):
            image.seek(t)
            decoded.append(np.asarray(image.convert("RGB")))
    assert np.abs(np.stack(decoded).astype(int) - film).max() <= 12


def test_gif_of_one_frame():
    film = films.film({"truth": np.ones((1, 1, 4, 4))})
    with Image.open(io.BytesIO(films.encode_gif(film))) as image:
        assert image.size == (film.shape[2], film.shape[1])


def test_png_is_the_picture(tmp_path):
    image = films.strip({"truth": moving_dot()[0]})
    path = tmp_path / "plots" / "strip.png"
    films.write_png(path, image)
    np.testing.assert_array_equal(imageio.imread(path), image)
    assert [file.name for file in path.parent.iterdir()] == ["strip.png"]


FRAMES = np.zeros((2, 3, 4, 4))


@pytest.mark.parametrize(
    ("rows", "observed", "scale", "message"),
    [
        ({}, None, None, "no rows"),
        ({"truth": FRAMES[0]}, None, None, r"'truth' with shape \(3, 4, 4\)"),
        ({"truth": FRAMES[:, :0]}, None, None, r"shape \(2, 0, 4, 4\)"),
        ({"truth": FRAMES, "b": FRAMES[:1]}, None, None, "'truth' with 2, 'b' with 1"),
        ({"truth": FRAMES, "b": FRAMES[..., :3]}, None, None, r"'b' with \(4, 3\)"),
        ({"truth": np.full((1, 1, 4, 4), 255, np.uint8)}, None, None, "uint8 up to 255"),
        ({"truth": FRAMES}, np.ones(3), None, r"shape \(3,\)"),
        ({"truth": FRAMES}, np.ones((3, 3)), None, r"N = 2. Received: shape \(3, 3\)"),
        ({"truth": FRAMES}, None, 0, "Received: 0"),
        ({"truth": FRAMES}, None, 1.5, "Received: 1.5"),
    ],
)
def test_film_says_what_does_not_fit(rows, observed, scale, message):
    with pytest.raises(ValueError, match=message):
        films.film(rows, observed, scale)


@pytest.mark.parametrize(
    ("rows", "observed", "message"),
    [
        ({"truth": FRAMES}, None, r"\[T, H, W\].*shape \(2, 3, 4, 4\)"),
        ({"truth": FRAMES[0]}, np.ones((2, 3)), r"\[T_mask\].*shape \(2, 3\)"),
    ],
)
def test_strip_says_what_does_not_fit(rows, observed, message):
    with pytest.raises(ValueError, match=message):
        films.strip(rows, observed)


@pytest.mark.parametrize(
    ("name", "film", "fps", "message"),
    [
        ("a.mp4", np.zeros((2, 16, 15, 3), np.uint8), 10, "16 x 15"),
        ("a.mp4", np.zeros((16, 16, 3), np.uint8), 10, r"shape \(16, 16, 3\)"),
        ("a.mp4", np.zeros((0, 16, 16, 3), np.uint8), 10, r"shape \(0, 16, 16, 3\)"),
        ("a.mp4", np.zeros((2, 16, 16, 3)), 10, "float64"),
        ("a.mp4", np.zeros((2, 16, 16, 3), np.uint8), 0, "fps"),
        ("a.avi", np.zeros((2, 16, 16, 3), np.uint8), 10, r"a\.avi"),
    ],
)
def test_write_mp4_says_what_does_not_fit(tmp_path, name, film, fps, message):
    with pytest.raises(ValueError, match=message):
        films.write_mp4(tmp_path / name, film, fps)
    assert not list(tmp_path.iterdir())


def test_pictures_of_other_types_are_refused(tmp_path):
    with pytest.raises(ValueError, match="float64"):
        films.encode_gif(np.zeros((2, 16, 16, 3)))
    with pytest.raises(ValueError, match=r"shape \(4, 4\)"):
        films.write_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8))


def test_rows_that_saw_everything_have_no_border():
    rows = {label: np.zeros((1, 2, 8, 8)) for label in ("truth", "reconstruction", "smoothing")}
    observed = np.array([[1, 0]])

    def coloured_rows(picture):
        is_border = (picture == films.HIDDEN_COLOUR).all(axis=-1)
        # The legend's box is narrower than a cell.
        return int((np.diff((is_border.sum(axis=1) > 20).astype(int)) == 1).sum())

    for complete, bordered in ((None, 2), (("truth", "reconstruction"), 1), ((), 3)):
        film = films.film(rows, observed, complete=complete)
        # A cell's border has an upper and a lower edge.
        assert coloured_rows(film[1]) == 2 * bordered
        assert coloured_rows(film[0]) == 0
        first = {label: frames[0] for label, frames in rows.items()}
        assert coloured_rows(films.strip(first, observed[0], complete=complete)) == 2 * bordered


def test_a_row_has_a_border_where_that_row_did_not_see_the_frame():
    frames = moving_dot()
    rows = {"truth": frames, "smoothing": frames, "generation": frames}
    gap, first = np.ones((2, 6)), np.ones((2, 6))
    gap[:, 2:4], first[:, 2:] = 0, 0
    film = films.film(rows, {"smoothing": gap, "generation": first}, scale=4)
    assert [border_cells(image, 32) for image in film] == [0, 0, 4, 4, 2, 2]
    strip = films.strip(
        {label: row[0] for label, row in rows.items()}, {"smoothing": gap[0], "generation": first[0]}, scale=4
    )
    assert border_cells(strip, 32) == 2 + 4
    there = np.ones((2, 6))
    there[0, 5] = 0
    film = films.film(rows, {"smoothing": gap, "generation": first}, scale=4, there=there)
    assert [border_cells(image, 32) for image in film] == [0, 0, 4, 4, 2, 4]


def test_rows_that_decode_what_was_seen_say_so():
    def dark(label):
        picture = films.strip({"truth": np.zeros((2, 8, 8)), label: np.zeros((2, 8, 8))}, scale=8)
        return int((picture[: films._MARGIN + 2 * 80, :] == films._NOTE).all(axis=-1).sum())

    assert dark("smoothing") > 0
    assert dark("generation") > 0
    assert dark("sampling") == dark("model sees") == 0
