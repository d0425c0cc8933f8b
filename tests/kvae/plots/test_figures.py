"""Plots of a model: what is drawn, at the smallest shapes too, and nothing left behind."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import same_color

from kvae.plots import canvas, figures
from kvae.plots.look import METHODS


def codes(num_sequences=2, num_steps=5, dim_a=2, seed=0):
    return np.random.default_rng(seed).normal(size=(num_sequences, num_steps, dim_a))


def weights(*shape):
    draw = np.random.default_rng(0).random(shape)
    return draw / draw.sum(-1, keepdims=True)


def legend_labels(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def assert_legend_covers_no_panel(figure):
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    for axes in figure.axes:
        assert not legend.overlaps(axes.get_window_extent())


@pytest.mark.parametrize("dim_a", [1, 2, 3, 9])
@pytest.mark.parametrize(("num_sequences", "num_panels"), [(1, 1), (3, 3), (6, 4)])
def test_code_trajectories_has_a_panel_per_sequence(dim_a, num_sequences, num_panels):
    figure = figures.code_trajectories(
        {
            "encoded": codes(num_sequences, 5, dim_a),
            "generated": codes(num_sequences, 9, dim_a, seed=1),
        },
        np.ones((num_sequences, 5)),
    )
    assert len(figure.axes) == num_panels
    labels = legend_labels(figure)
    assert {"encoded", "generated", "hidden step"} <= set(labels)
    assert_legend_covers_no_panel(figure)
    assert canvas.to_image(figure).std() > 0


def markers(axes):
    """Points drawn full and points drawn hollow, over all labels."""
    full, hollow = [], []
    for line in axes.lines:
        if line.get_marker() in (None, "None", "*"):
            continue
        into = hollow if line.get_markerfacecolor() == "white" else full
        into.extend(line.get_xydata())
    return np.reshape(full, (-1, 2)), np.reshape(hollow, (-1, 2))


def test_hidden_steps_in_the_plane_are_hollow_and_all_steps_are_drawn():
    path = codes(1, 6)
    observed = np.array([[1, 0, 1, 0]])
    figure = figures.code_trajectories({"smoothed": path}, observed)
    full, hollow = markers(figure.axes[0])
    np.testing.assert_array_equal(full, path[0, [0, 2]])
    np.testing.assert_array_equal(hollow, path[0, [1, 3, 4, 5]])
    star = next(line for line in figure.axes[0].lines if line.get_marker() == "*")
    np.testing.assert_array_equal(star.get_xydata()[0], path[0, 0])
    assert figure.axes[0].get_xlabel() == "code $a_1$"
    assert figure.axes[0].get_ylabel() == "code $a_2$"


@pytest.mark.parametrize("dim_a", [1, 2])
def test_no_step_is_marked_hidden_when_all_are_observed(dim_a):
    for observed in (None, np.ones((1, 6)), np.ones((1, 8), bool)):
        figure = figures.code_trajectories({"smoothed": codes(1, 6, dim_a)}, observed)
        assert "hidden step" not in legend_labels(figure)
        assert len(markers(figure.axes[0])[1]) == 0
        assert not figure.axes[0].patches


def test_codes_of_other_dimensions_are_drawn_over_time():
    paths = {"encoded": codes(1, 4, 3), "smoothed": codes(1, 6, 3, seed=1)}
    figure = figures.code_trajectories(paths, np.array([[1, 1, 0, 0, 1, 1]]))
    (axes,) = figure.axes
    assert len(axes.lines) == 6
    for line, (label, dimension) in zip(
        axes.lines, [(label, d) for label in paths for d in range(3)], strict=True
    ):
        path = paths[label][0, :, dimension]
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(path)) + 1)
        np.testing.assert_array_equal(line.get_ydata(), path)
        assert line.get_linestyle() == {"encoded": "-", "smoothed": "--"}[label]
    shaded = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert shaded == [(2.5, 3.5), (3.5, 4.5)]


@pytest.mark.parametrize("dim_a", [1, 2])
def test_a_single_step_is_seen(dim_a):
    blank = canvas.to_image(figures.code_trajectories({"smoothed": np.full((1, 1, dim_a), np.nan)}))
    image = canvas.to_image(figures.code_trajectories({"smoothed": np.zeros((1, 1, dim_a))}))
    blue = np.array([0x00, 0x72, 0xB2])
    near = [(np.abs(picture.astype(int) - blue).max(-1) < 8).sum() for picture in (blank, image)]
    assert near[1] > near[0]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (6, 4, 12)])
def test_alpha_over_time_stacks_the_weights(shape):
    alpha = weights(*shape)
    figure = figures.alpha_over_time(alpha)
    assert len(figure.axes) == min(shape[0], figures.MAX_PANELS)
    assert len(legend_labels(figure)) == shape[2]
    assert_legend_covers_no_panel(figure)
    for index, axes in enumerate(figure.axes):
        assert axes.get_ylim() == (0, 1)
        assert axes.get_xlim() == (0.5, shape[1] + 0.5)
        bottom = np.zeros(shape[1])
        for k, stairs in enumerate(axes.patches):
            data = stairs.get_data()
            np.testing.assert_allclose(data.baseline, bottom, atol=1e-12)
            np.testing.assert_allclose(data.values - data.baseline, alpha[index, :, k])
            bottom = data.values
        np.testing.assert_allclose(bottom, 1)


@pytest.mark.parametrize("num_mixtures", [1, 3, 6])
@pytest.mark.parametrize("num_codes", [None, 0, 1, 3000])
def test_alpha_plane_has_a_panel_per_weight(num_mixtures, num_codes):
    alpha = weights(6, 4, num_mixtures)
    points = None if num_codes is None else np.zeros((num_codes, 2))
    figure = figures.alpha_plane(np.linspace(-1, 1, 6), np.linspace(0, 9, 4), alpha, points)
    # The colour bar is the last.
    *panels, bar = figure.axes
    assert len(panels) == num_mixtures
    assert bar.get_ylabel() == "weight"
    for k, axes in enumerate(panels):
        mesh, *dots = axes.collections
        # Rows of a mesh run along the vertical axis.
        np.testing.assert_array_equal(mesh.get_array(), alpha[:, :, k].T)
        assert mesh.get_clim() == (0, 1)
        assert axes.get_xlim() == pytest.approx((-1.2, 1.2))
        assert axes.get_ylim() == pytest.approx((-1.5, 10.5))
        assert sum(len(dot.get_offsets()) for dot in dots) == (num_codes or 0)
    assert canvas.to_image(figure).std() > 0


def test_alpha_plane_of_a_single_point():
    figure = figures.alpha_plane([2.0], [3.0], np.ones((1, 1, 1)))
    assert figure.axes[0].get_xlim() == (1.5, 2.5)
    assert figure.axes[0].get_ylim() == (2.5, 3.5)


def names_at_ends(axes):
    """Name -> the height of its middle, in pixels."""
    axes.figure.canvas.draw()
    return {text.get_text(): text.get_window_extent() for text in axes.texts}


def test_imputation_curves_draws_references_dashed_in_the_colour_of_their_curve():
    x = np.array([1, 3, 5])
    figure = figures.imputation_curves(
        {"filtering": (x, 0.02 * x), "smoothing": (x, 0.01 * x)},
        "hidden steps",
        "Planning",
        references={"smoothing": (x, 0.03 * x), "AE-RNN": (x, 0.04 * x)},
        guess=0.25,
    )
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert not figure.legends
    for label, factor, linestyle in [
        ("smoothing", 0.01, "-"),
        ("filtering", 0.02, "-"),
        ("smoothing (reference)", 0.03, "--"),
        ("AE-RNN", 0.04, "--"),
    ]:
        np.testing.assert_array_equal(lines[label].get_xdata(), x)
        np.testing.assert_allclose(lines[label].get_ydata(), factor * x)
        assert lines[label].get_linestyle() == linestyle
    colours = {label: line.get_color() for label, line in lines.items()}
    assert same_color(colours["smoothing"], colours["smoothing (reference)"])
    assert same_color(colours["smoothing"], METHODS["smoothing"].colour)
    distinct = {colours[label] for label in ("smoothing", "filtering", "AE-RNN")}
    assert len(distinct) == 3
    np.testing.assert_allclose(lines["careless guess"].get_ydata(), 0.25)
    # Each name at the end of its line, in its order.
    ends = names_at_ends(axes)
    assert {*ends} == {*lines}
    heights = [ends[name].y0 for name in sorted(lines, key=lambda name: lines[name].get_ydata()[-1])]
    assert heights == sorted(heights)
    assert all(ends[name].x0 > axes.get_window_extent().x1 for name in ends)
    assert axes.get_xlabel() == "hidden steps"
    assert axes.get_title() == "Planning"
    assert axes.get_ylim()[0] == 0
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "3", "5"]
    assert axes.get_yticklabels()[1].get_text().endswith(" %")


def test_names_of_lines_that_end_together_do_not_overlap():
    curves = {name: ([1, 2], [0.01, 0.02 + i * 1e-5]) for i, name in enumerate("abcdef")}
    figure = figures.imputation_curves(curves, "x", "title", y_label="mean squared error")
    boxes = sorted(names_at_ends(figure.axes[0]).values(), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in itertools.pairwise(boxes))
    assert "%" not in figure.axes[0].get_yticklabels()[1].get_text()


def test_imputation_curves_of_one_point():
    figure = figures.imputation_curves({"smoothing": ([0.1], [0.02])}, "drop probability", "Random")
    assert [*names_at_ends(figure.axes[0])] == ["smoothing"]
    assert canvas.to_image(figure).std() > 0


def test_codes_lie_in_squares_with_the_truth_beneath():
    path = codes(2, 6) * [5.0, 0.1]
    figure = figures.code_trajectories({"smoothed": path, "encoded": path + 0.01})
    for axes in figure.axes:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        assert right - left == pytest.approx(high - low)
        beneath, *_ = axes.lines
        assert same_color(beneath.get_color(), METHODS["truth"].colour)
        assert beneath.get_linewidth() > 3
    assert legend_labels(figure)[0] == "encoded"


def test_steps_are_marked_above_alpha():
    marked = np.zeros((2, 5), bool)
    marked[1, 3] = True
    figure = figures.alpha_over_time(weights(2, 5, 9), marked=marked)
    steps = [line.get_xdata().tolist() for axes in figure.axes for line in axes.lines]
    assert steps == [[], [4]]
    # From the top of the stack to its bottom.
    assert legend_labels(figure)[0] == "bounce"
    assert legend_labels(figure)[-1] == r"$\alpha^{(1)}$"
    assert_legend_covers_no_panel(figure)


def test_pictures_need_neither_pyplot_nor_tensorflow():
    script = """
