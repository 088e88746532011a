"""The example of the README does what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_prints_what_stands_below_it(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    program, expected = re.findall(r"```(?:python|text)\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "example.py"
    path.write_text(program, encoding="utf-8")

    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)

    # The two parallel tasks may report in either order.
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines())
    assert done.stderr == ""
