import numpy as np
import pytest

from kvae.config import Config
from kvae.errors import TrainingError
from kvae.models.kvae import KVAE
from kvae.training.health import check_bound, check_step, check_weights
from kvae.training.progress import Progress
from tests.kvae.training.small import TINY


def test_a_step_that_breaks_is_told_with_its_sequences():
    progress, order = Progress(epoch=2, batch=1), np.array([7, 3, 9, 1, 5, 8, 2])
    good = {"total": -3.0, "log_px": -2.0, "gradient_norm": 1.0}
    check_step(good, progress, order, 3)
    with pytest.raises(TrainingError) as error:
        check_step(good | {"log_px": np.nan, "gradient_norm": np.inf}, progress, order, 3)
    told = str(error.value)
    # Seven sequences in batches of three are three steps an epoch.
    assert "in step 8 (batch 2 of epoch 3)" in told
    assert "as elbo/log_px is nan, optimizer/gradient_norm is inf." in told
    assert "the sequences 1, 5, 8." in told
    assert "--init_lr" in told


@pytest.mark.parametrize("total", [np.nan, np.inf, -np.inf])
def test_a_bound_that_is_no_number_is_told(total):
    check_bound("test", -1e30, 4)
    with pytest.raises(TrainingError, match=f"The test bound became {total} in epoch 4: .*--max_grad_norm"):
        check_bound("test", total, 4)


def test_weights_that_are_no_numbers_are_told():
    model = KVAE(Config(**TINY))
    model.build((None, None, 8, 8))
    check_weights(model, 1)
    model.lgssm.C.assign(model.lgssm.C * np.nan)
    with pytest.raises(TrainingError, match="lgssm/C is not finite any more in epoch 6"):
        check_weights(model, 6)
    # As another reads them.
    check_weights(model, 6, lambda variable: np.zeros(variable.shape))
