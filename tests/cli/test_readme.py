"""The examples of the README do what the README says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from forked_python import run_python
from guide.openai_server import serve

README = Path(__file__).parents[2] / "README.md"


TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:python|text)\n(.*?)```", TEXT, re.DOTALL)
EXAMPLES = list(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))


@pytest.mark.parametrize(("program", "expected"), EXAMPLES)
def test_an_example_prints_what_stands_below_it(
    program: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "example.py"
    path.write_text(program, encoding="utf-8")

    # Models answer from this process.
    with serve(lambda request: ["Why did", " the mill", " stop?", " No stream."]) as server:
        done = run_python(str(path), environment={**os.environ, **server.environment})

    # Parallel tasks may report in either order.
    assert sorted(done.stdout.splitlines()) == sorted(expected.splitlines())
    assert done.stderr == ""
