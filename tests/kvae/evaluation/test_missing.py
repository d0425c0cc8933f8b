"""Frames that nobody has: hidden in every evaluation, never judged, never looked at."""

import numpy as np
import pytest

from kvae import evaluation
from kvae.config import Config
from kvae.data import masks
from kvae.data.dataset import Dataset
from kvae.evaluation.imputation import can_be_judged, careless_guess
from kvae.models.rivals import RecurrentAutoencoder
from tests.kvae.evaluation.small import tiny, videos

OWN = masks.random_mask(3, 8, 0, 0.3, seed=3)
OWN[:, 1] = [1, 0, 1]
OWN[1, 0] = 1
ASKED = masks.planning_mask(3, 8, 2, 3)


@pytest.fixture(scope="module")
def model():
    return tiny(batch_size=2, dim_u=1)


def dataset_with(junk):
    """Return the same sequences, with other junk where frames are missing."""
    whole = videos(3, dim_u=1)
    images = np.where(OWN[..., None, None] > 0, whole.images / np.float32(255), np.float32(junk))
    return Dataset(images, whole.controls, None, OWN)


def numbers_of(model, dataset):
    errors = evaluation.imputation_errors(model, dataset, [ASKED])[0]
    bound = evaluation.test_bound(model, dataset)
    return [*bound.values(), *(number for error in errors.values() for number in error)]


def test_whatever_stands_in_a_missing_frame_the_numbers_are_the_same(model):
    expected = numbers_of(model, dataset_with(0))
    assert np.isfinite(expected).all()
    for junk in (0.7, 1e20, np.nan, np.inf):
        np.testing.assert_array_equal(numbers_of(model, dataset_with(junk)), expected)
    # Which frames are missing does matter.
    assert not np.allclose(numbers_of(model, dataset_with(0)._replace(mask=None)), expected)


def test_a_missing_frame_is_hidden_and_not_judged(model):
    dataset = dataset_with(0)
    assert can_be_judged(model, dataset).all()
    errors = evaluation.imputation_errors(model, dataset, [ASKED])[0]
    seen, judged = OWN * ASKED, (OWN > 0) & (ASKED == 0)
    found = {
        "smoothing": model.smooth(dataset.images, seen, dataset.controls),
        "filtering": model.filter(dataset.images, seen, dataset.controls),
        "generation": model.generate(dataset.images, 8, controls=dataset.controls, mask=OWN),
    }
    for method, decoded in found.items():
        wrong = ((decoded.images.numpy() > 0.5) != (dataset.images > 0.5))[judged].mean()
        assert errors[method].wrong_pixels == pytest.approx(wrong, rel=1e-5)


def test_the_bound_is_per_frame_that_is_there(model):
    dataset = dataset_with(0)
    bound = evaluation.test_bound(model, dataset)
    log_px = model.elbo(dataset.images, dataset.mask, dataset.controls, seed=0).num_observed
    assert float(log_px) == OWN.sum()
    assert np.isfinite(bound["total"])


def test_a_sequence_without_its_first_frames_is_not_judged(model):
    own = np.ones([3, 8], np.float32)
    own[1, :2] = 0
    dataset = dataset_with(0)._replace(mask=own)
    assert can_be_judged(model, dataset).tolist() == [True, False, True]
    found = evaluation.imputation_errors(model, dataset, [ASKED])[0]
    others = Dataset(*(array[[0, 2]] for array in dataset[:2]))
    expected = evaluation.imputation_errors(model, others, [ASKED[:2]])[0]
    for method in found:
        assert found[method] == pytest.approx(expected[method], rel=1e-5)
    own[:, :2] = 0
    nothing = evaluation.imputation_errors(model, dataset._replace(mask=own), [ASKED])[0]
    assert np.isnan(nothing["smoothing"].wrong_pixels)


def test_a_rival_generates_from_the_first_frames_that_are_there():
    options = {"num_filters": (4,), "alpha_units": 4, "precision": "float32", "t_init_mask": 2}
    rival = RecurrentAutoencoder(Config(model="vae_rnn", **options))
    dataset = dataset_with(0)
    images = np.where(OWN[..., None, None] > 0, dataset.images, np.float32(0.9))
    one, other = (rival.generate(frames, 8, mask=OWN).images for frames in (dataset.images, images))
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, rival.generate(dataset.images, 8).images)


def test_the_careless_guess_compares_frames_that_are_there():
    images = np.zeros([2, 16, 4, 4], np.uint8)
    images[0, 9] = 255
    images[1, 12, :2] = 255
    mask = np.ones([2, 16], np.float32)
    assert careless_guess(images) == careless_guess(images, mask) == pytest.approx(0.75)
    mask[0, 9] = 0
    assert careless_guess(images, mask) == pytest.approx(0.25)
    mask[1, [0, 3, 6]] = 0
    assert careless_guess(images, mask) == 0
    assert careless_guess(images, np.zeros([2, 16])) is None
