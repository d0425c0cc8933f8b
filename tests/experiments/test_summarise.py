import csv
import json

from experiments import summarise
from kvae.config import Config

SEEN = {"explained": 0.9123, "unseen": 0.0456, "alive": 2.0}


def finished_run(path, options, bound, methods, motion=None):
    """A finished run; methods is a dictionary from name to the wrong pixels at one and three frames."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"options": Config(**options).to_dict()}))
    found = {"test_bound": {"total": bound, "state_space": 1.0, "exact": 1.5}, "best_epoch": 2}
    if motion:
        found["motion"] = motion
    (path / "evaluation.json").write_text(json.dumps(found))
    (path / "metrics.csv").write_text("epoch,train_time_seconds\n1,60\n2,120\n")
    with (path / "imputation_planning.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "method", "wrong_pixels", "normalised_rmse"])
        for method, values in methods.items():
            writer.writerows([x, method, wrong, 0.5] for x, wrong in zip((1, 3), values, strict=True))
    return str(path)


def test_the_best_bound_comes_first_with_the_options_that_differ(tmp_path, capsys):
    smoothing = {"smoothing": (0.01, 0.03), "filtering": (0.02, 0.04), "generation": (0.05, 0.05)}
    runs = [
        finished_run(tmp_path / "a", {"K": 3}, -5.0, smoothing | {"sampling": (0.004, 0.006)}),
        finished_run(tmp_path / "b", {"K": 5, "num_paths": 0}, -4.0, smoothing, SEEN),
    ]
    assert summarise.main([*runs, "--title", "Box"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Box\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if "|" in line]
    assert rows[0] == [
        *("K", "num_paths", "test bound per frame"),
        *("sampling", "smoothing", "filtering", "generation", "explained", "unseen", "alive"),
        *("best epoch", "minutes"),
    ]
    assert rows[2] == ["5", "0", "-3.50", "", "0.0200", "0.0300", "0.0500", "0.912", "0.046", "2", "2", "2"]
    assert rows[3] == ["3", "1000", "-4.50", "0.0050", "0.0200", "0.0300", "0.0500", "", "", "", "2", "2"]


def test_an_unfinished_run_is_told(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    assert summarise.main([str(tmp_path / "a")]) == 2
    assert "not the folder of a finished run" in capsys.readouterr().err
