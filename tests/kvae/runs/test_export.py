import subprocess
import sys

import numpy as np
import pytest

import kvae
from kvae.runs.export import ExportError
from tests.kvae.models.small import coloured, tiny, videos

# Python without this package: only TensorFlow and the folder.
USER = """
import sys
import numpy as np
import tensorflow as tf
given = np.load("given.npz")
exported = tf.saved_model.load("exported")
images = given["images"].astype(np.float32) / 255
imputed = exported.impute(images, given["mask"], given["controls"])
generated = exported.signatures["generate"](
    images=tf.constant(images[:, :2]), num_steps=tf.constant(9), controls=tf.constant(given["controls"])
)
assert not {"kvae", "tensorflow_probability"} & {name.partition(".")[0] for name in sys.modules}
np.savez("found.npz", **{f"imputed_{k}": v for k, v in imputed.items()},
         **{f"generated_{k}": v for k, v in generated.items()})
"""


@pytest.mark.parametrize(
    ("images", "options"),
    [
        pytest.param(videos(), dict(num_paths=20), marks=pytest.mark.slow),
        (
            coloured() // 3,
            dict(num_paths=20, learn_noise=True, learn_offset=True, dim_u=2, grey_targets=True),
        ),
        pytest.param(coloured(), dict(num_paths=20, dim_u=2, alpha_rnn=False), marks=pytest.mark.slow),
    ],
    ids=["black and white", "faint colours", "without an LSTM"],
)
def test_runs_without_this_package(tmp_path, images, options):
    model = tiny(images, **options)
    model.export(tmp_path / "exported")
    mask = np.array([[1, 1, 0, 0, 1, 1]] * 3, np.float32)
    # Shorter than the sequences: zeros are what is missing.
    controls = np.random.default_rng(0).normal(size=[3, 4, model.config.dim_u]).astype(np.float32)
    np.savez(tmp_path / "given.npz", images=images, mask=mask, controls=controls)
    (tmp_path / "user.py").write_text(USER)
    subprocess.run([sys.executable, "user.py"], cwd=tmp_path, check=True, env={"TF_CPP_MIN_LOG_LEVEL": "3"})
    found = np.load(tmp_path / "found.npz")

    all_controls = np.pad(controls, [[0, 0], [0, 2], [0, 0]])
    # The same draws: the counter of draws is one of the weights.
    imputed = model.impute(images, mask, all_controls)
    generated = model.generate(images, 9, 2, controls)
    expected = {
        "imputed_images": imputed.images,
        "imputed_codes": imputed.codes,
        "imputed_state_mean": imputed.states.mean,
        "imputed_state_cov": imputed.states.cov,
        "generated_images": generated.images,
        "generated_codes": generated.codes,
        "generated_states": generated.states.mean,
    }
    assert set(found.files) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_refuses_to_write_over_something(tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(ExportError, match="mine already: name a folder that is not there"):
        tiny().export(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "keep"
    with pytest.raises(ExportError, match="no weights yet"):
        kvae.KVAE().export(tmp_path / "new")
