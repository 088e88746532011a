"""Making the decisions of recorded runs again, and comparing them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from millstream.core.answers import Answers
from millstream.core.checkpoints import Lineage
from millstream.core.deltas import DeltaLog
from millstream.core.observer import Observer
from millstream.core.pending_writes import ResumePoint
from millstream.core.protocol import RunLimits
from millstream.core.spec import NodeSpec
from millstream.stimuli.machine import Drain, LoggingMachine
from millstream.stimuli.values import Decoder, Json

if TYPE_CHECKING:
    from millstream.core.machine import RunMachine
    from millstream.core.spec import GraphSpec
    from millstream.core.tasks import Task

FIRST: Final = '{"run": '
"""How a record begins; what a logger has put before it is passed over."""


class Graph(Protocol):
    """What is asked of a compiled graph."""

    @property
    def spec(self) -> GraphSpec:
        """The graph as the core sees it."""

    def get_name(self) -> str:
        """Return the name under which its runs are recorded."""

    def get_subgraphs(self, *, recurse: bool = False) -> Iterator[tuple[str, Any]]:
        """Yield the graphs that its nodes run."""


class ReplayError(Exception):
    """A log cannot be replayed; the text says why."""


class Divergence(Exception):
    """A machine decided otherwise than the log says."""

    def __init__(self, record: Mapping[str, Json], graph: str, got: Mapping[str, Json]) -> None:
        super().__init__(record, graph, got)
        self.record = record
        """What the log has of the input."""
        self.graph = graph
        self.got = got
        """What the machine decided this time."""

    @property
    def differences(self) -> dict[str, tuple[Json, Json]]:
        """What was decided and what is decided now, where that is not the same."""
        was, got = self.record["decided"], self.got
        return {
            name: (was.get(name), got.get(name))
            for name in {**was, **got}
            if was.get(name) != got.get(name)
        }

    def __str__(self) -> str:
        parts = [f"{key} was {was}, is {got}" for key, (was, got) in self.differences.items()]
        return (
            f"input {self.record['number']} of run {self.record['run']} of graph {self.graph!r}, "
            f"{self.record['input']}(): {'; '.join(parts)}"
        )


def replay(
    lines: Iterable[str],
    *graphs: Graph,
    allowed: Collection[tuple[str, str]] = (),
    are_values_compared: bool = True,
) -> list[RunMachine]:
    """Tell fresh machines what the lines of a log say, and return them, in the order of their runs.

    The graphs are those that ran; the graphs that their nodes run are found in them, as far as
    `get_subgraphs` sees them. Nodes are not called. Lines that are no records are passed over.
    `allowed` are modules and names of classes that may be made from what the log has of them, apart
    from those that every saver accepts: a class from a log of somebody else is code that runs.
    Values are compared too, by digests; where a node has changed its state in place, or a reducer
    is random, they differ though every decision is the same, and are better not compared.
    Raises `Divergence` for the first decision that is not what it was, `ReplayError` for a log that
    is not whole, or not of these graphs.
    """
    known = [*_specs(graphs)]
    players: dict[str, Player] = {}
    for line in lines:
        start = line.find(FIRST)
        if start < 0:
            continue
        record = json.loads(line[start:])
        player = players.get(record["run"])
        if player is None:
            if record["input"] != "open":
                raise ReplayError(f"the log does not have the beginning of run {record['run']}")
            player = Player(record, _choose(record, known), Decoder(allowed))
            player.are_values_compared = are_values_compared
            players[record["run"]] = player
        else:
            player.take(record)
    return [player.machine for player in players.values()]


def _specs(graphs: Iterable[Graph]) -> Iterator[tuple[str, str, GraphSpec]]:
    for graph in graphs:
        yield "", graph.get_name(), graph.spec
        for ns, inner in graph.get_subgraphs(recurse=True):
            yield ns, inner.get_name(), inner.spec


def _choose(record: Mapping[str, Json], known: Iterable[tuple[str, str, GraphSpec]]) -> GraphSpec:
    """Return the graph of a run: by its name and nodes, and by its place if these are several's."""
    name, nodes = record["graph"], record["nodes"]
    found = {ns: spec for ns, other, spec in known if other == name and list(spec.nodes) == nodes}
    if not found:
        raise ReplayError(
            f"none of the graphs is named {name!r} and has the nodes {', '.join(nodes)}; "
            "give replay() the graph that ran, and those that its nodes call"
        )
    place = "|".join(part.split(":", 1)[0] for part in record["ns"].split("|"))
    return found.get(place) or next(iter(found.values()))


