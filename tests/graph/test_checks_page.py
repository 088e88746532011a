"""The examples of docs/checks.md have the finding that they show, and their cures do not."""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from millstream.checking import CODES, Finding, check
from millstream.warnings import GraphWarning

PAGE = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
INTRODUCTION, *PARTS = re.split(r"^### ", PAGE, flags=re.MULTILINE)
SECTIONS = {part.partition("\n")[0]: BLOCK.findall(part) for part in PARTS}
SHOWN = [code for code, blocks in SECTIONS.items() if blocks]


def found_in(source: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """Return what is found in the graph of a block, whose source is in a file as a program's is."""
    (beginning,) = BLOCK.findall(INTRODUCTION)
    file.write_text(beginning + source, encoding="utf-8")
    spec: Any = importlib.util.spec_from_file_location(file.stem, file)
    module: Any = importlib.util.module_from_spec(spec)
    # Where classes are looked up.
    monkeypatch.setitem(sys.modules, file.stem, module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        spec.loader.exec_module(module)
    return check(module.graph)


def test_every_code_has_a_section() -> None:
    assert sorted(SECTIONS) == sorted(CODES)


@pytest.mark.parametrize("code", SHOWN)
def test_an_example_has_its_finding_and_the_cure_has_none(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = SECTIONS[code]

    found = found_in(wrong, tmp_path / "wrong_program.py", monkeypatch)

    assert [finding.code for finding in found] == [code]
    assert found[0].severity == CODES[code]
    assert found_in(right, tmp_path / "right_program.py", monkeypatch) == []
