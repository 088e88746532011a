"""What graphs tell that are called elsewhere is in a log ahead before it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from executors import nesting
from executors.acting import graph_of
from millstream.executors import Executor
from millstream.journal import MemoryJournal
from millstream.modes.names import UPDATES, VALUES
from millstream.outbox.write_ahead import Place, Promises
from millstream.types import Command
from runs.starting import AsyncStarter, Starter
from runs.test_write_ahead import AheadLog, Promise
from waiting import PATIENCE

pytestmark = pytest.mark.timeout(120)
PLACE = {"configurable": {"thread_id": "t"}}


@pytest.fixture(params=[Starter, AsyncStarter])
def starter(request: pytest.FixtureRequest) -> Iterator[Starter]:
    made: Starter = request.param()
    yield made
    made.close()


def told_by(starter: Starter, graph: Any, given: Any, durability: str) -> AheadLog:
    log = AheadLog()
    run = starter.start(
        graph,
        given,
        PLACE,
        stream_mode=[UPDATES, VALUES],
        subgraphs=True,
        durability=durability,
        log=log,
    )
    run.wait(PATIENCE)
    return log


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("node", ["call", "call_deep"])
def test_a_superstep_is_said_before_it_is_stored(
    starter: Starter, apart: Executor, node: str, durability: str, tmp_path: Any
) -> None:
    graph = graph_of(getattr(nesting, node), executor=apart, saver=MemoryJournal())
    given = {"log": [], "file": str(tmp_path / "marks")}

    log = told_by(starter, graph, given, durability)

    kept = {place: each for place, each in enumerate(log.told) if isinstance(each, Promise)}
    nested = {place: each for place, each in kept.items() if each.place and each.place.ns}
    # The checkpoint of its input, its first node with the checkpoint after it, and the question.
    assert len(nested) >= 4
    for stored, promise in kept.items():
        assert promise.place is None or "flushed" in log.told[promise.bound : stored]
    facts = [place for place, each in enumerate(log.told) if isinstance(each, tuple)]
    for fact in facts:
        assert any(promise.made <= fact < stored for stored, promise in kept.items())


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_graph_that_goes_on_elsewhere_says_so(
    starter: Starter, apart: Executor, durability: str, tmp_path: Any
) -> None:
    graph = graph_of(nesting.call, executor=apart, saver=MemoryJournal())
    told_by(starter, graph, {"log": [], "file": str(tmp_path / "marks")}, durability)

    resumed = told_by(starter, graph, Command(resume="yes"), durability).resumed

    assert [len(namespace) for namespace, _ in resumed] == [0, 1]


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_graphs_side_by_side_do_not_wait_for_each_other_for_ever(
    starter: Starter, apart: Executor, durability: str
) -> None:
    graph = graph_of(nesting.call_side_by_side, executor=apart, saver=MemoryJournal())

    log = told_by(starter, graph, {"log": []}, durability)

    places = {each.place.ns for each in log.told if isinstance(each, Promise) and each.place}
    assert len(places) == 4  # the three, and the one around them


def test_what_will_not_be_said_any_more_holds_nothing_up() -> None:
    log, promises = AheadLog(), Promises()
    for number in range(3):
        promises.make(number, log.promise())
    promises.keep(0)
    promises.bind(1, Place("", "checkpoint"))
    assert not promises.are_bound

    promises.keep_all()

    assert promises.are_bound
    assert [each.place for each in log.told] == [None, Place("", "checkpoint"), None]
