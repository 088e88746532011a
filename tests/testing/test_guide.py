"""The examples of docs/testing.md are tests, and pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GUIDE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")


def test_the_examples_of_the_guide_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "millstream.testing.plugin")
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    pytester.makepyfile("\n".join(blocks))

    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=sum(block.count("def test_") for block in blocks))
