import pytest

from benchmarks import step_profile


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("gradient_tape/encoder_1/conv2_1/convolution/Conv2DBackpropFilter:_MklX", "encoder, convolutions"),
        ("decoder_1/conv3_1/Relu:_MklNativeFusedConv2D", "decoder, convolutions"),
        ("decoder_1/DepthToSpace_2:DepthToSpace", "decoder, the rest"),
        ("Adam/mul:Mul", "optimizer"),
        ("Cast:Cast", "other"),
    ],
)
def test_operations_belong_to_parts(operation, part):
    assert step_profile.part_of(operation) == part


def test_a_profile_finds_every_part_of_the_step(capsys):
    arguments = "--steps 2 --batch_size 2 --num_steps 3 --precision float32 --top 4".split()
    assert step_profile.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:32].strip(): line[32:].split() for line in lines if line.endswith("%")}
    assert set(rows) == {*(part for part, _ in step_profile.PARTS), "other"}
    assert float(rows["decoder, convolutions"][0]) > 0
    assert float(rows["state space model, compiled"][0]) > 0
    assert sum(float(share.rstrip("%")) for _, share in rows.values()) == pytest.approx(100, abs=0.5)
    assert sum(" ms  " in line for line in lines) == 4
