"""What another attempt at a run says again, and need not: those before it have said so.

An attempt goes on from a checkpoint. What those before it said of things that were not stored is
forgotten by then (`runs.recovery`); all the rest is true, and in the log. So it is known what can
come twice: the state that an attempt begins with, checkpoints and tasks that are there already,
results of tasks that had ended, questions that are asked again, graphs that had begun. What tasks
say in their course is another attempt's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from millstream.constants import INTERRUPT
from millstream.modes.names import CHECKPOINTS, DEBUG, STEPS, TASKS, UPDATES, VALUES
from millstream.server import sse
from millstream.server.encoding import dumps
from millstream.server.log.run_log import PROTOCOL

if TYPE_CHECKING:
    from millstream.modes.parts import Namespace
    from millstream.server.log.run_log import Entry

LIFECYCLE: Final = "lifecycle"
STATE_MODES: Final = (VALUES, UPDATES, TASKS, STEPS, CHECKPOINTS, DEBUG, LIFECYCLE)
"""The modes that tell the state, and what has become of tasks and graphs."""
_CACHED: Final = "__metadata__"
"""What the results of tasks have beside them that had ended before."""


class Repeats:
    """What a run has said in one form: by its stream modes, or as protocol events."""

    def __init__(self, said: Iterable[Entry], *, is_protocol: bool = False) -> None:
        """Begin with what is stored of `STATE_MODES`, at least of the last supersteps."""
        self._known: set[tuple[Any, ...]] = set()
        self._values: dict[tuple[Namespace, bool], Any] = {}
        """By graph, the last state that was told, and the last one with questions."""
        self._updates: dict[Namespace, list[Any]] = {}
        """By graph, what tasks of its last superstep have written."""
        self._has_gone_on: set[Namespace] = set()
        """Graphs that have told something which is new."""
        self._resumed: set[Namespace] = set()
        """Graphs that go on from what they have stored, whose state was told."""
        self._graphs: dict[Namespace, str] = {}
        """What was told last of the life of each graph."""
        self.has_begun = False
        """Whether there is anything."""
        self._is_protocol = is_protocol
        for entry in said:
            if entry.mode.startswith(PROTOCOL) is is_protocol:
                self._take(entry)

    def _take(self, entry: Entry) -> None:
        event, namespace, data = _parsed(entry, is_protocol=self._is_protocol)
        self.has_begun = True
        if event == VALUES:
            is_asking = isinstance(data, dict) and INTERRUPT in data
            self._values[namespace, is_asking] = data
            # In the protocol a question looks like the state before it.
            if not is_asking and not self._is_protocol:
                self._updates.pop(namespace, None)
        elif event == CHECKPOINTS:
            self._updates.pop(namespace, None)
        elif event == UPDATES:
            self._updates.setdefault(namespace, []).append(_plain(data))
        elif event == LIFECYCLE:
            self._graphs[namespace] = data["event"]
        self._known.update(_facts(event, namespace, data))

    def covers(self, mode: str, namespace: Namespace, payload: Any) -> bool:
        """Say whether something that the engine says again has been said."""
        if mode == VALUES:
            return self._covers_values(namespace, payload)
        if mode == UPDATES:
            return self._covers_update(namespace, payload)
        facts = list(_facts(mode, namespace, payload))
        return bool(facts) and self._known.issuperset(facts)

    def covers_life(self, namespace: Namespace, event: str) -> bool:
        """Say whether it has been said that a graph begins or ends."""
        said = self._graphs.get(namespace)
        if said is None:
            return False
        if event in _BEGUN:
            # One that had ended comes to the same end. One that has failed is tried again.
            return said != "failed"
        del self._graphs[namespace]
        return event == said

    def go_on(self, namespace: Namespace) -> None:
        """Take note that a graph goes on from a checkpoint that the run has made."""
        self._resumed.add(namespace)

    def _covers_values(self, namespace: Namespace, payload: Any) -> bool:
        if namespace in self._resumed:
            # It was told when it was made, unless there was nothing to show in it.
            self._resumed.discard(namespace)
            return True
        is_asking = isinstance(payload, Mapping) and INTERRUPT in payload
        if is_asking and self._is_protocol:
            # There it looks like the state before. The task that asks is told of together with it.
            asked = {(INTERRUPT, TASKS, namespace, each.id) for each in payload[INTERRUPT]}
            return self._known.issuperset(asked)
        said = self._values.get((namespace, is_asking), _NOTHING)
        if said is not _NOTHING and orjson.loads(dumps(payload)) == said:
            return True
        for each in (False, True):
            self._values.pop((namespace, each), None)
        return False

    def _covers_update(self, namespace: Namespace, payload: Mapping[str, Any]) -> bool:
        if INTERRUPT in payload:
            facts = list(_facts(UPDATES, namespace, payload))
            return bool(facts) and self._known.issuperset(facts)
        if _CACHED not in payload:
            self._has_gone_on.add(namespace)
        if namespace in self._has_gone_on:
            return False
        told = orjson.loads(dumps(_plain(payload)))
        if self._is_protocol:
            told = [
                {"node": node, "values": values}
                for node, written in told.items()
                for values in (written if isinstance(written, list) else [written])
            ]
        else:
            told = [told]
        said = self._updates.get(namespace, [])
        if not all(each in said for each in told):
            return False
        for each in told:
            said.remove(each)
        return True


_NOTHING: Final = object()
_BEGUN: Final = ("running", "started")


def _plain(update: Any) -> Any:
    if isinstance(update, Mapping) and _CACHED in update:
        return {key: value for key, value in update.items() if key != _CACHED}
    return update


def _facts(mode: str, namespace: Namespace, data: Any) -> Iterator[tuple[Any, ...]]:
    """Yield what identifies something that is told of a checkpoint, a task or a question."""
    if mode == DEBUG:
        kind, inner = data["type"], data["payload"]
        told = CHECKPOINTS if kind == "checkpoint" else TASKS
        for fact in _facts(told, namespace, inner):
            yield (DEBUG, *fact)
    elif mode == CHECKPOINTS:
        if "id" in data:
            yield CHECKPOINTS, namespace, data["id"]
        else:
            place = data.get("checkpoint") or data["config"]["configurable"]
            yield CHECKPOINTS, namespace, place["checkpoint_id"]
    elif mode == TASKS:
        if "triggers" in data:
            yield TASKS, namespace, data["id"]
        for question in data.get("interrupts") or ():
            yield INTERRUPT, TASKS, namespace, question["id"]
    elif mode == STEPS:
        if data["event"] == "started":
            yield TASKS, namespace, data["id"]
    elif mode == UPDATES and isinstance(data, Mapping) and INTERRUPT in data:
        for question in data[INTERRUPT]:
            id = question["id"] if isinstance(question, Mapping) else question.id
            yield INTERRUPT, UPDATES, namespace, id


def _parsed(entry: Entry, *, is_protocol: bool) -> tuple[str, Namespace, Any]:
    """Return the mode of an event, the graph that it is about, and its data."""
    name, text = sse.parsed(entry.frame)
    data = orjson.loads(text)
    if is_protocol:
        params = data["params"]
        return data["method"], tuple(params["namespace"]), params["data"]
    mode, *path = name.split("|")
    return mode, tuple(path), data
