"""A write-ahead log has all that a run says before its saver is given what that tells of."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver

from millstream.graph import START, StateGraph
from millstream.journal import MemoryJournal
from millstream.modes.names import CUSTOM, UPDATES, VALUES
from millstream.outbox.write_ahead import Place
from millstream.runs.log import MemoryLog
from millstream.types import CachePolicy
from runs.starting import IN_TIME, Starter, State, at_once, row, say

pytestmark = pytest.mark.timeout(30)
PLACE = {"configurable": {"thread_id": "t"}}


class Promise:
    """When something was promised, and until when all was said of it that was to be stored."""

    def __init__(self, log: AheadLog) -> None:
        self.log = log
        self.made = self.bound = len(log.told)
        self.place: Place | None = None

    def bind(self, place: Place) -> None:
        self.place, self.bound = place, len(self.log.told)

    def keep(self) -> None:
        self.log.told.append(self)


class AheadLog(MemoryLog):
    """Notes what is said, promised and stored."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.resumed: list[Any] = []

    def append(self, item: Any) -> Any:
        self.told.append((item[1], item[2]))
        return super().append(item)

    def promise(self) -> Promise:
        return Promise(self)

    def go_on(self, namespace: tuple[str, ...], metadata: Any) -> None:
        self.resumed.append((namespace, metadata["source"]))

    def flush(self) -> None:
        self.told.append("flushed")

    async def aflush(self) -> None:
        self.told.append("flushed")


def told_by(
    starter: Starter, graph: Any, durability: str, thread: str = "t", **options: Any
) -> AheadLog:
    log = AheadLog()
    modes = [CUSTOM, UPDATES, VALUES]
    place = {"configurable": {"thread_id": thread}}
    run = starter.start(
        graph, None, place, stream_mode=modes, durability=durability, log=log, **options
    )
    run.wait(IN_TIME)
    return log


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("saver", [InMemorySaver, MemoryJournal])
def test_a_superstep_is_said_before_it_is_stored(
    saver: Any, durability: str, starter: Starter
) -> None:
    inner = row(say("inner"))
    graph = row(say("outer"), inner, checkpointer=saver())

    told = told_by(starter, graph, durability, subgraphs=True).told

    kept = {place: each for place, each in enumerate(told) if isinstance(each, Promise)}
    for stored, promise in kept.items():
        assert "flushed" in told[promise.bound : stored]
    facts = [
        place for place, each in enumerate(told) if isinstance(each, tuple) and each[0] != CUSTOM
    ]
    assert len(facts) == 3 + 5
    for fact in facts:
        (stored,) = [p for p, promise in kept.items() if promise.made <= fact < promise.bound]
        assert (told[fact][0] == UPDATES) is (kept[stored].place.task_id != "")
        assert stored > fact


def test_what_comes_from_a_cache_is_said_before_it_is_stored(starter: Starter) -> None:
    builder = StateGraph(State).add_node("n", say(1), cache_policy=CachePolicy())
    graph = builder.add_edge(START, "n").compile(
        checkpointer=MemoryJournal(), cache=InMemoryCache()
    )
    told_by(starter, graph, "sync", thread="first")

    told = told_by(starter, graph, "sync", thread="second").told

    (fact,) = [place for place, each in enumerate(told) if isinstance(each, tuple)][-2:-1]
    assert told[fact][0] == UPDATES
    assert "__metadata__" in told[fact][1]  # it did not run
    (promise,) = [
        each for each in told if isinstance(each, Promise) and each.made <= fact < each.bound
    ]
    assert promise.place.task_id != ""
    assert told.index(promise) > fact


def test_with_durability_exit_nothing_is_promised(starter: Starter) -> None:
    told = told_by(starter, row(say(1), checkpointer=MemoryJournal()), "exit").told

    assert not any(isinstance(each, Promise) for each in told)
    assert told[-1] == "flushed"


def test_tasks_that_run_at_once_say_all_they_have_to_say(starter: Starter) -> None:
    graph = at_once(say(1, 2), say(3, 4), checkpointer=MemoryJournal())

    log = told_by(starter, graph, "async")

    assert sorted(item for mode, item in _said(log) if mode == CUSTOM) == [1, 2, 3, 4]
    assert [event.data for event in log.read() if event.mode == CUSTOM] == [
        item for mode, item in _said(log) if mode == CUSTOM
    ]


def _said(log: AheadLog) -> list[tuple[str, Any]]:
    return [each for each in log.told if isinstance(each, tuple)]


def test_a_log_is_told_that_a_graph_goes_on_from_what_is_saved(starter: Starter) -> None:
    graph = row(say(1), say(2), checkpointer=MemoryJournal())
    told_by(starter, graph, "sync", interrupt_before=["n1"])

    log = AheadLog()
    config = {**PLACE}
    run = _resume(starter, graph, config, log)
    run.wait(IN_TIME)

    assert log.resumed == [((), "loop")]


def _resume(starter: Starter, graph: Any, config: Any, log: AheadLog) -> Any:
    if starter.is_async:
        return starter.do(graph.astart(None, config, log=log))  # type: ignore[attr-defined]
    return graph.start(None, config, log=log)
