"""What a thread takes, on every kind of journal."""

from __future__ import annotations

import random
import string
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from journal.journals import SyncCalls, new_config
from millstream.journal.usage import Usage, usage

STEPS, SIZE = 30, 20_000
RANDOM = random.Random(1)
TEXTS = ["".join(RANDOM.choices(string.ascii_letters, k=SIZE)) for _ in range(STEPS)]


class Counting(JsonPlusSerializer):
    """Counts how often something is read."""

    read = 0

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        self.read += 1
        return super().loads_typed(data)


def fill(calls: SyncCalls, journal: Any, thread_id: str = "thread") -> None:
    """Store a conversation that grows, and what was written at its last step."""
    config = new_config(thread_id)
    for step in range(STEPS):
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"texts": TEXTS[: step + 1], "step": step}
        checkpoint["channel_versions"] = {"texts": step + 1, "step": step + 1, "gone": 1}
        metadata: Any = {"source": "loop", "step": step}
        versions = {"texts": step + 1, "step": step + 1}
        config = calls.call(journal.put, config, checkpoint, metadata, versions)
    calls.call(journal.put_writes, config, [("other", "y" * SIZE), ("few", 1)], "task")


def test_each_thing_counts_once_and_no_value_is_read(calls: SyncCalls) -> None:
    serde = Counting()
    journal = calls.open(serde=serde)
    fill(calls, journal)
    fresh = calls.fresh(journal, serde=serde)
    serde.read = 0

    found = usage(fresh, "thread")

    assert serde.read == 0
    assert (found.checkpoints, found.writes) == (STEPS, 2)
    assert {name: channel.versions for name, channel in found.channels.items()} == {
        "texts": STEPS,
        "step": STEPS,
        "gone": 1,
    }
    whole = STEPS * SIZE
    assert whole <= found.channels["texts"].bytes < 1.1 * whole
    assert STEPS <= found.channels["step"].bytes < 10 * STEPS
    assert found.channels["gone"].bytes == 0
    assert SIZE <= found.write_bytes < 2 * SIZE
    assert 0 < found.checkpoint_bytes < STEPS * 1000


def test_a_copy_takes_what_its_original_does_and_nothing_is_of_nobody(calls: SyncCalls) -> None:
    journal = calls.open()
    fill(calls, journal)
    calls.call(journal.copy_thread, "thread", "copy")

    assert usage(journal, "copy") == usage(journal, "thread")
    assert usage(journal, "nobody") == Usage()
