import numpy as np
import pytest
import tensorflow as tf

from kvae import evaluation
from kvae.config import Config
from kvae.data import masks
from kvae.evaluation import imputation
from kvae.models import draws
from tests.kvae.evaluation.small import tiny, videos

METHODS = ("smoothing", "filtering", "generation")


def naive_errors(model, dataset, mask):
    """Go through sequences, hidden frames and pixels one by one, with the model's public functions."""
    wrong, num_pixels = dict.fromkeys(METHODS, 0), 0
    squares, true_codes = {method: [] for method in METHODS}, []
    num_sequences, num_steps, height, width = dataset.images.shape
    for n in range(num_sequences):
        images = dataset.images[n : n + 1]
        controls = dataset.controls[n : n + 1] if dataset.controls.shape[-1] else None
        observed = np.float32(mask[n : n + 1])
        found = {
            "smoothing": model.smooth(images, observed, controls),
            "filtering": model.filter(images, observed, controls),
            "generation": model.generate(images, num_steps, controls=controls),
        }
        encoded = model.reconstruct(images).codes.numpy()[0]
        for t in range(num_steps):
            if mask[n, t]:
                continue
            true_codes.extend(encoded[t])
            num_pixels += height * width
            for method, decoded in found.items():
                squares[method].extend((decoded.codes.numpy()[0, t] - encoded[t]) ** 2)
                guess = decoded.images.numpy()[0, t]
                for y in range(height):
                    for x in range(width):
                        wrong[method] += bool(guess[y, x] > 0.5) != bool(images[0, t, y, x] > 127)
    return {
        method: (wrong[method] / num_pixels, np.sqrt(np.mean(squares[method])) / np.std(true_codes))
        for method in METHODS
    }


@pytest.mark.parametrize(
    ("options", "dim_u"),
    [({}, 0), ({"dim_u": 2, "out_distr": "gaussian", "alpha_rnn": False, "t_init_mask": 1}, 2)],
)
def test_imputation_is_judged_as_the_definition_says(options, dim_u):
    # Three sequences in batches of two: the last one is not full.
    model, dataset = tiny(batch_size=2, **options), videos(3, dim_u=dim_u)
    given = model.config.t_init_mask
    observed = [masks.planning_mask(3, 8, given, 4), masks.random_mask(3, 8, given, 0.5, 0)]
    found = evaluation.imputation_errors(model, dataset, observed)
    assert len(found) == 2
    seen = set()
    for mask, errors in zip(observed, found, strict=True):
        expected = naive_errors(model, dataset, mask)
        assert tuple(errors) == METHODS
        for method, error in errors.items():
            assert error == pytest.approx(expected[method], rel=1e-4)
            seen.add(round(error.wrong_pixels, 6))
    # The comparison means something: methods or masks differ, and pixels are right and wrong.
    assert len(seen) > 3
    assert 0 < min(seen) < max(seen) < 1


def test_sampling_is_judged_by_the_mean_of_its_draws():
    model, dataset = tiny(batch_size=2, num_paths=2000), videos(3)
    mask = masks.planning_mask(3, 8, 2, 4)
    errors = evaluation.imputation_errors(model, dataset, [mask], ("sampling",))[0]
    assert tuple(errors) == ("sampling",)
    imputed = model.impute(dataset.images, mask)
    hidden = mask == 0
    wrong = ((imputed.images.numpy() > 0.5) != (dataset.images > 127))[hidden].mean()
    encoded = model.reconstruct(dataset.images).codes.numpy()[hidden]
    rmse = np.sqrt(((imputed.codes.numpy()[hidden] - encoded) ** 2).mean()) / encoded.std()
    # Other draws, but many.
    assert errors["sampling"].wrong_pixels == pytest.approx(wrong, abs=0.03)
    assert errors["sampling"].normalised_rmse == pytest.approx(rmse, rel=0.1)


def test_draws_that_differ_by_less_than_the_noise_of_a_code_are_decoded_once():
    model = tiny()
    noise = model.code_noise.numpy()
    np.testing.assert_allclose(noise, np.sqrt(np.diag(model.lgssm.R)))
    deviations = np.random.default_rng(0).choice([-1, 1], [6, 5, 2]) * noise
    # As many on each side, so that this is how far they deviate.
    deviations[3:] = -deviations[:3]
    far = np.array([False, True, False, True, False])
    codes = tf.constant(np.where(far[:, None], 1.5, 0.9) * deviations, tf.float32)
    found = imputation.decode_agreeing(model, codes).numpy()
    each, once = draws.decode_mean(model, codes[None])[0], model.decode(0 * codes[None, 0]).mean()[0]
    assert np.abs(each - once).max(axis=(1, 2)).min() > 1e-6
    for chosen, expected in ((far, each), (~far, once)):
        np.testing.assert_allclose(found[chosen], expected[chosen], atol=1e-7)
    one = imputation.decode_agreeing(model, codes[:1])
    np.testing.assert_allclose(one, model.decode(codes[:1]).mean()[0], atol=1e-7)


def test_where_nothing_is_hidden_there_is_nothing_to_say():
    model, dataset = tiny(batch_size=2), videos(3)
    first_alone = masks.planning_mask(3, 8, 2, 3)
    # Hidden frames in the first batch alone.
    first_alone[2:] = 1
    nothing, some = evaluation.imputation_errors(model, dataset, [np.ones([3, 8], np.float32), first_alone])
    for method in METHODS:
        assert np.isnan(nothing[method]).all()
        assert some[method] == pytest.approx(naive_errors(model, dataset, first_alone)[method], rel=1e-4)
    assert evaluation.imputation_errors(model, dataset, []) == []


