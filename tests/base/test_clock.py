"""Ids of checkpoints are above all that were seen, whatever form those have."""

from __future__ import annotations

import uuid

import pytest

from millstream._base.clock import Stamps


@pytest.mark.parametrize(
    "seen",
    [
        "2f1eb479-b46a-6946-8001-b617e8cb7b71",
        "2f1eb479-b46a-6fff-8001-b617e8cb7b71",
        "2f1eb479-ffff-6fff-8001-b617e8cb7b71",
        "9f1eb479-b46a-4fff-8001-b617e8cb7b71",
        "9f1eb479-ffff-7fff-bfff-ffffffffffff",
    ],
)
def test_an_id_is_above_what_was_seen(seen: str) -> None:
    stamps = Stamps()
    stamps.see(seen, "")

    ids = [stamps.stamp(step)[0] for step in range(3)]

    assert [seen, *ids] == sorted({seen, *ids})
    assert [uuid.UUID(id).version for id in ids] == [6, 6, 6]


@pytest.mark.parametrize("seen", ["ffffffff-ffff-6fff-8001-b617e8cb7b71", "zzz"])
def test_where_nothing_can_be_above_ids_are_as_usual(seen: str) -> None:
    stamps = Stamps()
    stamps.see(seen)

    first, second = stamps.stamp(1)[0], stamps.stamp(2)[0]

    assert [uuid.UUID(id).version for id in (first, second)] == [6, 6]
    assert first < second
