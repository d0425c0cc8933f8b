import csv
import json

import numpy as np
import pytest

from experiments import compare_means
from kvae.config import Config


def run_folder(path, wrong_pixels, precision="float32"):
    """A finished run whose error is the same everywhere; filtering and generation err twice as often."""
    path.mkdir(parents=True)
    facts = {"options": Config(preset="none", num_epochs=3).to_dict(), "precision": precision}
    (path / "config.json").write_text(json.dumps(facts))
    bound = {"total": -4.0, "state_space": 1.0, "exact": 1.5}
    (path / "evaluation.json").write_text(json.dumps({"test_bound": bound}))
    for curve in ("planning", "random"):
        with (path / f"imputation_{curve}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["x", "method", "wrong_pixels", "normalised_rmse"])
            for x in (1, 3):
                for method, factor in (("smoothing", 1), ("filtering", 2), ("generation", 2)):
                    writer.writerow([x, method, factor * wrong_pixels * x, 0.5])
    return str(path)


def rows_of(printed, label):
    return [
        [cell.strip() for cell in line.strip("|").split("|")][1:]
        for line in printed.splitlines()
        if line.startswith(f"| {label} |")
    ]


def test_means_are_compared(tmp_path, capsys):
    runs = [run_folder(tmp_path / f"a{i}", value, "bfloat16") for i, value in enumerate((0.010, 0.012))]
    others = [run_folder(tmp_path / f"b{i}", value) for i, value in enumerate((0.009, 0.011))]
    assert compare_means.main(["--runs", *runs, "--others", *others, "--title", "Precision"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Precision\n")
    assert (
        "python run_kvae.py --dataset box --preset none --num_epochs 3   # convolutions in bfloat16"
        in printed
    )
    assert rows_of(printed, "smoothing, runs") == [["0.0110", "0.0330"]] * 2
    assert rows_of(printed, "filtering, others") == [["0.0200", "0.0600"]] * 2
    assert rows_of(printed, "**smoothing, runs above others**") == [["+10.0%", "+10.0%"]] * 2
    error = np.sqrt(2 * 0.001**2) / 0.010
    assert rows_of(printed, "standard error of that")[0] == [f"{error:.1%}"] * 2
    assert "- random, generation: +10.0%" in printed
    assert "runs -3.50, -3.50; others -3.50, -3.50." in printed


def test_one_run_has_no_standard_error(tmp_path, capsys):
    runs = [run_folder(tmp_path / name, 0.01) for name in "ab"]
    assert compare_means.main(["--runs", runs[0], "--others", runs[1]]) == 0
    assert rows_of(capsys.readouterr().out, "standard error of that")[0] == ["nan%", "nan%"]


@pytest.mark.parametrize("missing", ["config.json", "evaluation.json", "imputation_random.csv"])
def test_an_unfinished_run_is_told(tmp_path, missing, capsys):
    runs = [run_folder(tmp_path / name, 0.01) for name in "ab"]
    (tmp_path / "b" / missing).unlink()
    assert compare_means.main(["--runs", runs[0], "--others", runs[1]]) == 2
    assert missing in capsys.readouterr().err
