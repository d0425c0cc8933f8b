import numpy as np
import pytest

from kvae import evaluation
from kvae.models.outputs import Bound
from tests.kvae.evaluation.small import tiny, videos


def test_the_test_bound_is_that_of_the_whole_set():
    # Without draws the bound of five sequences is one number, however they are cut into batches.
    model, dataset = tiny(use_vae=False, batch_size=2, dim_u=2), videos(5, dim_u=2)
    whole = model.elbo(dataset.images, controls=dataset.controls)
    found = evaluation.test_bound(model, dataset)
    assert set(found) == set(Bound._fields) - {"num_observed"}
    for name in ("total", "log_px", "log_qa", "state_space", "exact", "encoder_variance"):
        assert isinstance(found[name], float)
        assert found[name] == pytest.approx(float(getattr(whole, name)), rel=1e-4)
    assert np.isfinite(found["sampled"])
    # It can be asked again.
    assert evaluation.test_bound(model, dataset)["total"] == found["total"]

    # Its graph is there by now, and shows the parts of the model.
    definition = evaluation.graph_of_bound(model, dataset).as_graph_def(add_shapes=True)
    assert model.compiled_test_step.experimental_get_tracing_count() == 1
    assert definition.ByteSize() < 1_000_000
    scopes = [node.name.split("/") for node in definition.node]
    top = {scope[0] for scope in scopes if len(scope) > 1}
    assert top >= {"frames", "encoder", "codes", "state_space", "decoder", "bound", "metrics"}
    parts = {scope[1].removesuffix("_1") for scope in scopes if scope[0] == "state_space"}
    assert parts >= {"alpha", "mix", "kalman_filter", "kalman_smoother", "sampled_term"}
