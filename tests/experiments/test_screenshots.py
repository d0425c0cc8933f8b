import pytest

from experiments import screenshots

SERVER = """
import pathlib, sys, time
print("Loading ...", flush=True)
sys.stdout.write("Here: http://localhost:123")
sys.stdout.flush()
time.sleep(0.5)
print("45/ (Ctrl-C ends it)", flush=True)
time.sleep(60)
pathlib.Path("left_alone").touch()
"""


def test_the_whole_address_and_the_end_of_the_process(tmp_path, monkeypatch):
    (tmp_path / "server.py").write_text(SERVER)
    started = []
    popen = screenshots.subprocess.Popen
    monkeypatch.setattr(
        screenshots.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0]
    )
    with screenshots.serving(["server"], tmp_path) as address:
        assert address == "http://localhost:12345/"
        assert started[0].poll() is None
    assert started[0].poll() is not None
    assert not (tmp_path / "left_alone").exists()


def test_what_a_process_said_that_serves_nothing(tmp_path):
    (tmp_path / "server.py").write_text("print('no port is free')")
    with (
        pytest.raises(screenshots.BrowserError, match="no port is free"),
        screenshots.serving(["server"], tmp_path),
    ):
        pass