def test_after_the_last_observed_frame_smoothing_is_filtering():
    model, dataset = tiny(batch_size=4), videos(4)
    curve = evaluation.random_curve(model, dataset)
    assert [point.x for point in curve[::3]] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert [point.method for point in curve[:3]] == ["smoothing", "filtering", "generation"]
    errors = {(point.x, point.method): point.error for point in curve}
    assert errors[1.0, "smoothing"] == pytest.approx(errors[1.0, "filtering"], rel=1e-5)
    # In the middle of a gap it is not.
    assert errors[0.5, "smoothing"] != pytest.approx(errors[0.5, "filtering"], rel=1e-3)


def test_the_curves_hide_what_they_say(monkeypatch):
    asked = []

    def remember(model, dataset, observed, methods):
        asked.extend(observed)
        error = evaluation.ImputationError(0.0, 0.0)
        return [dict.fromkeys(METHODS, error) for _ in observed]

    monkeypatch.setattr(imputation, "imputation_errors", remember)

    class Model:
        config = Config(t_init_mask=4)

    dataset = videos(50, 20)
    curve = evaluation.planning_curve(Model, dataset)
    assert [point.x for point in curve[::3]] == [1, 3, 5, 7, 9, 11, 13, 15]
    for mask, hidden in zip(asked, [1, 3, 5, 7, 9, 11, 13, 15], strict=True):
        row = [1] * 4 + [0] * hidden + [1] * (16 - hidden)
        np.testing.assert_array_equal(mask, [row] * 50)
    asked.clear()
    evaluation.random_curve(Model, dataset, seed=3)
    for mask, probability in zip(asked, np.arange(1, 11) / 10, strict=True):
        assert (mask[:, :4] == 1).all()
        assert 1 - mask[:, 4:].mean() == pytest.approx(probability, abs=0.08)
    # Every probability has draws of its own, and a seed makes them again.
    assert ((asked[4] == 0) & (asked[5] == 1)).any()
    before = list(asked)
    asked.clear()
    evaluation.random_curve(Model, dataset, seed=3)
    np.testing.assert_array_equal(asked, before)
    asked.clear()
    evaluation.random_curve(Model, dataset)
    assert (asked[4] != before[4]).any()


@pytest.mark.parametrize(("num_steps", "xs"), [(1, []), (5, []), (6, [1]), (7, [1]), (8, [1, 3])])
def test_short_sequences_have_short_curves(num_steps, xs, monkeypatch):
    error = evaluation.ImputationError(0.0, 0.0)
    monkeypatch.setattr(
        imputation,
        "imputation_errors",
        lambda model, dataset, observed, methods: [dict.fromkeys(METHODS, error) for _ in observed],
    )

    class Model:
        config = Config(t_init_mask=4)

    curve = evaluation.planning_curve(Model, videos(2, num_steps))
    assert [point.x for point in curve[::3]] == xs


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_careless_guess_is_the_largest_distance(kind):
    rng = np.random.default_rng(0)
    images = rng.random([3, 17, 4, 5])
    expected = []
    for video in images:
        distances = []
        for i in (0, 3, 6):
            for j in (9, 12, 15):
                distances.append(np.mean((video[i] > 0.5) != (video[j] > 0.5)))
        expected.append(max(distances))
    images = np.round(255 * images).astype(np.uint8) if kind == "uint8" else images.astype(np.float32)
    assert evaluation.careless_guess(images) == pytest.approx(np.mean(expected), abs=1e-12)
    # In colour it is of every value of a pixel.
    colour = np.repeat(images[..., None], 3, axis=-1)
    assert evaluation.careless_guess(colour) == pytest.approx(np.mean(expected), abs=1e-12)


def test_a_careless_guess_sees_dark_balls_as_the_model_does():
    images = np.zeros([1, 16, 4, 4], np.uint8)
    images[:, 15, :, :2] = 76
    assert evaluation.careless_guess(images) == 0
    assert evaluation.careless_guess(images, is_binary=True) == 0.5


def test_of_grey_targets_a_pixel_is_white_above_half():
    model, dataset = tiny(grey_targets=True), videos(3)
    # Faint where it was black: of a binary model all of it would be white.
    faint = dataset._replace(images=np.maximum(dataset.images, 40))
    observed = masks.planning_mask(3, 8, model.config.t_init_mask, 4)
    (found,) = evaluation.imputation_errors(
        model, faint, [observed], ("smoothing", "filtering", "generation")
    )
    expected = naive_errors(model, faint, observed)
    for method, (wrong_pixels, _) in expected.items():
        assert found[method].wrong_pixels == pytest.approx(wrong_pixels, abs=1e-9)


def test_a_careless_guess_needs_sixteen_frames():
    assert evaluation.careless_guess(np.zeros([2, 15, 4, 4], np.uint8)) is None
    assert evaluation.careless_guess(np.zeros([2, 16, 4, 4], np.uint8)) == 0.0
    images = np.zeros([1, 16, 4, 4], np.uint8)
    images[:, 15] = 255
    assert evaluation.careless_guess(images) == 1.0
