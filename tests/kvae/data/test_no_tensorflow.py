"""Who reads a dataset file or a mask does not wait for TensorFlow."""

import subprocess
import sys

import pytest

ONLY_ARRAYS = ("kvae.data", "kvae.data.dataset", "kvae.data.shards", "kvae.data.archives", "kvae.data.masks")


def imports_tensorflow(module):
    code = f"import sys, {module}; print('tensorflow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {"True": True, "False": False}[said.strip()]


@pytest.mark.parametrize("module", ONLY_ARRAYS)
def test_arrays_need_no_tensorflow(module):
    assert not imports_tensorflow(module)


def test_tensors_do():
    """Otherwise the test above would find nothing."""
    assert imports_tensorflow("kvae.data.pixels")
