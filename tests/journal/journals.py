"""Every kind of journal under each driver, and a saver that keeps full copies to compare with."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, get_checkpoint_metadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from typing_extensions import Self

from millstream.journal import Journal, MemoryJournal, PostgresJournal, SqliteJournal


def _memory(address: str, **options: Any) -> Any:
    return MemoryJournal(**options)


OPEN: Final[dict[str, Callable[..., Any]]] = {
    "memory": _memory,
    "postgres": PostgresJournal,
    "sqlite": SqliteJournal,
}
"""By kind, what opens a journal; each gets the path or the address of a database of its own."""
LASTING: Final = frozenset(OPEN) - {"memory"}
"""Kinds that have after closing what they had before."""


class SyncCalls:
    """Calls the sync methods of a journal."""

    driver = "sync"

    def __init__(self, kind: str, address: str) -> None:
        self.kind = kind
        self.address = address
        self.opened: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for journal in self.opened:
            self.close(journal)

    def open(self, **options: Any) -> Any:
        """Return a journal; all of one test have the same database, but for those in memory."""
        journal = OPEN[self.kind](self.address, **options)
        self.opened.append(journal)
        return journal

    def fresh(self, journal: Any, **options: Any) -> Any:
        """Return a journal that has the same rows and knows nothing of them, as another process."""
        if self.kind == "memory":
            return Journal(journal._storage, **options)
        return self.open(**options)

    def close(self, journal: Any) -> None:
        """Close a journal."""
        journal.close()

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what a method returns; it is the sync one."""
        return method(*args, **kwargs)

    def list(self, journal: Any, config: Any, **kwargs: Any) -> list[CheckpointTuple]:
        """Return all checkpoints that are listed."""
        return list(journal.list(config, **kwargs))


class AsyncCalls(SyncCalls):
    """Calls the async methods of a journal, all in one event loop."""

    driver = "async"

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def close(self, journal: Any) -> None:
        """Close a journal."""
        self.loop.run_until_complete(journal.aclose())

    def call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what the async twin of a method returns."""
        twin = getattr(method.__self__, "a" + method.__name__)  # type: ignore[attr-defined]  # methods
        return self.loop.run_until_complete(twin(*args, **kwargs))

    def list(self, journal: Any, config: Any, **kwargs: Any) -> list[CheckpointTuple]:
        """Return all checkpoints that are listed."""

        async def collect() -> list[CheckpointTuple]:
            return [found async for found in journal.alist(config, **kwargs)]

        return self.loop.run_until_complete(collect())


DRIVERS: Final = {"sync": SyncCalls, "async": AsyncCalls}


class FullCopies:
    """Keeps of every checkpoint all that the serializer makes of it: what a journal must read."""

    def __init__(self) -> None:
        self.serde = JsonPlusSerializer()
        self.threads: dict[str, dict[str, dict[str, Any]]] = {}

    def put(self, config: Any, checkpoint: Any, metadata: Any) -> None:
        """Store all of a checkpoint."""
        configurable = config["configurable"]
        entries = self.threads.setdefault(configurable["thread_id"], {})
        old = entries.get(checkpoint["id"], {"writes": {}})
        entries[checkpoint["id"]] = {
            "parent": configurable.get("checkpoint_id"),
            "checkpoint": self.serde.dumps_typed(checkpoint),
            "metadata": copy.deepcopy(get_checkpoint_metadata(config, metadata)),
            "writes": old["writes"],
        }

    def put_writes(self, config: Any, writes: Iterable[Any], task_id: str, path: str) -> None:
        """Store what a task wrote; errors, questions and answers may come again."""
        configurable = config["configurable"]
        entry = self.threads[configurable["thread_id"]][configurable["checkpoint_id"]]
        is_special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        for at, (channel, value) in enumerate(writes):
            key = (task_id, WRITES_IDX_MAP.get(channel, at))
            if is_special or key not in entry["writes"]:
                entry["writes"][key] = (path, channel, self.serde.dumps_typed(value))

    def read(self, thread_id: str) -> list[dict[str, Any]]:
        """Return all there is of a thread, the newest first."""
        found = []
        for id, entry in sorted(self.threads.get(thread_id, {}).items(), reverse=True):
            found.append(
                {
                    "id": id,
                    "parent": entry["parent"],
                    "checkpoint": self._comparable(self.serde.loads_typed(entry["checkpoint"])),
                    "metadata": entry["metadata"],
                    "writes": [
                        (task, channel, dumped)
                        for (task, _), (_, channel, dumped) in sorted(
                            entry["writes"].items(), key=lambda each: (each[1][0], each[0])
                        )
                    ],
                }
            )
        return found

    def comparable(self, saved: CheckpointTuple) -> dict[str, Any]:
        """Return what a journal has read in the form of `read`."""
        parent = saved.parent_config
        return {
            "id": saved.config["configurable"]["checkpoint_id"],
            "parent": None if parent is None else parent["configurable"]["checkpoint_id"],
            "checkpoint": self._comparable(saved.checkpoint),
            "metadata": saved.metadata,
            "writes": [
                (task, channel, self.serde.dumps_typed(value))
                for task, channel, value in saved.pending_writes or ()
            ],
        }

    def _comparable(self, checkpoint: Any) -> dict[str, Any]:
        # By bytes: one that equals a value can be of another type.
        values = checkpoint["channel_values"]
        dumped = {name: self.serde.dumps_typed(value) for name, value in values.items()}
        return {**checkpoint, "channel_values": dumped}


def new_config(thread_id: str | None = None, id: str | None = None, ns: str = "") -> Any:
    """Return the config of a thread, or of a checkpoint of it."""
    configurable = {"thread_id": thread_id or uuid.uuid4().hex, "checkpoint_ns": ns}
    if id is not None:
        configurable["checkpoint_id"] = id
    return {"configurable": configurable}
