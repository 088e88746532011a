"""Which version is newer, also where a program has mixed their types."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.core.versions import is_newer, newest

TEXT = "00000000000000000000000000000003.0.5"


@pytest.mark.parametrize(
    ("version", "last", "expected"),
    [
        (2, 1, True),
        (1, 1, False),
        (TEXT, "00000000000000000000000000000002.0.9", True),
        (4, TEXT, True),
        (TEXT, 3, False),
        (TEXT, 2.5, True),
        (1, "by hand", True),
        ("by hand", None, False),
    ],
)
def test_a_newer_version_is_recognised(version: Any, last: Any, expected: bool) -> None:
    assert is_newer(version, last) is expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([], None),
        ([1, 3, 2], 3),
        ([1, TEXT, 2], TEXT),
        ([TEXT, 4], 4),
        ([TEXT, 4.5], 4),
        ([1.5, 2.5], 2.5),
        ([None, 1], 1),
    ],
)
def test_the_newest_version_is_found(versions: list[Any], expected: Any) -> None:
    assert newest(versions) == expected