class Player:
    """Tells one machine what it was told before."""

    are_values_compared = True

    def __init__(self, record: Mapping[str, Json], spec: GraphSpec, decoder: Decoder) -> None:
        self._decode, self._error = decoder.decode, decoder.error
        self._graph = record["graph"]
        self._record = record
        self._number = 0
        self._tasks: dict[str, Task] = {}
        self._made: deque[str] = deque()
        self._drawn: deque[Any] = deque()
        self._drain = Drain()
        steps, before, after = self._decode(record["limits"])
        self.machine: Final = LoggingMachine(
            self._made.append,
            self._graph,
            spec,
            Observer(),
            RunLimits(steps, before, after, self._drain),
            lambda: record["run"],
            record["ns"],
            self._lineage(record["lineage"]),
            self._decode(record["saved_values"]),
            self._decode(record["stored_writes"]),
            self._answers(record["answers"]),
            self._draw,
        )
        self._compare(record)

    def take(self, record: Mapping[str, Json]) -> None:
        """Tell the machine what it was told, and compare what it makes of it."""
        self._number += 1
        if record["number"] != self._number:
            raise ReplayError(f"the log does not have input {self._number} of run {record['run']}")
        self._record = record
        self._drawn.extend(map(self._decode, record.get("drawn", ())))
        if "answers" in record and self.machine.answers is not None:
            self._take(self.machine.answers, record["answers"])
        try:
            _INPUTS[record["input"]](self, self.machine, record)
        except BaseException as error:
            if not self._made or isinstance(error, ReplayError):
                raise  # it is not the machine that has raised
            if "raised" not in record["decided"]:
                raise Divergence(record, self._graph, self._last()["decided"]) from error
        self._compare(record)

    def begin(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """Start."""
        writes = self._decode(record["writes"])
        machine.begin(writes, is_entry=record["is_entry"], is_newest=record["is_newest"])

    def resume(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """Go on."""
        machine.resume(
            self._decode(record["writes"]),
            answers=self._answers(record["given"]),
            is_strict=record["is_strict"],
            point=ResumePoint(record["point"]),
        )

    def plan(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """Ask for the tasks to run."""
        self._drain.drain_requested = record["drain"]
        machine.plan()
        self._tasks = {task.id: task for task in machine.tasks}

    def call(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """Call what a task called. What that does is not asked for: its name is enough."""
        node = NodeSpec(record["node"], (), _read_nothing)
        value = self._decode(record["value"])
        task = machine.call(self._task(record["caller"]), node, value, record["place"])
        self._tasks[task.id] = task

    def finish(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """End a task with what it wrote."""
        task = self._task(record["task"])
        task.update, task.listed = self._decode(record["update"]), self._decode(record["listed"])
        machine.finish(task)

    def replay(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """End a task with what was known of it."""
        machine.replay(self._task(record["task"]), self._decode(record["writes"]))

    def fail(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """End a task with an error."""
        handler = machine.fail(self._task(record["task"]), self._error(record["error"]))
        if handler is not None:
            self._tasks[handler.id] = handler

    def pause(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """End a task with questions."""
        machine.pause(self._task(record["task"]), self._decode(record["interrupts"]))

    def commit(self, machine: RunMachine, record: Mapping[str, Json]) -> None:
        """End the superstep."""
        machine.commit()

    def _compare(self, record: Mapping[str, Json]) -> None:
        was, got = record["decided"], self._last()["decided"]
        if not self.are_values_compared:
            was, got = _without_values(was), _without_values(got)
        if was != got:
            raise Divergence(record, self._graph, got)
        self._drawn.clear()

    def _last(self) -> Mapping[str, Json]:
        made: Mapping[str, Json] = json.loads(self._made.pop())
        return made

    def _task(self, id: str) -> Task:
        task = self._tasks.get(id)
        if task is None:
            raise ReplayError(f"the log does not say where task {id} comes from")
        return task

    def _draw(self, *_: Any) -> Any:
        """Return what was drawn in the place of this."""
        if not self._drawn:
            record = self._record
            raise ReplayError(
                f"input {record['number']} of run {record['run']}, {record['input']}(), draws a "
                "version, a stamp or an id that was not drawn when it was recorded"
            )
        return self._drawn.popleft()

    def _lineage(self, known: Json) -> Lineage | None:
        if known is None:
            return None
        decoded = {key: self._decode(value) for key, value in known.items() if key != "deltas"}
        deltas = known["deltas"]
        if deltas is not None:
            decoded["deltas"] = DeltaLog(**{k: self._decode(v) for k, v in deltas.items()})
        return Lineage(stamp=self._draw, next_version=self._draw, **decoded)

    def _answers(self, left: Json) -> Answers | None:
        """Return the answers of which so much is left."""
        if left is None:
            return None
        answers = Answers(None)
        self._take(answers, left)
        return answers

    def _take(self, answers: Answers, left: Mapping[str, Json]) -> None:
        """Take what others have taken of the answers."""
        for name, value in left.items():
            setattr(answers, name, self._decode(value))


def _without_values(decided: Mapping[str, Json]) -> Mapping[str, Json]:
    updated = decided.get("updated")
    return decided if updated is None else {**decided, "updated": list(updated)}


def _read_nothing(_: Any, __: Any) -> None:
    """Return nothing: nobody asks a call for its input."""


_INPUTS: Final[Mapping[str, Callable[[Player, RunMachine, Mapping[str, Json]], None]]] = {
    "begin": Player.begin,
    "resume": Player.resume,
    "plan": Player.plan,
    "call": Player.call,
    "finish": Player.finish,
    "replay": Player.replay,
    "fail": Player.fail,
    "pause": Player.pause,
    "commit": Player.commit,
}
