import numpy as np
import pytest

from kvae.config import Config
from kvae.data.dataset import Dataset
from kvae.errors import UserError
from kvae.models.fit import check_fit
from kvae.models.kvae import KVAE


@pytest.fixture(scope="module")
def model():
    model = KVAE(Config(num_filters=(4,), K=2, alpha_units=4, dim_u=2))
    model.build((None, None, 8, 16))
    return model


def sequences(height, width, dim_u):
    return Dataset(np.zeros([3, 5, height, width], np.uint8), np.zeros([3, 5, dim_u], np.float32), None)


@pytest.mark.parametrize("dim_u", [0, 2])
def test_what_fits(model, dim_u):
    check_fit(model, sequences(8, 16, dim_u))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((16, 8, 0), "built for frames of 8x16. Received: frames of 16x8.*--frame_size 8,16"),
        ((8, 16, 3), "takes 2 controls per step, but the data have 3.*--dim_u 3 or --use_controls False"),
    ],
)
def test_what_does_not_fit_is_told(model, data, message):
    with pytest.raises(UserError, match=message):
        check_fit(model, sequences(*data))