import sys, kvae.plots.films, kvae.plots.figures
print([name for name in ("matplotlib.pyplot", "tensorflow") if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(
    ("trajectories", "observed", "message"),
    [
        ({}, None, "Received: none"),
        ({"encoded": np.zeros((4, 2))}, None, r"\[N, T, dim_a\].*shape \(4, 2\)"),
        ({"encoded": codes(), "smoothed": codes(3)}, None, r"'smoothed' \(3, 5, 2\)"),
        ({"encoded": codes(), "smoothed": codes(dim_a=3)}, None, r"'smoothed' \(2, 5, 3\)"),
        ({"encoded": codes()}, np.ones(5), r"N = 2. Received: shape \(5,\)"),
        ({"encoded": codes()}, np.ones((1, 5)), r"N = 2. Received: shape \(1, 5\)"),
    ],
)
def test_code_trajectories_says_what_does_not_fit(trajectories, observed, message):
    with pytest.raises(ValueError, match=message):
        figures.code_trajectories(trajectories, observed)


@pytest.mark.parametrize("shape", [(5, 3), (1, 0, 3), (1, 1, 5, 3)])
def test_alpha_over_time_says_what_does_not_fit(shape):
    with pytest.raises(ValueError, match="Received: shape"):
        figures.alpha_over_time(np.ones(shape))


@pytest.mark.parametrize(
    ("axis_0", "axis_1", "alpha", "points", "message"),
    [
        ([0, 1], [0, 1, 2], np.ones((3, 2, 1)), None, r"\[2, 3, K\].*\(3, 2, 1\)"),
        ([0, 1], [[0, 1, 2]], np.ones((2, 3, 1)), None, r"axis_1.*shape \(1, 3\)"),
        ([1, 0], [0, 1, 2], np.ones((2, 3, 1)), None, "axis_0 must be increasing"),
        ([0, 1], [0, 1, 2], np.ones((2, 3)), None, r"alpha.*shape \(2, 3\)"),
        ([0, 1], [0, 1, 2], np.ones((2, 3, 1)), np.ones((4, 3)), r"codes.*shape \(4, 3\)"),
    ],
)
def test_alpha_plane_says_what_does_not_fit(axis_0, axis_1, alpha, points, message):
    with pytest.raises(ValueError, match=message):
        figures.alpha_plane(axis_0, axis_1, alpha, points)


@pytest.mark.parametrize(
    ("curves", "references", "message"),
    [
        ({}, None, "Received: none"),
        ({"smoothing": ([1, 2], [0.1])}, None, r"'smoothing' with shapes \(2,\) and \(1,\)"),
        ({"smoothing": (1, 0.1)}, None, r"shapes \(\) and \(\)"),
        ({"smoothing": [1, 2, 3]}, None, "'smoothing' with 3 values"),
        ({"smoothing": ([1], [0.1])}, {"paper": ([1], [])}, "'paper'"),
    ],
)
def test_imputation_curves_says_what_does_not_fit(curves, references, message):
    with pytest.raises(ValueError, match=message):
        figures.imputation_curves(curves, "x", "title", references)
