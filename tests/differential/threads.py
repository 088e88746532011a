"""What a thread holds: its questions, its checkpoints, and arguments made from them.

Everything here asks the saver, so that it works on an engine that cannot read state yet; only
`history` and `state` use the graph.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from differential.engines import Engine
from differential.kit import thread
from differential.ordering import settled
from differential.registry import Late, Look, attempt, look
from differential.render import mask, render
from millstream.core.strands import stop_record

NO_TASK: Final = "00000000-0000-0000-0000-000000000000"
STOPPED: Final = stop_record()[0][1]
"""Stored beside a checkpoint at which a run of ours has stopped."""


def answers(
    engine: Engine, by_question: Mapping[Any, Any], name: str = "1", **command: Any
) -> Late:
    """Return a Command that answers pending questions, found by what they ask, by their ids."""

    def make(graph: Any) -> Any:
        ids = pending(graph, name)
        resume = {ids[question]: answer for question, answer in by_question.items()}
        return engine.types.Command(resume=resume, **command)

    return Late(make)


def pending(graph: Any, name: str = "1") -> dict[Any, str]:
    """Return the ids of the questions the newest checkpoint of a thread holds."""
    saved = graph.checkpointer.get_tuple(thread(name))
    questions: dict[Any, str] = {}
    for _, channel, value in (saved.pending_writes or ()) if saved else ():
        if channel == "__interrupt__":
            questions.update((question.value, question.id) for question in value)
    return questions


def checkpoints(graph: Any, name: str = "1") -> list[Any]:
    """Return the saved checkpoints of a thread's root graph, oldest first."""
    saved = list(graph.checkpointer.list(thread(name, checkpoint_ns="")))
    return saved[::-1]


def at(index: int, name: str = "1") -> Late:
    """Return the config of the root checkpoint with that index, oldest first."""

    def make(graph: Any) -> dict[str, Any]:
        saved = checkpoints(graph, name)[index]
        return thread(name, checkpoint_ns="", checkpoint_id=saved.checkpoint["id"])

    return Late(make)


def stored(name: str = "1") -> Look:
    """Observe what the saver holds of a thread, in every namespace."""
    return look(lambda graph, driver: listing(graph.checkpointer, name))


def listing(saver: Any, name: str = "1") -> list[Any]:
    """Return each checkpoint with its writes, oldest first, namespaces one after the other."""
    saved = sorted(
        saver.list(thread(name)),
        key=lambda item: (
            item.config["configurable"]["checkpoint_ns"].count("|"),
            item.config["configurable"]["checkpoint_ns"].partition(":")[0],
            item.checkpoint["id"],
        ),
    )
    return [
        {
            "ns": item.config["configurable"]["checkpoint_ns"],
            "id": item.checkpoint["id"],
            "parent": (item.parent_config or {}).get("configurable", {}).get("checkpoint_id"),
            "metadata": item.metadata,
            "values": dict(sorted(item.checkpoint["channel_values"].items())),
            "writes": sorted(_writes(item), key=lambda write: mask(render(settled(write)))),
        }
        for item in saved
    ]


def _writes(saved: Any) -> list[tuple[str, Any]]:
    # The reference also keeps a single answer under no task's name, an engine that gives it to
    # the task that asked need not. That a run has stopped at a breakpoint is stored by one alone.
    return [
        (channel, value)
        for task, channel, value in saved.pending_writes or ()
        if not (channel == "__resume__" and (task == NO_TASK or value == STOPPED))
    ]


def history(name: str = "1") -> Look:
    """Observe the history of a thread, newest first."""

    def observe(graph: Any, driver: str) -> list[Any]:
        return [
            (s.metadata["source"], s.metadata["step"], s.next, s.values, _tasks(s))
            for s in _history(graph, driver, thread(name))
        ]

    return look(observe)


def _history(graph: Any, driver: str, config: Any) -> list[Any]:
    if driver == "sync":
        return list(graph.get_state_history(config))

    async def collect() -> list[Any]:
        return [snapshot async for snapshot in graph.aget_state_history(config)]

    return asyncio.run(collect())


def _tasks(snapshot: Any) -> list[Any]:
    return [
        (task.name, task.error, task.result, task.interrupts, task.state) for task in snapshot.tasks
    ]


def state(name: str = "1", **kwargs: Any) -> Look:
    """Observe the state of a thread as `get_state` shows it."""
    return look(lambda graph, driver: _state(graph, driver, thread(name), kwargs))


def _state(graph: Any, driver: str, config: Any, kwargs: dict[str, Any]) -> Any:
    if driver == "sync":
        return graph.get_state(config, **kwargs)
    return asyncio.run(graph.aget_state(config, **kwargs))


def update(config: Any, values: Any, *args: Any) -> Look:
    """Write into the saved state in the place of a call; what is returned is a fact."""

    def observe(graph: Any, driver: str) -> Any:
        where = config.make(graph) if isinstance(config, Late) else config
        if driver == "sync":
            return attempt(lambda: graph.update_state(where, values, *args))
        return attempt(lambda: asyncio.run(graph.aupdate_state(where, values, *args)))

    return look(observe)


def count(ran: list[Any]) -> Look:
    """Observe which nodes have run so far."""
    return look(lambda graph, driver: list(ran))


def asking(
    engine: Engine, *questions: Any, ran: list[Any] | None = None
) -> Callable[[Any], dict[str, Any]]:
    """Return a node that asks each question in turn and logs the answers."""

    def node(state: Any) -> dict[str, Any]:
        if ran is not None:
            ran.append(questions[0])
        return {"log": [engine.types.interrupt(question) for question in questions]}

    return node
