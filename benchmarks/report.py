"""What the reports of all benchmarks have in common: how they begin, and where they go."""

import importlib.metadata
import os
import platform
import shlex


def heading(module, arguments, packages, gpus=()):
    """Return the first lines of a report: the command, and what it ran on.

    Args:
        module: name of the benchmark's module.
        arguments: its command line, a list of strings; where the report goes is left out.
        packages: names of the packages whose versions matter.
        gpus: names of the GPUs in use.
    """
    words = list(arguments)
    if "--output" in words:
        place = words.index("--output")
        del words[place : place + 2]
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    machine = ", ".join([platform.platform(), f"{os.cpu_count()} cores", *gpus])
    return [
        f"# {shlex.join(['python', '-m', f'benchmarks.{module}', *words])}",
        "",
        f"{machine}; Python {platform.python_version()}, {versions}",
    ]


def write(lines, output):
    """Write a report to a file, if there is one to write to."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def publish(lines, output=None):
    """Print a report, and write it to a file if there is one to write to."""
    write(lines, output)
    print("\n".join(lines))
