import pytest
import tensorflow as tf

from kvae.config import Config
from kvae.errors import UserError
from kvae.models.factory import make_model
from kvae.system import device


@pytest.fixture
def machine(monkeypatch):
    """Return a function that gives the machine other GPUs, and what TensorFlow was told to use."""
    told = []

    def of(*capabilities):
        gpus = [f"gpu {i}" for i in range(len(capabilities))]
        details = {
            gpu: {"device_name": f"maker's {gpu}"}
            | ({} if capability is None else {"compute_capability": capability})
            for gpu, capability in zip(gpus, capabilities, strict=True)
        }
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
        return told

    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: told.append((devices, kind)))
    return of


@pytest.mark.parametrize(
    ("gpu", "devices"),
    [
        ("0", ["gpu 0"]),
        ("1", ["gpu 1"]),
        ("0,1", ["gpu 0", "gpu 1"]),
        ("1, 0", ["gpu 1", "gpu 0"]),
        ("cpu", []),
    ],
)
def test_the_devices_asked_for_are_used(machine, gpu, devices):
    told = machine((8, 0), (8, 0))
    device.select(gpu)
    assert told == [(devices, "GPU")]


def test_without_a_wish_tensorflow_is_left_alone(machine):
    told = machine((8, 0))
    device.select("")
    assert told == []


@pytest.mark.parametrize(
    ("capabilities", "gpu", "missing", "there"),
    [
        ((), "0", "GPU 0", "none: use --gpu cpu"),
        (((8, 0),), "1", "GPU 1", "GPUs here: 0"),
        (((8, 0), (8, 0)), "0,7", "GPU 7", "GPUs here: 0, 1"),
    ],
)
def test_a_gpu_that_is_not_there_is_an_error(machine, capabilities, gpu, missing, there):
    told = machine(*capabilities)
    with pytest.raises(device.DeviceError) as error:
        device.select(gpu)
    assert isinstance(error.value, UserError)
    assert missing in str(error.value)
    assert there in str(error.value)
    assert told == []


def test_the_real_machine_has_no_gpu_999():
    with pytest.raises(device.DeviceError, match="There is no GPU 999"):
        device.select("999")


def test_a_processor_is_known_by_its_flags(machine, monkeypatch):
    machine()

    def has(flags):
        text = f"processor\t: 0\nmodel name\t: A processor\nflags\t\t: fpu avx512f {flags}\n"
        monkeypatch.setattr(device.Path, "read_text", lambda path: text)
        return device.has_bfloat16()

    assert has("amx_bf16 amx_tile")
    assert has("avx512_bf16")
    assert not has("avx512_fp16")
    assert not has("")


def test_a_system_without_cpuinfo_has_none(machine, monkeypatch):
    machine()

    def fail(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(device.Path, "read_text", fail)
    assert device.has_bfloat16() is False


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(8, 0)], True),
        ([(9, 0)], True),
        ([(7, 5)], False),
        ([(9, 0), (7, 0)], False),
        ([None], False),
    ],
)
def test_a_gpu_is_known_by_its_generation(machine, monkeypatch, capabilities, expected):
    machine(*capabilities)
    # Whatever the processor beside it can do.
    monkeypatch.setattr(device.Path, "read_text", lambda path: "" if expected else "flags: amx_bf16")
    assert device.has_bfloat16() is expected


@pytest.mark.parametrize(
    ("precision", "capable", "policy"),
    [
        ("float32", True, "float32"),
        ("float32", False, "float32"),
        ("bfloat16", True, "mixed_bfloat16"),
        ("bfloat16", False, "mixed_bfloat16"),
        ("auto", True, "mixed_bfloat16"),
        ("auto", False, "float32"),
    ],
)
def test_precision_is_what_was_asked_for(monkeypatch, precision, capable, policy):
    monkeypatch.setattr(device, "has_bfloat16", lambda: capable)
    assert device.trunk_policy(precision) == policy


def test_gpus_are_called_by_their_makers_names(machine):
    machine(None, None)
    assert device.gpu_names() == ["maker's gpu 0", "maker's gpu 1"]
    machine()
    assert device.gpu_names() == []


@pytest.mark.parametrize("model", ["kvae", "ae_rnn"])
def test_a_model_multiplies_matrices_in_full_float32(model):
    tf.config.experimental.enable_tensor_float_32_execution(True)
    make_model(Config(model=model, num_filters=(4,)))
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
