"""What is read is what the serializer would have read from a full copy, whatever happened."""

from __future__ import annotations

from typing import Any, Final

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from journal.journals import FullCopies, SyncCalls, new_config
from journal.states import States, Thread
from millstream.journal import known, reading
from millstream.journal.rows import FindLines


class Pair:
    """A journal and full copies of what it is given."""

    def __init__(self, calls: SyncCalls, seed: int) -> None:
        self.calls = calls
        self.copies = FullCopies()
        self.states = States(seed)
        self.journal = calls.open(on_conflict="fork")
        self.threads = [Thread(self.states, f"thread{number}") for number in range(2)]

    def act(self) -> None:
        """Do one random thing to both."""
        random = self.states.random
        thread = random.choice(self.threads)
        what = random.choices(
            ("step", "writes", "fork", "copy", "again", "reopen"), (30, 12, 3, 1, 1, 1)
        )[0]
        if what == "step" or thread.parent is None:
            self._step(thread)
        elif what == "writes":
            config, writes, task, path = thread.writes()
            self.copies.put_writes(config, writes, task, path)
            self.calls.call(self.journal.put_writes, config, writes, task, path)
        elif what == "fork":
            found = random.choice(self.calls.list(self.journal, new_config(thread.thread_id)))
            thread.load(found)
        elif what == "copy":
            target = Thread(self.states, f"thread{len(self.threads)}")
            self.calls.call(self.journal.copy_thread, thread.thread_id, target.thread_id)
            entries = self.copies.threads[thread.thread_id]
            self.copies.threads[target.thread_id] = {
                id: {**entry, "writes": dict(entry["writes"])} for id, entry in entries.items()
            }
            target.load(self._newest(target))
            self.threads.append(target)
        elif what == "again":
            thread.load(self._newest(thread))
        elif self.calls.kind != "memory":
            self.calls.close(self.journal)
            self.journal = self.calls.open(on_conflict="fork")

    def _step(self, thread: Thread) -> None:
        config, checkpoint, metadata, new = thread.next()
        self.copies.put(config, checkpoint, metadata)
        self.calls.call(self.journal.put, config, checkpoint, metadata, new)

    def _newest(self, thread: Thread) -> Any:
        return self.calls.call(self.journal.get_tuple, new_config(thread.thread_id))

    def compare(self) -> None:
        """Read everything from both."""
        for thread in self.threads:
            expected = self.copies.read(thread.thread_id)
            found = self.calls.list(self.journal, new_config(thread.thread_id))
            assert [self.copies.comparable(each) for each in found] == expected
            if expected:
                newest = self._newest(thread)
                assert self.copies.comparable(newest) == expected[0]
                assert newest.config == found[0].config


@pytest.mark.parametrize("between", ["nothing", "a checkpoint", "another journal", "one call"])
def test_writes_may_come_before_their_checkpoint(calls: SyncCalls, between: str) -> None:
    """LangGraph stores both at once, so either may be first."""
    journal = calls.open()
    thread = Thread(States(1), "thread")
    calls.call(journal.put, *thread.next())
    put = thread.next()
    early = ({"configurable": {**put[0]["configurable"], "checkpoint_id": put[1]["id"]}},)
    early += ([("channel0", "early")], "task", "path")
    if between == "one call":
        calls.call(journal.put_together, [("put_writes", early), ("put", put)])
    else:
        calls.call(journal.put_writes, *early)
        assert len(calls.list(journal, new_config("thread"))) == 1
        if between == "a checkpoint":
            other = Thread(States(2), "thread")
            other.load(calls.list(journal, new_config("thread"))[0])
            calls.call(journal.put, *other.next())
            calls.call(journal.get_tuple, put[0])  # a branch on purpose
        elif between == "another journal" and calls.kind != "memory":
            journal = calls.open()
        calls.call(journal.put, *put)
    found = calls.call(journal.get_tuple, early[0])
    assert found.checkpoint["channel_values"].keys() == put[1]["channel_values"].keys()
    assert found.pending_writes == [("task", "channel0", "early")]
    for _ in range(3):
        calls.call(journal.put, *thread.next())
        calls.call(journal.get_tuple, new_config("thread", thread.parent))
    count = 6 if between == "a checkpoint" else 5
    assert len(calls.list(journal, new_config("thread"))) == count


MORE: Final = [pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 4)]


@pytest.mark.parametrize("seed", [0, *MORE])
def test_a_journal_reads_what_full_copies_have(
    calls: SyncCalls, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any steps, writes, branches and copies, all that is read is exactly that."""
    monkeypatch.setattr(reading, "LEAST", 1)
    pair = Pair(calls, seed)
    for turn in range(60):
        pair.act()
        if turn % 20 == 19:
            pair.compare()


def test_what_is_kept_in_mind_of_large_values_has_a_limit(
    calls: SyncCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes, not only in threads; what was forgotten is read when it is gone on from."""
    monkeypatch.setattr(known, "MOST_BYTES", 200_000)
    journal = calls.open()
    texts = [f"{number} {'x' * 300}" for number in range(100)]
    threads: dict[str, Any] = {}

    def put(name: str) -> None:
        parent, items = threads.get(name, (None, texts))
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"items": [*items, name]}
        checkpoint["channel_versions"] = versions = {"items": len(items)}
        config = new_config(name, parent)
        calls.call(journal.put, config, checkpoint, {}, versions)
        threads[name] = checkpoint["id"], checkpoint["channel_values"]["items"]

    names = [f"thread{number}" for number in range(20)]
    for name in names * 2:
        put(name)
        assert sum(line.size for line in journal._memory.lines.values()) < 350_000
    assert journal._memory.lines[names[-1], ""].texts
    parts = journal._storage.carry_out(FindLines(None))
    for name in names:
        saved = calls.call(journal.get_tuple, new_config(name))
        assert saved.checkpoint["channel_values"]["items"] == threads[name][1]
    assert sum(line.size for line in journal._memory.lines.values()) < 350_000
    # Each piece was stored once: the counter of a line says how many there were.
    assert max(line.counter for line in parts) < 120
