"""Asking a graph about its threads through one driver, and noting what it stores."""

import asyncio
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from differential.kit import Log, say, wire
from differential.registry import attempt, invoke


class Recorder(InMemorySaver):
    """A saver that notes what is stored while `notes` is a list."""

    notes: list[Any] | None = None

    def put(self, config, checkpoint, metadata, new_versions):
        """Note everything in which two checkpoints can differ, but no dates."""
        if self.notes is not None:
            seen = checkpoint["versions_seen"]
            self.notes.append(
                {
                    "under": config["configurable"].get("checkpoint_id"),
                    "ns": config["configurable"].get("checkpoint_ns"),
                    "id": checkpoint["id"],
                    "metadata": metadata,
                    "values": _sorted(checkpoint["channel_values"]),
                    "versions": _numbers(checkpoint["channel_versions"]),
                    "new": _numbers(new_versions),
                    "seen": {n: _numbers(seen[n]) for n in sorted(seen) if n != "__input__"},
                    "updated": checkpoint["updated_channels"],
                }
            )
        return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(self, config, writes, task_id, task_path=""):
        """Note the writes and whose they are."""
        if self.notes is not None:
            self.notes.append(
                ("writes", config["configurable"]["checkpoint_id"], _steady(writes), task_id)
            )
            self.notes.append(task_path)
        return super().put_writes(config, writes, task_id, task_path)


def _sorted(values):
    # Sends are shown by their own text, because the engines keep their fields in another order.
    return {name: repr(values[name]) for name in sorted(values)}


def _steady(writes):
    """Bring the writes of edges into order: builders keep edges in sets."""
    return sorted(writes, key=lambda write: write[0] if ":" in write[0] else "")


def _numbers(versions):
    return {name: int(versions[name].split(".")[0]) for name in sorted(versions)}


class Desk:
    """A graph and its saver, asked through one driver; every answer becomes a fact."""

    def __init__(self, driver, graph):
        self.driver, self.graph, self.saver = driver, graph, graph.checkpointer
        self.facts = []

    def invoke(self, input, config, **kwargs):
        """Run the graph."""
        self.facts.append(attempt(lambda: invoke(self.driver, self.graph, input, config, **kwargs)))
        return self.facts[-1]

    def state(self, config, **kwargs):
        """Look at a state."""
        return self._note(lambda: _public(self._call("get_state", config, **kwargs)))

    def history(self, config, **kwargs):
        """Look at a history."""
        return self._note(lambda: [_public(item) for item in self._list(config, **kwargs)])

    def update(self, config, *args):
        """Update a state, and note what was stored."""
        return self._stored(lambda: self._call("update_state", config, *args))

    def bulk(self, config, supersteps):
        """Update a state several times, and note what was stored."""
        return self._stored(lambda: self._call("bulk_update_state", config, supersteps))

    def _stored(self, action):
        self.saver.notes = notes = []
        try:
            result = self._note(action)
        finally:
            self.saver.notes = None
        self.facts += notes
        return result

    def _note(self, action):
        self.facts.append(attempt(action))
        return self.facts[-1]

    def _call(self, name, *args, **kwargs):
        if self.driver == "sync":
            return getattr(self.graph, name)(*args, **kwargs)
        return asyncio.run(getattr(self.graph, "a" + name)(*args, **kwargs))

    def _list(self, config, **kwargs):
        if self.driver == "sync":
            return list(self.graph.get_state_history(config, **kwargs))

        async def collect():
            return [item async for item in self.graph.aget_state_history(config, **kwargs)]

        return asyncio.run(collect())


def _public(value):
    """Leave out what langgraph's configs of nested graphs carry along: the saver itself."""
    if hasattr(value, "_fields"):
        return type(value)(*(_public(item) for item in value))
    if isinstance(value, tuple):
        return tuple(_public(item) for item in value)
    if isinstance(value, dict) and "configurable" in value:
        named = {k: v for k, v in value["configurable"].items() if not k.startswith("__")}
        return {**value, "configurable": named}
    return value


def three(e, **options):
    """Return a, b and c in a row."""
    return wire(e, Log, "START a b c END", a=..., b=..., c=...).compile(
        checkpointer=Recorder(), **options
    )


def split(e, **options):
    """Return a, then b and d, then c."""
    return wire(e, Log, "START a b c END", "a d c", a=..., b=..., c=..., d=...).compile(
        checkpointer=Recorder(), **options
    )


def asker(e, question="q?"):
    """Return a node that asks and logs the answer."""
    return lambda state: {"log": [e.types.interrupt(question)]}


def troubled(e):
    """Return a graph whose second superstep asks in one task and finishes in two."""
    graph = wire(
        e, Log, "START a q c END", "a d c", "a n c",
        a=..., q=asker(e), d=say("d", x=4), n=lambda state: None, c=...,
    )  # fmt: skip
    return graph.compile(checkpointer=Recorder())
