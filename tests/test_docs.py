"""What docs/ says to run, runs."""

import re
from pathlib import Path

import pytest

EXTEND = Path(__file__).parent.parent / "docs" / "extend.md"
EXAMPLES = dict(re.findall(r"^## (.*?)\n.*?^```python\n(.*?)^```", EXTEND.read_text(), re.M | re.S))


def test_there_are_examples():
    assert list(EXAMPLES) == ["A new world", "A new alpha network", "A new likelihood"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_is_short(name):
    lines = [line for line in EXAMPLES[name].splitlines() if line]
    assert len(lines) < 40
    exec(compile(EXAMPLES[name], f"docs/extend.md: {name}", "exec"), {"__name__": "example"})
