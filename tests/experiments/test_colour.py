import numpy as np

from experiments import colour


def test_r2_is_one_for_the_truth_and_a_half_for_the_middle_of_two_balls():
    truth = np.random.default_rng(0).normal(size=[4000, 4])
    assert set(colour.r2(truth, truth).values()) == {1.0}
    middle = (truth[:, :2] + truth[:, 2:]) / 2
    found = colour.r2(np.concatenate([middle, middle], axis=1), truth)
    for name in colour.POSITIONS:
        assert abs(found[name] - 0.5) < 0.05
    assert found["middle x"] == found["middle y"] == 1


def test_a_linear_map_is_found():
    rng = np.random.default_rng(0)
    codes, weights = rng.normal(size=[100, 3]), rng.normal(size=[3, 4])
    np.testing.assert_allclose(colour.linear(codes, codes @ weights + 2)(codes), codes @ weights + 2)


def test_the_table_has_a_row_for_each_run_and_map():
    values = colour.r2(np.ones([3, 4]), np.random.default_rng(0).normal(size=[3, 4]))
    options = colour.Options()
    commands = {name: colour.command_of(name, options) for name in colour.RUNS}
    found = {name: {"linear": values, "network": values} for name in colour.RUNS}
    lines = colour.report(found, commands, options)
    assert [line[:9] for line in lines[-4:]] == ["| colour ", "| colour ", "| grey | ", "| grey | "]
    assert any("--channels 3" in line for line in lines)
