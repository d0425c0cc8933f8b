"""What the model computes on, and in which number format."""

import functools
from pathlib import Path

import tensorflow as tf

from kvae.errors import UserError
from kvae.system import console


class DeviceError(UserError):
    """A device that is not there; the message says which are."""


def select(gpu: str, deterministic: bool = False) -> None:
    """Make TensorFlow use the devices asked for; must come before anything is computed.

    Args:
        gpu: numbers of GPUs such as `0` or `0,1`; `cpu`; or empty: whatever is there.
        deterministic: make every operation deterministic.

    Raises:
        DeviceError: there is no such GPU.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if not gpu:
        return
    gpus = tf.config.list_physical_devices("GPU")
    numbers = [] if gpu == "cpu" else [int(part) for part in gpu.split(",")]
    if numbers and max(numbers) >= len(gpus):
        there = ", ".join(str(i) for i in range(len(gpus))) or "none: use --gpu cpu, or leave it out"
        raise DeviceError(f"There is no GPU {max(numbers)}. GPUs here: {there}")
    tf.config.set_visible_devices([gpus[number] for number in numbers], "GPU")


def use_full_float32() -> None:
    """Have GPUs multiply float32 matrices in float32, for the whole program.

    TensorFlow lets them round what they multiply to TensorFloat-32, three decimal digits, which is enough for
    a network, and too little for a covariance: filters that are the same by algebra then differ by half a
    percent. The hidden layers of encoder and decoder, which are most of the work, have their own format.
    """
    look()
    tf.config.experimental.enable_tensor_float_32_execution(False)


@functools.cache
def look() -> None:
    """Let TensorFlow look for GPUs, without its words where there is no driver for any.

    Else it does so, and says so, before the first thing that it computes.
    """
    with console.held_back():
        tf.config.get_visible_devices("GPU")


def has_gpu() -> bool:
    """Tell whether TensorFlow will use a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


def gpu_names() -> list[str]:
    """Return the makers' names of the GPUs that TensorFlow will use."""
    gpus = tf.config.get_visible_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name") or gpu.name for gpu in gpus]


def trunk_policy(precision: str) -> str:
    """Return the Keras dtype policy of the hidden layers of encoder and decoder.

    Args:
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 where the processor computes in it.
    """
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16() else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def has_bfloat16() -> bool:
    """Tell whether the device that TensorFlow will use has instructions for bfloat16."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        # Ampere, compute capability 8.0, was the first with bfloat16.
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
