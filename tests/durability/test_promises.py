"""The manual promises what the code keeps and the kill test asserts."""

from __future__ import annotations

import re
from pathlib import Path

from durability.promises import REPEATED, UNSTORED
from millstream.saving import flush_task, sync_flusher

MANUAL = Path(__file__).parents[2] / "docs" / "durability.md"


def test_the_manual_has_the_table_that_is_asserted() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([\w ]+) \|$", MANUAL.read_text(), re.MULTILINE)

    promised = {name: None if count == "all of the call" else int(count) for name, count in rows}

    assert promised == REPEATED


def test_the_manual_names_the_bound_of_both_drivers() -> None:
    words = " ".join(MANUAL.read_text().split())

    assert sync_flusher.MAX_IN_FLIGHT == flush_task.MAX_IN_FLIGHT
    assert f"wait in a queue of at most {sync_flusher.MAX_IN_FLIGHT}." in words
    assert f"no more than {UNSTORED} are unstored" in words
    assert f"at most {REPEATED['async']} finished supersteps" in words
