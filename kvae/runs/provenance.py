"""What made a run: versions, the commit of the code, the machine."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import kvae
from kvae.system import device

_PACKAGES = "tensorflow keras tensorflow-probability numpy".split()


def facts() -> dict[str, Any]:
    """Return what config.json says beside the options and the precision."""
    return {
        "versions": {
            "python": platform.python_version(),
            "kvae": kvae.__version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "git_commit": _git_commit(),
        "machine": {
            "platform": platform.platform(),
            "processor": _processor(),
            "gpus": device.gpu_names(),
        },
    }


def _git_commit() -> str | None:
    """Return the commit of the code that runs, with `+` if files differ from it.

    None where git does not keep this very file: the package may be installed below another's repository.
    """
    here = Path(__file__)
    # Which lead git to the repository of who called, from a hook of it perhaps.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=here.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """Return the processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
